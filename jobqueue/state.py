"""Where jobs stand: reads tokens, moves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from jobqueue.errors import JobNotFoundError
from jobqueue.hierarchy import Hierarchy
from jobqueue.items import ArrayInfo
from jobqueue.layout import JobLayout
from jobqueue.names import (
    NODE_DIGITS,
    SHARD_ITEMS,
    TOKEN_FOLDERS,
    ClosedToken,
    RunningToken,
    Token,
    WonToken,
    latch_entry,
    parse_shard,
    spans_in,
)
from jobqueue.registry import owed
from jobqueue.store import Store

_NONE: Mapping[int, ArrayInfo] = MappingProxyType({})
AnyToken = Token | ClosedToken | RunningToken | WonToken


class JobState(Enum):
    """Where one job stands."""

    BLOCKED = "blocked"
    """It waits for sub-jobs."""
    READY = "ready"
    """A slot may take it."""
    RUNNING = "running"
    """A slot runs it, or has just run it."""
    FINISHED = "finished"
    """It has succeeded."""
    FAILED = "failed"
    """It has failed; its ancestors wait."""
    CANCELLED = "cancelled"
    """It was cancelled."""


_ENDED = (JobState.FINISHED, JobState.FAILED, JobState.CANCELLED)


class Sighting(NamedTuple):
    """Where a job's token was seen.

    Attributes:
        state: what that means.
        token: the token; ``None`` if it moved while we looked.
        worker: who runs or ran it; ``None`` before.
        items: of an array, how many of its items are in each state; it has no one token, then, and no one worker.
    """

    state: JobState
    token: AnyToken | None
    worker: str | None
    items: tuple[tuple[JobState, int], ...] | None = None

    @property
    def attempt(self) -> int:
        """The number of the latest attempt, 0 before the first."""
        return self.token.attempt if self.token else 0

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED

    @property
    def percent(self) -> float:
        """How many of its items have finished, if it is an array; else 0."""
        counts = dict(self.items or ())
        return 100.0 * counts.get(JobState.FINISHED, 0) / max(1, sum(counts.values()))


# RACE: it moves while we look.
_NOWHERE = Sighting(JobState.RUNNING, None, None)


def _sighting(folder: str, name: str) -> tuple[int, Sighting] | None:
    if folder in ("finished", "failed"):
        closed = ClosedToken.parse(name)
        return (closed.node, Sighting(JobState(folder), closed, closed.worker)) if closed else None
    token = Token.parse(name)
    return (token.node, Sighting(JobState(folder), token, None)) if token else None


def look_up(store: Store, job: JobLayout, node: int) -> Sighting:
    """Where one job of a hierarchy stands.

    Raises:
        JobNotFoundError: the top-level job was deleted.
    """
    start = f"{latch_entry(node)}."
    for _ in range(2):
        # RACE: a token that moves on while we look is found further on, since this is the order in which it flows; one
        # that moved back (given back, retried) is found by the second scan.
        for folder in TOKEN_FOLDERS:
            for name in store.share.names_or_none(job.token_folder(folder)) or ():
                if name.startswith(start) and (found := _sighting(folder, name)):
                    return found[1]
        for files, _, token in owed(store):
            if token.job == job.number and token.node == node:
                return Sighting(JobState.RUNNING, token, files.worker)
    raise_if_going(store, job)
    return _NOWHERE


def raise_if_going(store: Store, job: JobLayout) -> None:
    """To be called where a token was not found that should be somewhere.

    Raises:
        JobNotFoundError: the top-level job was deleted, or archived, or its directory is being removed.
    """
    # Whoever removes it begins with the entry, then closes ready/, and goes on to the other tokens.
    if store.share.names_or_none(job.ready) is None and (
        store.share.names_or_none(job.finished) is None or store.index.find(job.number) is None
    ):
        raise JobNotFoundError("there is no such job; it may have been deleted", job.dir)


def scan(store: Store, job: JobLayout, count: int, arrays: Mapping[int, ArrayInfo] = _NONE) -> list[Sighting]:
    """Where every job of a hierarchy stands, by node; a fixed number of listings, however many jobs there are.

    Of an array it is one more for each shard of 4,096 items of which something has finished, and again for failures.

    Args:
        store: the queue.
        job: the top-level job.
        count: how many jobs the hierarchy has.
        arrays: those of them that are arrays.

    Raises:
        JobNotFoundError: the top-level job was deleted.
    """
    found: dict[int, Sighting] = {}
    tallies = {node: dict.fromkeys(JobState, 0) for node in arrays}
    is_closed = False
    for folder in TOKEN_FOLDERS:
        directory = job.token_folder(folder)
        names = store.share.names_or_none(directory)
        is_closed = is_closed or names is None
        for name in names or ():
            if tallies and (items := _items_of(store, directory, name)):
                tallies.setdefault(items[0], dict.fromkeys(JobState, 0))[JobState(folder)] += items[1]
            elif seen := _sighting(folder, name):
                found[seen[0]] = seen[1]
    found.update((node, _array_sighting(arrays[node], tallies[node])) for node in arrays)
    if len(found) < count:
        for files, _, token in owed(store):
            if token.job == job.number and token.node not in found:
                found[token.node] = Sighting(JobState.RUNNING, token, files.worker)
    every = [found.get(node, _NOWHERE) for node in range(count)]
    # RACE: of what is removed while we list it a part is missing. Then a folder is gone, or a job is nowhere, or it is
    # above one that seems not to have ended.
    is_odd = is_closed or _NOWHERE in every or every[-1].has_ended
    if is_odd and not all(one.has_ended for one in every):
        raise_if_going(store, job)
    return every


def _items_of(store: Store, directory: str, name: str) -> tuple[int, int] | None:
    """The array that a name in a token folder is of, and for how many of its items it stands there."""
    if shard := parse_shard(name):
        return shard[0], _size_of_shard(store.share.names_or_none(f"{directory}/{name}") or [])
    size = _size((name,))
    return (int(name[:NODE_DIGITS]), size) if size else None


def _size_of_shard(names: list[str]) -> int:
    if len(names) == SHARD_ITEMS:
        ends = spans_in((min(names), max(names)))
        if len(ends) > 1:
            # All names lie between two of this kind, and each begins with another item of this shard: so each but the
            # last one stands for one.
            return ends[-1][1] - ends[0][0]
    return _size(names)


def _size(names: Iterable[str]) -> int:
    return sum(end - start for start, end in spans_in(names))


def _array_sighting(array: ArrayInfo, counts: dict[JobState, int]) -> Sighting:
    # What is in no folder of the job's is in a worker's, or moves.
    counts[JobState.RUNNING] = max(0, array.length - sum(counts.values()))
    if counts[JobState.FINISHED] >= array.length:
        state = JobState.FINISHED
    else:
        order = (JobState.CANCELLED, JobState.RUNNING, JobState.READY, JobState.FAILED, JobState.BLOCKED)
        state = next(state for state in order if counts[state])
    return Sighting(state, None, None, tuple(counts.items()))


def look_up_array(store: Store, job: JobLayout, node: int, array: ArrayInfo) -> Sighting:
    """Where an array stands.

    Raises:
        JobNotFoundError: the top-level job was deleted.
    """
    return scan(store, job, node + 1, {node: array})[node]


class Summary(NamedTuple):
    """A hierarchy at a glance.

    Attributes:
        counts: how many jobs are in each state; each item of an array counts as one.
        failed: the nodes of those that have failed.
        has_ended: the root has finished or was cancelled; nothing more will happen.
        is_stalled: some job has failed, and nothing is ready or running any more.
        is_good: the root has succeeded.
    """

    counts: dict[JobState, int]
    failed: list[int]
    has_ended: bool
    is_stalled: bool
    is_good: bool

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def progress(self) -> float:
        """Percent of the jobs that have succeeded."""
        return 100.0 * self.counts[JobState.FINISHED] / max(1, self.total)


def summarize(store: Store, job: JobLayout) -> Summary:
    """How a hierarchy stands.

    Raises:
        JobNotFoundError: the top-level job was deleted.
        BrokenJobError: its directory cannot be read.
    """
    hierarchy = Hierarchy(store.share, job.hierarchy)
    count, arrays = hierarchy.count, hierarchy.arrays()
    seen = scan(store, job, count, arrays)
    summary = summary_of(seen)
    if summary.is_stalled:
        # RACE: while we listed, one job may have ended and another have become ready behind our back. Nothing can
        # happen to a hierarchy that is stalled, so a second look shows the same tokens.
        again = scan(store, job, count, arrays)
        if again != seen:
            return summary_of(again)._replace(is_stalled=False)
    return summary


def _has_failed(sighting: Sighting) -> bool:
    return sighting.state is JobState.FAILED or bool(sighting.items and dict(sighting.items)[JobState.FAILED])


def summary_of(seen: list[Sighting]) -> Summary:
    """The summary of what was seen; the last one is the root's."""
    counts = dict.fromkeys(JobState, 0)
    for sighting in seen:
        for state, count in sighting.items or ((sighting.state, 1),):
            counts[state] += count
    failed = [node for node, sighting in enumerate(seen) if _has_failed(sighting)]
    root = seen[-1].state
    active = counts[JobState.READY] + counts[JobState.RUNNING]
    return Summary(
        counts,
        failed,
        has_ended=root in (JobState.FINISHED, JobState.CANCELLED),
        is_stalled=bool(failed) and not active and root not in (JobState.FINISHED, JobState.CANCELLED),
        is_good=root is JobState.FINISHED,
    )
