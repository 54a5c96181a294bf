"""What can be read about one job: its line in the hierarchy, its token, its record, what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from jobqueue import control
from jobqueue.archives import share_on
from jobqueue.errors import BrokenJobError, JobNotFoundError
from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.journal import events, read_record
from jobqueue.layout import AttemptLayout, JobLayout
from jobqueue.names import JOURNAL, ClosedToken, WonToken, job_name
from jobqueue.packed import Packed
from jobqueue.state import Sighting, Summary, look_up, look_up_array, raise_if_going, scan, summarize
from jobqueue.store import Store

T = TypeVar("T")


class JobReader:
    """Reads what a queue holds of one job; keeps nothing but the hierarchy, which never changes.

    Where the top-level job's directory is gone, or going, its archive is read, if there is one.

    Args:
        store: the queue.
        number: of the top-level job.
        node: the job; ``None`` for the top-level job itself.
        place: its directory, relative to the top-level job's.
        like: another reader of the same hierarchy, which has read it.

    Attributes:
        queue: the queue.
        store: the same; or the same with the top-level job's archive in the place of its directory.
        packed: that archive; ``None`` as long as the directory is read.

    Raises:
        JobNotFoundError: the job was deleted (from everything but names).
    """

    def __init__(self, store: Store, number: int, node: int | None, place: str, like: JobReader | None = None) -> None:
        self.queue: Store = like.queue if like else store
        self.store: Store = like.store if like else store
        self.number = number
        self.place = place
        self._node_number = node
        self._read: Hierarchy | None = like._read if like else None
        self.packed: Packed | None = like.packed if like else None

    @property
    def name(self) -> str:
        return job_name(self.number, self.place)

    @property
    def job(self) -> JobLayout:
        """The directory of its top-level job."""
        return self.store.layout.job(self.number)

    def wherever(self, read: Callable[[], T]) -> T:
        """Reads something, by way of `store`; once more if the directory turns out to be gone, and there is an archive.

        Raises:
            JobNotFoundError: it is in neither.
            BrokenJobError: what is there cannot be read.
        """
        try:
            return read()
        except (JobNotFoundError, BrokenJobError):
            if self.packed is not None:
                raise
            self.packed = self.queue.archives.open(self.number)
            if self.packed is None:
                raise
            self.store = self.queue.seen_by(share_on(self.packed, self.queue.share, self.job))
            self._read = None
            return read()

    def hierarchy(self) -> Hierarchy:
        """The hierarchy that it belongs to."""
        return self.wherever(self._hierarchy)

    def _hierarchy(self) -> Hierarchy:
        if self._read is None:
            try:
                self._read = Hierarchy(self.store.share, self.job.hierarchy)
            except BrokenJobError:
                control.raise_if_deleted(self.queue, self.number)
                raise
        return self._read

    def node(self) -> Node:
        """Its line in the hierarchy."""
        hierarchy = self.hierarchy()
        return hierarchy.node(hierarchy.root if self._node_number is None else self._node_number)

    def look(self) -> Sighting:
        """Where it stands."""
        return self.wherever(self._look)

    def _look(self) -> Sighting:
        hierarchy = self._hierarchy()
        node = hierarchy.root if self._node_number is None else self._node_number
        array = hierarchy.arrays().get(node)
        try:
            if array is not None:
                return look_up_array(self.store, self.job, node, array)
            return look_up(self.store, self.job, node)
        except JobNotFoundError:
            if self.store.share.is_file_instead(self.job.tokens):
                reason = "it is not a directory; `jobqueue check --repair` mends it"
                raise BrokenJobError(reason, self.job.tokens) from None
            raise

    def scan(self) -> list[Sighting]:
        """Where each job of the hierarchy stands, by node."""
        return self.wherever(self._scan)

    def _scan(self) -> list[Sighting]:
        hierarchy = self._hierarchy()
        return scan(self.store, self.job, hierarchy.count, hierarchy.arrays())

    def summary(self) -> Summary:
        """How the hierarchy stands."""
        return self.wherever(lambda: summarize(self.store, self.job))

    def children(self) -> list[JobReader]:
        """The jobs that this one depends on directly."""
        return [self.sibling(child) for child in self.node().children]

    def sibling(self, node: int) -> JobReader:
        """Another job of the same hierarchy."""
        hierarchy = self.hierarchy()
        return JobReader(self.queue, self.number, node, hierarchy.node(node).place, self)

    def attempt(self) -> AttemptLayout:
        """The files of its latest attempt, or of the first one to come."""
        return self.job.attempt(self.place, max(1, self.look().attempt))

    def record(self, seen: Sighting) -> dict[str, Any] | None:
        """What its attempt says of itself, as its token names it; ``None`` before the end, or where it is lost."""
        token = seen.token
        if seen.worker is None or not isinstance(token, ClosedToken | WonToken):
            return None
        path = self.job.journal(seen.worker, token.slot)
        return self.wherever(lambda: self._record(path, token))

    def _record(self, path: str, token: ClosedToken | WonToken) -> dict[str, Any] | None:
        found = read_record(self.store.share, path, token.offset, token.node, token.attempt)
        if found is None:
            # RACE: somebody may have archived or deleted it since its token was seen.
            raise_if_going(self.store, self.job)
        return found

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
