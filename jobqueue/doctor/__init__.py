"""Measuring a share before one trusts it."""
