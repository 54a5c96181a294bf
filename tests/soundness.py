"""The invariants of a queue, looked for in its directory alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.journal import read_record
from jobqueue.layout import (
    INDEX_FOLDERS,
    TOKEN_FOLDERS,
    ClosedToken,
    Entry,
    JobLayout,
    QueueLayout,
    RunningToken,
    Token,
    WonToken,
    is_latch_entry,
)
from jobqueue.share import Share

_BEGUN = ("ready", "running", "won", "finished")
_DONE = ("won", "finished")


class Place(NamedTuple):
    """Where a token lies: the folder, its worker if it is in flight, and the token."""

    folder: str
    worker: str | None
    token: Token | ClosedToken | RunningToken | WonToken


def assert_sound(queue_dir: Path | str, *, at_rest: bool = True, share: Share | None = None) -> dict[int, list[str]]:
    """Fails where a queue breaks an invariant.

    Args:
        queue_dir: the queue, in which nothing happens just now.
        at_rest: also that nothing is left undone that somebody should have done.
        share: to look with.

    Returns:
        For each published job the folders in which its jobs' tokens lie, in post-order.
    """
    share = share or Share()
    layout = QueueLayout(str(queue_dir))
    entries = _entries(share, layout)
    in_flight = _in_flight(share, layout, entries)
    return {
        number: _assert_job(share, layout.job(number), entry, in_flight.get(number, []), at_rest=at_rest)
        for number, entry in entries.items()
    }


def _names(share: Share, directory: str) -> list[str]:
    return share.names_or_none(directory) or []


def _entries(share: Share, layout: QueueLayout) -> dict[int, Entry]:
    found: dict[int, Entry] = {}
    for folder in INDEX_FOLDERS:
        for name in _names(share, layout.index_folder(folder)):
            if entry := Entry.parse(folder, name):
                assert entry.number not in found, f"{found[entry.number]} and {entry} are of one job"
                found[entry.number] = entry
    return found


def _in_flight(share: Share, layout: QueueLayout, entries: dict[int, Entry]) -> dict[int, list[Place]]:
    being_deleted = {entry.number for name in _names(share, layout.trash) if (entry := Entry.parse("trash", name))}
    found: dict[int, list[Place]] = {}
    for worker in _names(share, layout.workers):
        files = layout.worker(worker)
        for folder, parse in (("running", RunningToken.parse), ("won", WonToken.parse)):
            for token in map(parse, _names(share, f"{files.dir}/{folder}")):
                if token is None:
                    continue
                known = token.job in entries or token.job in being_deleted
                assert known, f"{token} of {worker} is of a job that was never published"
                found.setdefault(token.job, []).append(Place(folder, worker, token))
    return found


def _assert_job(share: Share, job: JobLayout, entry: Entry, in_flight: list[Place], *, at_rest: bool) -> list[str]:
    nodes = list(Hierarchy(share, job.hierarchy).nodes())
    places = [*_places(share, job), *in_flight]
    by_node: list[list[Place]] = [[] for _ in nodes]
    for place in places:
        by_node[place.token.node].append(place)
        assert place.token.charged <= place.token.attempt <= place.token.move, place
    for number, found in enumerate(by_node):
        assert len(found) == 1, f"job {number} of {job.dir} has the tokens {found}"
    only = [found[0] for found in by_node]
    folders = [place.folder for place in only]
    for node, place in zip(nodes, only, strict=True):
        _assert_order(node, folders)
        _assert_record(share, job, place)
        if "cancelled" not in folders:
            _assert_latch(share, job, node, folders, at_rest=at_rest)
    if at_rest:
        _assert_rest(entry, folders)
    return folders


def _places(share: Share, job: JobLayout) -> list[Place]:
    found: list[Place] = []
    for folder in TOKEN_FOLDERS:
        parse = ClosedToken.parse if folder in ("finished", "failed") else Token.parse
        names = _names(share, job.token_folder(folder))
        found += [Place(folder, None, token) for name in names if (token := parse(name))]
    return found


def _assert_order(node: Node, folders: Sequence[str]) -> None:
    """No job begins before all that it depends on has succeeded."""
    if folders[node.node] in _BEGUN:
        missing = [child for child in node.children if folders[child] not in _DONE]
        assert not missing, f"job {node.node} is {folders[node.node]} before {missing}"


def _assert_record(share: Share, job: JobLayout, place: Place) -> None:
    """The result that counts is the one that the token names."""
    if isinstance(place.token, ClosedToken):
        token = place.token
        record = read_record(share, job.journal(token.worker, token.slot), token.offset, token.node, token.attempt)
        assert record is not None, f"the record of {place} is lost"
        assert record["ok"] is (place.folder == "finished"), (place, record)


def _assert_latch(share: Share, job: JobLayout, node: Node, folders: Sequence[str], *, at_rest: bool) -> None:
    held = {int(name) for name in _names(share, job.latch(node.node)) if is_latch_entry(name)}
    assert held <= set(node.children), f"the latch of job {node.node} holds {held}"
    for child in node.children:
        if folders[child] == "finished":
            assert child not in held, f"job {child} has finished and is still in the latch of {node.node}"
        elif folders[child] != "won":
            assert child in held, f"job {child} is {folders[child]} and not in the latch of {node.node}"
    if at_rest and folders[node.node] == "blocked":
        assert held, f"job {node.node} is blocked and waits for nothing"


def _assert_rest(entry: Entry, folders: Sequence[str]) -> None:
    assert "won" not in folders, f"{entry}: a result is not settled"
    if "ready" in folders:
        assert entry.folder in ("runnable", "held"), f"{entry} has ready jobs, and nobody will look"
    assert (entry.folder == "done") == (folders[-1] in ("finished", "cancelled")), (entry, folders)
