"""The invariants at every step: each change of a name on the server is booked, and those that must not be are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from jobqueue.hierarchy import Hierarchy
from jobqueue.layout import (
    TOKEN_FOLDERS,
    ClosedToken,
    Entry,
    JobLayout,
    QueueLayout,
    RunningToken,
    Token,
    WonToken,
    parse_job_number,
)
from jobqueue.testing.server import Change, File, ModelServer
from jobqueue.testing.share import ModelShare

AnyToken = Token | RunningToken | WonToken | ClosedToken
# From where to where a token may go.
_MOVES = frozenset(
    {
        ("blocked", "ready"), ("ready", "running"), ("running", "won"), ("won", "finished"), ("won", "failed"),
        ("running", "ready"), ("running", "failed"), ("running", "cancelled"), ("blocked", "failed"),
        ("ready", "failed"), ("failed", "ready"), ("failed", "blocked"), ("blocked", "cancelled"),
        ("ready", "cancelled"), ("failed", "cancelled"),
    }
)  # fmt: skip
_SUCCEEDED = ("won", "finished")


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
    if len(parts) == 6 and parts[3] == ".tokens" and parts[4] in TOKEN_FOLDERS:
        closed = parts[4] in ("finished", "failed")
        token = ClosedToken.parse(parts[5]) if closed else Token.parse(parts[5])
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


class Ledger:
    """What has become of every job.

    Args:
        server: whose changes are booked.
        violate: is told what must not be.

    Attributes:
        entries: of the published jobs; those of deleted ones are gone.
        places: of the tokens, by job and node.
        deleted: numbers of jobs whose entry went to trash/.
    """

    def __init__(self, server: ModelServer, truth: ModelShare, violate: Callable[[str], None]) -> None:
        self.entries: dict[int, Entry] = {}
        self.places: dict[tuple[int, int], Place] = {}
        self.deleted: set[int] = set()
        self.commits = 0
        self._server = server
        self._truth = truth
        self._violate = violate
        self._layout = QueueLayout("/q")
        self._children: dict[int, list[list[int]]] = {}
        # Job and node -> whether the committed result is a success.
        self._committed: dict[tuple[int, int], bool] = {}
        server.observers.append(self.book)

    def book(self, change: Change) -> None:
        """Books one change."""
        if change.name == "rename":
            self._moved(change)
        elif change.name == "create":
            self._created(change.path)
        elif change.name == "unlink":
            self._removed(change.path)

    def _created(self, path: str) -> None:
        if place := place_of(path):
            if place.job in self.entries:
                self._violate(f"a token of a published job was created: {path}")
            if (place.job, place.node) in self.places and place.job not in self.deleted:
                self._violate(f"a second token of one job was created: {path}")
            self.places[place.job, place.node] = place
        elif entry_of(path):
            self._violate(f"an entry was created, not moved: {path}")

    def _removed(self, path: str) -> None:
        if place := place_of(path):
            if place.job in self.entries:
                self._violate(f"a token of a published job was removed: {path}")
            if self.places.get((place.job, place.node)) == place:
                del self.places[place.job, place.node]
        elif entry_of(path):
            self._violate(f"an entry was removed: {path}")

    def _moved(self, change: Change) -> None:
        before, after = place_of(change.path), place_of(change.target)
        if before or after:
            self._token_moved(before, after, change)
        elif entry_of(change.path) or entry_of(change.target):
            self._entry_moved(change)

    # --- entries -------------------------------------------------------------------------------------------------

    def _entry_moved(self, change: Change) -> None:
        before, after = entry_of(change.path), entry_of(change.target)
        if after is None:
            assert before is not None
            if "/trash/" not in change.target:
                self._violate(f"an entry went astray: {change}")
            self.entries.pop(before.number, None)
            self.deleted.add(before.number)
            return
        if before is None:
            self._publish(after)
            return
        if self.entries.get(before.number) != before or after.moves != before.moves + 1:
            self._violate(f"an entry of which there is another one was moved: {change}")
        if before.folder == "done" != after.folder:
            self._violate(f"a job that was done is not done any more: {change}")
        self.entries[after.number] = after

    def _publish(self, entry: Entry) -> None:
        number = entry.number
        if number in self.entries or number in self.deleted:
            self._violate(f"job{number} was published a second time")
        hierarchy = Hierarchy(self._truth, self._layout.job(number).hierarchy)
        self._children[number] = [list(node.children) for node in hierarchy.nodes()]
        for node, children in enumerate(self._children[number]):
            place = self.places.get((number, node))
            if place is None or place.folder != ("blocked" if children else "ready"):
                self._violate(f"job{number} was published without a token of its job {node}")
        self.entries[number] = entry

    # --- tokens --------------------------------------------------------------------------------------------------

    def _token_moved(self, before: Place | None, after: Place | None, change: Change) -> None:
        if before is None:
            self._violate(f"a token came from nowhere: {change}")
            return
        key = before.job, before.node
        if self.places.get(key) != before:
            self._violate(f"a token of which there is another one was moved: {change}")
        if after is None:
            if before.job in self.entries:
                self._violate(f"a token of a published job went astray: {change}")
            del self.places[key]
            return
        self.places[key] = after
        self._check_name(before, after, change)
        if after.folder in ("ready", "running") and before.folder in ("blocked", "ready", "failed"):
            self._check_order(after, change)
        if after.folder == "won":
            self._commit(before, after, change)
        if before.folder == "won" and self._committed[key] != (after.folder == "finished"):
            self._violate(f"what was settled is not what the record says: {change}")
        if before.folder == "failed":
            self._committed.pop(key, None)

    def _check_name(self, before: Place, after: Place, change: Change) -> None:
        if (before.folder, after.folder) not in _MOVES:
            self._violate(f"a token may not move so: {change}")
        if (after.job, after.node) != (before.job, before.node) or after.token.move != before.token.move + 1:
            self._violate(f"a token has changed its job, or its number of moves is wrong: {change}")
        if after.token.attempt != before.token.attempt + (after.folder == "running"):
            self._violate(f"the number of attempts is wrong: {change}")

    def _check_order(self, after: Place, change: Change) -> None:
        """No job is ready, or runs, before all that it depends on has succeeded."""
        for child in self._children[after.job][after.node]:
            place = self.places[after.job, child]
            if place.folder not in _SUCCEEDED or not self._committed.get((after.job, child)):
                self._violate(f"job {after.node} of job{after.job} goes on before job {child} has succeeded: {change}")

    def _commit(self, before: Place, after: Place, change: Change) -> None:
        key = after.job, after.node
        if key in self._committed:
            self._violate(f"a second result was committed: {change}")
        self.commits += 1
        assert isinstance(after.token, WonToken)
        if before.worker != after.worker:
            self._violate(f"a result was committed by another worker: {change}")
        job = self._layout.job(after.job)
        self._committed[key] = self._is_success(job, after.worker, after.token, change)

    def _is_success(self, job: JobLayout, worker: str, token: WonToken, change: Change) -> bool:
        """What the record says that the token names."""
        file = self._server.find(job.journal(worker, token.slot))
        line = file.content[token.offset :].partition(b"\n")[0] if isinstance(file, File) else b""
        try:
            record = json.loads(line)
        except ValueError:
            if job.number in self.entries:
                self._violate(f"a result was committed whose record is not there: {change}")
            return True
        if (record["node"], record["attempt"]) != (token.node, token.attempt):
            self._violate(f"a result was committed whose record is another one's: {change}")
        return bool(record["ok"])

    # --- at rest -------------------------------------------------------------------------------------------------

    def has_come_to_rest(self) -> bool:
        """Whether every job has ended, or is stalled, or is held by somebody."""
        open_jobs = {number for number, entry in self.entries.items() if entry.folder not in ("done", "held")}
        for (job, _), place in self.places.items():
            if place.folder in ("running", "won") and (job in self.entries or job in self.deleted):
                return False
            if place.folder == "ready" and job in open_jobs:
                return False
        return all(self._is_stalled(number) for number in open_jobs)

    def _is_stalled(self, number: int) -> bool:
        folders = {self.places[number, node].folder for node in range(len(self._children[number]))}
        return "failed" in folders and folders <= {"failed", "blocked", "finished"}
