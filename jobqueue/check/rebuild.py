"""What a job's lost token was, as far as the hierarchy, the other tokens, latches and journals tell."""

from __future__ import annotations

from typing import Any, NamedTuple

from jobqueue.check.entries import LEAP
from jobqueue.check.look import BEGUN, JobLook, Record
from jobqueue.identity import new_name
from jobqueue.journal import Journal
from jobqueue.layout import SUPERVISOR_SLOT, ClosedToken, Token
from jobqueue.store import Store

_ATTEMPT = ".attempt"


class Target(NamedTuple):
    """Where a job's new token is to lie.

    Attributes:
        number: of the top-level job.
        node: the job.
        folder: one of the token folders of the top-level job.
        why: what tells so, in words.
        attempt: the highest attempt that is known.
        record: the record that the token names, if there is one.
    """

    number: int
    node: int
    folder: str
    why: str
    attempt: int
    record: Record | None


def targets(job: JobLook) -> list[Target]:
    """For each job without a token where it belongs, in post-order."""
    missing = [node for node, state in enumerate(job.states) if state is None]
    states = list(job.states)
    whys: dict[int, str] = {}
    # From the root down, since what has begun tells of all below it that it has succeeded.
    for node in reversed(missing):
        if why := _why_finished(job, node, states):
            states[node], whys[node] = "finished", why
    is_cancelled = "cancelled" in states
    for node in missing:
        if states[node] is None:
            states[node], whys[node] = _open_state(job, node, states, is_cancelled=is_cancelled)
    return [_target(job, node, states[node] or "", whys[node]) for node in missing]


def _why_finished(job: JobLook, node: int, states: list[str | None]) -> str | None:
    parents = job.nodes[node].parents
    if any(states[parent] in BEGUN for parent in parents):
        return "a job that waits for it has begun, so it has succeeded"
    is_unlatched = any(node not in job.latched.get(parent, ()) for parent in parents)
    if is_unlatched and (last := last_record(job, node)) and last.fields["ok"]:
        return "its record says success, and a job that waits for it does so no more"
    is_done = job.entry is not None and job.entry.folder == "done"
    if not parents and is_done and "cancelled" not in states:
        return "the top-level job is done and was not cancelled"
    return None


def _open_state(job: JobLook, node: int, states: list[str | None], *, is_cancelled: bool) -> tuple[str, str]:
    if is_cancelled:
        return "cancelled", "the top-level job was cancelled"
    last = last_record(job, node)
    if last and not last.fields["ok"]:
        return "failed", "its last record says that it has failed"
    # A result whose sub-job is still in a latch was told to nobody, so that it may be made once more.
    if all(states[child] == "finished" for child in job.nodes[node].children):
        return "ready", "nothing shows that it has ended"
    return "blocked", "it waits for sub-jobs"


def last_record(job: JobLook, node: int) -> Record | None:
    """The record of a job's last attempt, if that has one."""
    found = job.records.get(node, [])
    last = max((record.fields["attempt"] for record in found), default=0)
    ends = [record for record in found if record.fields["attempt"] == last and "ok" in record.fields]
    return max(ends, default=None, key=lambda record: record.offset)


def _target(job: JobLook, node: int, folder: str, why: str) -> Target:
    record = last_record(job, node) if folder in ("finished", "failed") else None
    if record and bool(record.fields["ok"]) is not (folder == "finished"):
        record = None
    directories = job.look.names(job.files.node_dir(job.nodes[node].place))
    attempts = [int(name[len(_ATTEMPT) :]) for name in directories if _is_attempt(name)]
    attempts += [record.fields["attempt"] for record in job.records.get(node, [])]
    return Target(job.number, node, folder, why, max([0, *attempts]), record)


def _is_attempt(name: str) -> bool:
    number = name.removeprefix(_ATTEMPT)
    return number != name and number.isascii() and number.isdigit()


def new_token(target: Target) -> Token:
    """The token that is made, but for its record."""
    # The one place where a token comes into being a second time: under a name that is above all that there was.
    return Token(target.node, target.attempt, LEAP * (target.attempt + 1), 0)


def make(store: Store, target: Target) -> None:
    """Makes the token that is missing, and wakes the job where it is ready.

    CRASH: before the token is there nothing has changed but a journal of ours; after it, the next look finds what is
    left to do.
    """
    files = store.layout.job(target.number)
    token: Token | ClosedToken = new_token(target)
    if target.folder in ("finished", "failed"):
        worker, slot, offset = _whose_record(store, target)
        token = ClosedToken(*new_token(target), worker, slot, offset)
    store.share.create(f"{files.token_folder(target.folder)}/{token.name}")
    store.share.sync_dir(files.token_folder(target.folder))
    if target.folder == "ready":
        store.index.wake(target.number)


def _whose_record(store: Store, target: Target) -> tuple[str, int, int]:
    if target.record is not None:
        return target.record.worker, target.record.slot, target.record.offset
    writer = new_name("check", store.share.chance)
    journal = Journal(store.share, store.layout.job(target.number), writer, SUPERVISOR_SLOT)
    now = store.share.clock.now()
    is_good = target.folder == "finished"
    record: dict[str, Any] = {
        "event": "end", "node": target.node, "attempt": target.attempt, "ok": is_good, "start": None, "end": now,
        "progress": None, "status": f"rebuilt by `jobqueue check`: {target.why}",
        "error": None if is_good else target.why, "traceback": "", "result": None,
    }  # fmt: skip
    try:
        return writer, SUPERVISOR_SLOT, journal.append(record, sync=True)
    finally:
        journal.close()
