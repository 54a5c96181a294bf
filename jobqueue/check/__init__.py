"""Audit and repair of a queue: what lies there against what may lie there."""
