"""Findings about a job's tokens: two for one job, one for no job, none."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from jobqueue.check.entries import LEAP
from jobqueue.check.finding import Cure, Finding, aside
from jobqueue.check.look import JobLook, Place
from jobqueue.check.rebuild import Target, last_record, make, new_token, targets
from jobqueue.names import ClosedToken
from jobqueue.store import Store

# A job that is in one of these has been begun.
_STARTED = ("running", "won", "finished")


def find_too_many(job: JobLook) -> Iterator[Finding]:
    """Tokens that must not be there: the second one of a job, or one of no job at all."""
    for place in job.places:
        if place.token.node >= len(job.nodes):
            says = f"the token is of job {place.token.node}, and the hierarchy has {len(job.nodes)}"
            yield _set_aside(job, place, "unknown-node", says, ())
    for node, places in enumerate(job.by_node):
        for place in places[1:]:
            says = (
                f"the job has two tokens; the one in {places[0].where} has the higher MOVE, {places[0].token.move}, "
                f"this one in {place.where} has {place.token.move}"
            )
            yield _set_aside(job, place, "two-tokens", says, (places[0].name,), node)


def _set_aside(
    job: JobLook, place: Place, kind: str, says: str, evidence: tuple[str, ...], node: int | None = None
) -> Finding:
    # RACE: an attempt whose token is set aside is a superseded one: its commit finds nothing to move.
    name = job.name(len(job.nodes) if node is None else node)
    mend = partial(_move_aside, place, aside(job.number, place.where, place.name))
    return Finding(kind, job.number, name, place.path, says, evidence, Cure("this one goes to trash/", mend))


def _move_aside(place: Place, target: str, store: Store) -> None:
    store.share.try_move(place.directory, place.name, store.layout.trash, target)


def find_lost(job: JobLook) -> Iterator[Finding]:
    """Jobs without a token.

    RACE: one that moves back while we look is seen nowhere; so this is believed only after several looks, each of which
    lists in the order in which tokens flow.
    """
    if None not in job.states:
        return
    found = targets(job)
    for target in found:
        says = f"the job has no token, so that it would never end; {target.why}"
        cure = Cure(f"it gets one in {target.folder}/", partial(_make, target))
        directory = job.files.token_folder(target.folder)
        yield Finding("lost-token", job.number, job.name(target.node), directory, says, (str(target.node),), cure)
    for target in found:
        job.assume(target.node, target.folder, new_token(target))


def _make(target: Target, store: Store) -> None:
    make(store, target)


def find_taken_back(job: JobLook) -> Iterator[Finding]:
    """Results that were committed, and are so no more: a roll-back has put their tokens where they came from."""
    found = []
    # From the root down: what is taken back shows of what it depended on that it had succeeded, too.
    for node in reversed(job.nodes):
        own = job.by_node[node.node][0]
        if node.array is not None:
            # A roll-back of some of its items shows as tokens that cover the same.
            continue
        if own.folder not in ("blocked", "ready") or not any(job.states[parent] in _STARTED for parent in node.parents):
            continue
        record = last_record(job, node.node)
        if record is not None and record.fields["ok"]:
            says = f"the job is {own.folder}; its record says success, and a job that waits for it has begun"
            closed = ClosedToken(
                node.node, record.fields["attempt"], own.token.move + LEAP, 0, record.worker, record.slot, record.offset
            )
            cure = Cure("it goes to finished/", partial(_close, job.number, own, closed))
            found.append(Finding("taken-back", job.number, job.name(node.node), own.path, says, (own.name,), cure))
            job.assume(node.node, "finished", closed)
    yield from reversed(found)


def _close(number: int, place: Place, closed: ClosedToken, store: Store) -> None:
    # RACE: a slot may have claimed it since we looked; then its result will be the one that counts.
    store.share.try_move(place.directory, place.name, store.layout.job(number).finished, closed.name)
