"""The invariants at every step: each change of a name on the server is booked, and those that must not be are told."""

from __future__ import annotations

import json
from collections.abc import Callable

from jobqueue.hierarchy import Hierarchy
from jobqueue.layout import JobLayout, QueueLayout
from jobqueue.names import Entry, WonToken
from jobqueue.testing.server import Change, File, ModelServer
from jobqueue.testing.share import ModelShare
from tests.simulation.items import Items, is_of_array
from tests.simulation.places import MOVES, SUCCEEDED, Place, entry_of, place_of


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
        # The nodes that are arrays.
        self._arrays: dict[int, set[int]] = {}
        self.items = Items(violate, self._says_success)
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
            if is_of_array(place.token):
                self.items.created(place)
                return
            if (place.job, place.node) in self.places and place.job not in self.deleted:
                self._violate(f"a second token of one job was created: {path}")
            self.places[place.job, place.node] = place
        elif entry_of(path):
            self._violate(f"an entry was created, not moved: {path}")

    def _removed(self, path: str) -> None:
        if place := place_of(path):
            if place.job in self.entries:
                self._violate(f"a token of a published job was removed: {path}")
            if is_of_array(place.token):
                self.items.removed(place)
                return
            if self.places.get((place.job, place.node)) == place:
                del self.places[place.job, place.node]
        elif entry_of(path):
            self._violate(f"an entry was removed: {path}")

    def _moved(self, change: Change) -> None:
        before, after = place_of(change.path), place_of(change.target)
        if (before and is_of_array(before.token)) or (after and is_of_array(after.token)):
            number = (before or after).job  # type: ignore[union-attr]
            self.items.moved(before, after, change, is_published=number in self.entries)
            if after and after.folder in ("ready", "running") and before and before.folder in ("blocked", "ready"):
                self._check_order(after, change)
        elif before or after:
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
        self._arrays[number] = set(hierarchy.arrays())
        for node, children in enumerate(self._children[number]):
            place = self.places.get((number, node))
            if node in self._arrays[number]:
                place = self.items.places.get((number, node), {}).get(0)
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
        if (before.folder, after.folder) not in MOVES:
            self._violate(f"a token may not move so: {change}")
        if (after.job, after.node) != (before.job, before.node) or after.token.move != before.token.move + 1:
            self._violate(f"a token has changed its job, or its number of moves is wrong: {change}")
        if after.token.attempt != before.token.attempt + (after.folder == "running"):
            self._violate(f"the number of attempts is wrong: {change}")

    def _check_order(self, after: Place, change: Change) -> None:
        """No job is ready, or runs, before all that it depends on has succeeded."""
        for child in self._children[after.job][after.node]:
            if child in self._arrays[after.job]:
                if not self.items.has_succeeded_or_stands(after.job, child):
                    self._violate(f"job {after.node} goes on before all items of job {child} have succeeded: {change}")
                continue
            place = self.places[after.job, child]
            if place.folder not in SUCCEEDED or not self._committed.get((after.job, child)):
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

    def _says_success(self, after: Place, change: Change) -> bool:
        """The same for a chunk of an array."""
        assert isinstance(after.token, WonToken)
        self.commits += 1
        return self._is_success(self._layout.job(after.job), after.worker, after.token, change)

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
        items = record.get("items")
        if token.span is not None and items != [token.span.start, token.span.end]:
            self._violate(f"items were committed whose record is that of others: {change}")
        if (record["node"], record["attempt"]) != (token.node, token.attempt):
            self._violate(f"a result was committed whose record is another one's: {change}")
        return bool(record["ok"])

    def every_place(self) -> list[Place]:
        """Where all tokens lie."""
        return [*self.places.values(), *self.items.all()]

    # --- at rest -------------------------------------------------------------------------------------------------

    def has_come_to_rest(self) -> bool:
        """Whether every job has ended, or is stalled, or is held by somebody."""
        open_jobs = {number for number, entry in self.entries.items() if entry.folder not in ("done", "held")}
        for place in self.every_place():
            job = place.job
            if place.folder in ("running", "won") and (job in self.entries or job in self.deleted):
                return False
            if place.folder == "ready" and job in open_jobs:
                return False
        return all(self._is_stalled(number) for number in open_jobs)

    def _is_stalled(self, number: int) -> bool:
        folders = {place.folder for place in self.every_place() if place.job == number}
        return "failed" in folders and folders <= {"failed", "blocked", "finished"}
