"""What a job's lost token was, as far as the hierarchy, the other tokens, latches and journals tell."""

from __future__ import annotations

from typing import Any, NamedTuple

from jobqueue.check.entries import LEAP
from jobqueue.check.look import BEGUN, JobLook, Record
from jobqueue.identity import new_name
from jobqueue.journal import Journal
from jobqueue.names import SUPERVISOR_SLOT, ClosedToken, Token
from jobqueue.names import Record as RecordPlace
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
    if _final_failures(job, node):
        return "failed", "its last record says that it has failed"
    # A result whose sub-job is still in a latch was told to nobody, so that it may be made once more.
    if all(states[child] == "finished" for child in job.nodes[node].children):
        return "ready", "nothing shows that it has ended"
    return "blocked", "it waits for sub-jobs"


def last_record(job: JobLook, node: int) -> Record | None:
    """The record of a job's last attempt, if that has one; of several one that says success."""
    return min(_last_records(job, node), default=None, key=lambda record: not record.fields["ok"])


def _last_records(job: JobLook, node: int) -> list[Record]:
    """The records of a job's last attempt; an attempt can have several, in journals that do not know of one another.

    Which of them came last nothing tells: offsets in two files cannot be compared, and clocks are not.
    """
    found = job.records.get(node, [])
    last = max((record.fields["attempt"] for record in found), default=0)
    return sorted(
        (record for record in found if record.fields["attempt"] == last and "ok" in record.fields),
        key=lambda record: (record.worker, record.slot, record.offset),
    )


def _final_failures(job: JobLook, node: int) -> list[Record]:
    """Those that say failure for good. After an error that is forgiven (``maxErrors``) a job is ready again."""
    return [record for record in _last_records(job, node) if not record.fields["ok"] and not record.fields.get("again")]


def _target(job: JobLook, node: int, folder: str, why: str) -> Target:
    record = None
    if folder == "finished":
        last = last_record(job, node)
        record = last if last and last.fields["ok"] else None
    elif folder == "failed":
        record = _final_failures(job, node)[0]
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
        token = ClosedToken(*new_token(target)[:4], worker, slot, offset)
    store.share.create(f"{files.token_folder(target.folder)}/{token.name}")
    store.share.sync_dir(files.token_folder(target.folder))
    if target.folder == "ready":
        store.index.wake(target.number)


def _whose_record(store: Store, target: Target) -> tuple[str, int, int]:
    if target.record is not None:
        return target.record.worker, target.record.slot, target.record.offset
    token = Token(target.node, target.attempt, 0, 0)
    return write_record(store, target.number, token, is_good=target.folder == "finished", why=target.why)


def write_record(store: Store, number: int, token: Token, *, is_good: bool, why: str) -> RecordPlace:
    """A record for a result of which nothing else is known, in a journal of its own; where it lies."""
    writer = new_name("check", store.share.chance)
    journal = Journal(store.share, store.layout.job(number), writer, SUPERVISOR_SLOT)
    now = store.share.clock.now()
    record: dict[str, Any] = {
        "event": "end", "node": token.node, "attempt": token.attempt, "ok": is_good, "start": None, "end": now,
        "progress": None, "status": f"rebuilt by `jobqueue check`: {why}",
        "error": None if is_good else why, "traceback": "", "result": None,
    }  # fmt: skip
    if token.span is not None:
        record["items"] = [token.span.start, token.span.end]
    try:
        return RecordPlace(writer, SUPERVISOR_SLOT, journal.append(record, sync=True))
    finally:
        journal.close()
