"""How what is said to people is put, on a terminal and in a log."""

from __future__ import annotations


def number_of(count: int, what: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def plain(text: str) -> str:
    """A text of somebody else's, without what would steer the terminal or begin another line."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
