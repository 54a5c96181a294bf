"""The invariants of a queue, as `jobqueue check` finds them in its directory, and what is stricter than those."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jobqueue.check.audit import find_in_job
from jobqueue.check.entries import find_in_queue
from jobqueue.check.look import BEGUN, JobLook, Look
from jobqueue.share import Share
from jobqueue.store import Store

_DONE = ("won", "finished")
# What somebody is about to do, while something moves.
_PENDING = ("latch-empty", "not-done", "not-woken", "open-under-done")


def assert_sound(
    queue_dir: Path | str, *, at_rest: bool = True, records: bool = True, share: Share | None = None
) -> dict[int, list[str]]:
    """Fails where a queue breaks an invariant.

    Args:
        queue_dir: the queue, in which nothing happens just now.
        at_rest: also that nothing is left undone that somebody should have done.
        records: also that each result can be read; a power cut of a local disk may take the last ones.
        share: to look with.

    Returns:
        For each published job the folders in which its jobs' tokens lie, in post-order.
    """
    look = Look(Store(str(queue_dir), share))
    jobs = [JobLook(look, number) for number in sorted({*look.numbers, *look.in_flight()})]
    found = [*find_in_queue(look), *(finding for job in jobs for finding in find_in_job(job))]
    # What is being deleted is no concern.
    wrong = [finding for finding in found if not finding.is_note or (records and finding.kind == "record-lost")]
    wrong = [finding for finding in wrong if at_rest or finding.kind not in _PENDING]
    assert not wrong, "\n".join(f"{finding.kind}: {finding.path}: {finding.says}" for finding in wrong)
    return {job.number: _assert_job(job, at_rest=at_rest) for job in jobs if job.entry}


def _assert_job(job: JobLook, *, at_rest: bool) -> list[str]:
    for place in job.places:
        assert place.token.charged <= place.token.attempt <= place.token.move, place
    folders = [places[0].folder for places in job.by_node]
    for node in job.nodes:
        # Of a hierarchy that has ended, too: nothing has begun before all that it depends on had succeeded.
        missing = [child for child in node.children if folders[child] not in _DONE]
        assert folders[node.node] not in BEGUN or not missing, f"job {node.node} is in {folders} before {missing}"
    if at_rest:
        _assert_rest(job, folders)
    return folders


def _assert_rest(job: JobLook, folders: Sequence[str]) -> None:
    assert job.entry is not None
    assert "won" not in folders, f"{job.entry}: a result is not settled"
    assert (job.entry.folder == "done") == (folders[-1] in ("finished", "cancelled")), (job.entry, folders)
