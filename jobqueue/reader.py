"""What can be read about one job: its line in the hierarchy, its token, its record, what it says of itself."""

from __future__ import annotations

import json
from typing import Any

from jobqueue import control
from jobqueue.errors import BrokenJobError, JobNotFoundError
from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.journal import events, read_record
from jobqueue.layout import JOURNAL, AttemptLayout, ClosedToken, JobLayout, WonToken, job_name
from jobqueue.state import Sighting, look_up, look_up_array
from jobqueue.store import Store


class JobReader:
    """Reads what a queue holds of one job; keeps nothing but the hierarchy, which never changes.

    Args:
        store: the queue.
        number: of the top-level job.
        node: the job; ``None`` for the top-level job itself.
        place: its directory, relative to the top-level job's.
        read: the hierarchy, where it was read already.

    Raises:
        JobNotFoundError: the job was deleted (from everything but names).
    """

    def __init__(self, store: Store, number: int, node: int | None, place: str, read: Hierarchy | None = None) -> None:
        self.store = store
        self.number = number
        self.place = place
        self._node_number = node
        self._read = read

    @property
    def name(self) -> str:
        return job_name(self.number, self.place)

    @property
    def job(self) -> JobLayout:
        """The directory of its top-level job."""
        return self.store.layout.job(self.number)

    def hierarchy(self) -> Hierarchy:
        """The hierarchy that it belongs to."""
        if self._read is None:
            control.raise_if_deleted(self.store, self.number)
            self._read = Hierarchy(self.store.share, self.job.hierarchy)
        return self._read

    def node(self) -> Node:
        """Its line in the hierarchy."""
        hierarchy = self.hierarchy()
        return hierarchy.node(hierarchy.root if self._node_number is None else self._node_number)

    def look(self) -> Sighting:
        """Where it stands."""
        node = self.hierarchy().root if self._node_number is None else self._node_number
        array = self.hierarchy().arrays().get(node)
        try:
            if array is not None:
                return look_up_array(self.store, self.job, node, array)
            return look_up(self.store, self.job, node)
        except JobNotFoundError:
            if self.store.share.is_file_instead(self.job.tokens):
                reason = "it is not a directory; `jobqueue check --repair` mends it"
                raise BrokenJobError(reason, self.job.tokens) from None
            raise

    def children(self) -> list[JobReader]:
        """The jobs that this one depends on directly."""
        return [self.sibling(child) for child in self.node().children]

    def sibling(self, node: int) -> JobReader:
        """Another job of the same hierarchy."""
        hierarchy = self.hierarchy()
        return JobReader(self.store, self.number, node, hierarchy.node(node).place, hierarchy)

    def attempt(self) -> AttemptLayout:
        """The files of its latest attempt, or of the first one to come."""
        return self.job.attempt(self.place, max(1, self.look().attempt))

    def record(self, seen: Sighting) -> dict[str, Any] | None:
        """What its attempt says of itself, as its token names it; ``None`` before the end, or where it is lost."""
        token = seen.token
        if seen.worker is None or not isinstance(token, ClosedToken | WonToken):
            return None
        path = self.job.journal(seen.worker, token.slot)
        return read_record(self.store.share, path, token.offset, token.node, token.attempt)

    def start_event(self, seen: Sighting) -> dict[str, Any] | None:
        """The journal's event that says that the latest attempt began."""
        token = seen.token
        if token is None or seen.attempt == 0:
            return None
        # A slot whose journal went bad goes on in another one, and who ends an attempt for another writes elsewhere.
        names = self.store.share.names_or_none(self.job.journals) or ()
        for name in sorted(names, key=lambda name: not name.startswith(f"{seen.worker}.")):
            for _, event in events(self.store.share, f"{self.job.journals}/{name}") if name.endswith(JOURNAL) else ():
                if (event.get("event"), event.get("node"), event.get("attempt")) == ("start", token.node, seen.attempt):
                    return event
        return None

    def status(self, seen: Sighting) -> dict[str, Any]:
        """What a running attempt says of itself; it says nothing before its procedure does."""
        if seen.token is None:
            return {}
        path = self.job.attempt(self.place, seen.attempt).status
        try:
            stored = json.loads(self.store.share.read(path))
        except FileNotFoundError:
            return {"progress": 0.0, "status": ""}
        except ValueError:
            return {}
        return stored if isinstance(stored, dict) else {}

    def with_descendants(self) -> set[int]:
        """The job and all that it depends on, directly or not."""
        children = [node.children for node in self.hierarchy().nodes()]
        found: set[int] = set()
        pending = [self.node().node]
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending.extend(children[node])
        return found
