"""Findings about arrays: each item has to be covered by one token, or be owed by one."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from jobqueue.check.entries import LEAP
from jobqueue.check.finding import Cure, Finding, aside
from jobqueue.check.look import BEGUN, JobLook, Place
from jobqueue.check.rebuild import write_record
from jobqueue.hierarchy import Node
from jobqueue.items import ArrayInfo
from jobqueue.names import ClosedToken, Record, RunningToken, Span, Token, WonToken
from jobqueue.pieces import spare_name
from jobqueue.store import Store


class Cover(NamedTuple):
    """Some items, and the token that stands for them; what it owes stands for itself."""

    start: int
    end: int
    place: Place
    is_owed: bool


def find_in_arrays(job: JobLook) -> Iterator[Finding]:
    """Items with two tokens or none.

    RACE: a piece that is split while we look may be seen as it was before and after. A second look at the same names
    sees the same only where nothing moves.
    """
    for node in job.nodes:
        if node.array is not None:
            covers, doubles = _without_doubles(_covers(job, node.node))
            for cover, other in doubles:
                yield _double(job, node, cover, other)
            for span in _gaps(covers, node.array.length):
                yield _gap(job, node, node.array, span, [cover.place for cover in covers])


def _covers(job: JobLook, node: int) -> list[Cover]:
    found = []
    for place in job.pieces.get(node, ()):
        span = place.token.span
        assert span is not None
        found.append(Cover(span.start, span.end, place, False))
        owing = place.token if isinstance(place.token, RunningToken | WonToken) and span.owed is not None else None
        if owing is not None and (place.worker, spare_name(owing)) in job.look.spares:
            found.append(Cover(span.end, span.whole.end, place, True))
    return found


def _without_doubles(covers: list[Cover]) -> tuple[list[Cover], list[tuple[Cover, Cover]]]:
    """Those that count, and those that cover what another one covers, each with that one.

    The one with the higher MOVE counts: it is further on its way.
    """
    kept: list[Cover] = []
    starts: list[int] = []
    doubles = []
    for cover in sorted(covers, key=lambda cover: (-cover.place.token.move, cover.is_owed, cover.start)):
        # What is kept does not overlap, so the last one that begins before this one ends tells.
        at = bisect.bisect_left(starts, cover.end)
        if not at or kept[at - 1].end <= cover.start:
            at = bisect.bisect_left(starts, cover.start)
            kept.insert(at, cover)
            starts.insert(at, cover.start)
        elif cover.place != kept[at - 1].place:
            doubles.append((cover, kept[at - 1]))
    return kept, doubles


def _gaps(covers: list[Cover], length: int) -> Iterator[Span]:
    at = 0
    for cover in covers:
        if cover.start > at:
            yield Span(at, cover.start)
        at = max(at, cover.end)
    if at < length:
        yield Span(at, length)


def _double(job: JobLook, node: Node, cover: Cover, other: Cover) -> Finding:
    place, counts = cover.place, other.place
    says = (
        f"items {cover.start} to {cover.end - 1} have two tokens; the one in {counts.where} has the higher MOVE, "
        f"{counts.token.move}, this one in {place.where} has {place.token.move}"
    )
    cure = None
    if not cover.is_owed:
        # RACE: an attempt whose token is set aside is a superseded one: its commit finds nothing to move.
        mend = partial(_move_aside, place, aside(job.number, place.where, place.name))
        cure = Cure("this one goes to trash/", mend)
    return Finding("two-tokens", job.number, job.name(node.node), place.path, says, (counts.name,), cure)


def _move_aside(place: Place, target: str, store: Store) -> None:
    store.share.try_move(place.directory, place.name, store.layout.trash, target)


def _gap(job: JobLook, node: Node, array: ArrayInfo, span: Span, places: list[Place]) -> Finding:
    says = f"items {span.start} to {span.end - 1} of {array.length} have no token, so that they would never end"
    if any(job.states[parent] in BEGUN for parent in node.parents):
        folder, why = "finished", "a job that waits for the array has begun, so they have succeeded"
    elif job.states[node.node] == "cancelled":
        folder, why = "cancelled", "the top-level job was cancelled"
    elif job.states[node.node] == "blocked":
        folder, why = "blocked", "the array waits for sub-jobs"
    else:
        folder, why = "ready", "nothing shows that they have ended"
    attempt = max((place.token.attempt for place in places), default=0)
    token = Token(node.node, attempt, LEAP * (attempt + 1), 0, span)
    cure = Cure(f"they get one in {folder}/", partial(_make, job.number, folder, token, why))
    directory = job.files.token_folder(folder)
    evidence = (f"{span.start}-{span.end}", job.by_node[node.node][0].name)
    return Finding("lost-token", job.number, job.name(node.node), directory, f"{says}; {why}", evidence, cure)


def _make(number: int, folder: str, token: Token, why: str, store: Store) -> None:
    job = store.layout.job(number)
    if folder != "finished":
        store.share.create(f"{job.token_folder(folder)}/{token.name}")
        store.share.sync_dir(job.token_folder(folder))
        if folder == "ready":
            store.index.wake(number)
        return
    assert token.span is not None
    record: Record = write_record(store, number, token, is_good=True, why=why)
    closed = ClosedToken(*token[:4], *record, token.span)
    shard = job.shard(folder, token.node, token.span.start)
    store.share.try_make_dir(shard)
    store.share.create(f"{shard}/{closed.name}")
    store.share.sync_dir(shard)
