"""Where tokens and entries lie, told from paths."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from jobqueue.names import (
    TOKEN_FOLDERS,
    ClosedToken,
    Entry,
    RunningToken,
    Token,
    WonToken,
    parse_job_number,
    parse_shard,
)

AnyToken = Token | RunningToken | WonToken | ClosedToken
# From where to where a token may go.
MOVES = frozenset(
    {
        ("blocked", "ready"), ("ready", "running"), ("running", "won"), ("won", "finished"), ("won", "failed"),
        ("running", "ready"), ("running", "failed"), ("running", "cancelled"), ("blocked", "failed"),
        ("ready", "failed"), ("failed", "ready"), ("failed", "blocked"), ("blocked", "cancelled"),
        ("ready", "cancelled"), ("failed", "cancelled"),
    }
)  # fmt: skip
SUCCEEDED = ("won", "finished")


class Place(NamedTuple):
    """Where a token lies."""

    folder: str
    job: int
    node: int
    worker: str
    token: AnyToken


@lru_cache(1 << 14)
def place_of(path: str) -> Place | None:
    """The token of a path; ``None`` if the path is not that of a token."""
    parts = path.split("/")
    if len(parts) in (6, 7) and parts[3] == ".tokens" and parts[4] in TOKEN_FOLDERS:
        if len(parts) == 7 and not parse_shard(parts[5]):
            return None
        closed = parts[4] in ("finished", "failed")
        token = ClosedToken.parse(parts[-1]) if closed else Token.parse(parts[-1])
        number = parse_job_number(parts[2])
        return Place(parts[4], number, token.node, "", token) if token and number else None
    if len(parts) == 6 and parts[2] == "workers" and parts[4] in ("running", "won"):
        flying = RunningToken.parse(parts[5]) if parts[4] == "running" else WonToken.parse(parts[5])
        return Place(parts[4], flying.job, flying.node, parts[3], flying) if flying else None
    return None


@lru_cache(1 << 14)
def entry_of(path: str) -> Entry | None:
    """The entry of a path, ``None`` if the path is not that of an entry in the index."""
    parts = path.split("/")
    if len(parts) == 5 and parts[2] == "index" and parts[3] != "last":
        return Entry.parse(parts[3], parts[4])
    return None
