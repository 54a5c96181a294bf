"""Findings about what waits for what: latches, and jobs that have begun too early."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from jobqueue.check.entries import file_instead
from jobqueue.check.finding import Cure, Finding
from jobqueue.check.look import BEGUN, JobLook
from jobqueue.hierarchy import Node
from jobqueue.layout import JobLayout
from jobqueue.names import Token, latch_entry
from jobqueue.store import Store


def find_in_latches(job: JobLook) -> Iterator[Finding]:
    """What keeps a job waiting for ever, or does not keep it."""
    assert job.entry is not None
    if job.entry.folder == "done" or "cancelled" in job.states:
        # Nothing of it is begun any more, so nothing waits.
        return
    held = job.latched
    # A latch that is missing is one that is empty, so none is made in the file's place.
    yield from (file_instead(job, path, is_made=False) for path in job.latch_files)
    for node in job.nodes:
        yield from _find(job, node, held.get(node.node, set()))


def _find(job: JobLook, node: Node, held: set[int]) -> Iterator[Finding]:
    own = job.by_node[node.node][0]
    unfinished = [child for child in node.children if job.states[child] not in ("finished", "won")]
    waits_for = {child for child in node.children if not job.is_settled(child)}
    over = sorted(held - waits_for)
    if unfinished and own.folder in BEGUN:
        yield _early(job, node, unfinished)
    elif absent := [child for child in unfinished if child not in held]:
        what = "latch is missing" if node.node not in job.latched else "latch does not hold"
        says = f"the job waits for {_names(job, absent)}, and its {what}" + ("" if "missing" in what else " them")
        cure = Cure("the latch is made whole", partial(_latch, job.files, node.node, absent))
        yield _finding(job, node, "latch-missing", says, _evidence(job, node, absent), cure)
    elif own.folder == "blocked" and not over and all(job.is_settled(child) for child in node.children):
        # A sub-job in somebody's won/, or one that is somebody's duty, is one whose settler will look at the latch.
        says = "the job is blocked and waits for nothing"
        cure = Cure("the job becomes ready", partial(_release, job.files, node.node, []))
        yield _finding(job, node, "latch-empty", says, _evidence(job, node, []), cure)
    if over:
        # Order matters: who takes the last one out of a latch that is not whole makes the job ready.
        yield _over(job, node, over)


def _finding(job: JobLook, node: Node, kind: str, says: str, evidence: tuple[str, ...], cure: Cure | None) -> Finding:
    return Finding(kind, job.number, job.name(node.node), job.files.latch(node.node), says, evidence, cure)


def _evidence(job: JobLook, node: Node, children: Iterable[int]) -> tuple[str, ...]:
    """The tokens that it rests on: names are never used twice, so the same name at two looks has not moved."""
    return tuple(job.by_node[which][0].name for which in (node.node, *children))


def _names(job: JobLook, nodes: list[int]) -> str:
    more = f" and {len(nodes) - 3} more" if len(nodes) > 3 else ""
    return ", ".join(job.name(node) for node in nodes[:3]) + more


def _over(job: JobLook, node: Node, over: list[int]) -> Finding:
    """RACE: who settles a sub-job takes it out of the latch before he closes its token."""
    known = [child for child in over if child in node.children]
    says = "the latch holds what the job does not wait for: "
    says += f"{_names(job, known)}, finished" if known else f"job {over[0]}, no sub-job of it"
    cure = Cure("it is taken out", partial(_release, job.files, node.node, over))
    return _finding(job, node, "latch-over", says, (*map(latch_entry, over),), cure)


def _release(files: JobLayout, node: int, children: list[int], store: Store) -> None:
    store.tokens.release(files, node, children)


def _latch(files: JobLayout, node: int, children: list[int], store: Store) -> None:
    """RACE: one of them may have been settled since we looked; then the next look finds it in the latch."""
    store.share.try_make_dir(files.latch(node))
    for child in children:
        store.share.create(f"{files.latch(node)}/{latch_entry(child)}")


def _early(job: JobLook, node: Node, unfinished: list[int]) -> Finding:
    """What a roll-back brings about that has taken back a sub-job's success."""
    own = job.by_node[node.node][0]
    says = f"the job is {own.folder}, and {_names(job, unfinished)} has not finished"
    evidence = _evidence(job, node, unfinished)
    if own.folder != "ready" or node.array is not None:
        says += "; its result stands, and what has not finished is run again"
        return _finding(job, node, "early", says, evidence, None)
    assert isinstance(own.token, Token)
    cure = Cure("it goes back to blocked/", partial(_block, job.files, own.token, unfinished))
    job.assume(node.node, "blocked", own.token._replace(move=own.token.move + 1))
    return _finding(job, node, "early", says, evidence, cure)


def _block(files: JobLayout, token: Token, children: list[int], store: Store) -> None:
    # Order matters: a job that is blocked and has no latch is ready for whoever settles.
    _latch(files, token.node, children, store)
    target = token._replace(move=token.move + 1)
    store.share.try_move(files.ready, token.name, files.blocked, target.name)
