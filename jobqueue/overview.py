"""What a whole queue looks like from outside: its top-level jobs and its workers, from listings alone."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Any, NamedTuple

from jobqueue.identity import boot_id, host_name, is_process_gone, pid_namespace, started_ticks
from jobqueue.names import Entry, RunningToken
from jobqueue.registry import avoided_for, owed, read_info, use_of, worker_names
from jobqueue.state import Summary
from jobqueue.store import Store


class QueueState(Enum):
    """What a top-level job as a whole can do."""

    READY = "ready"
    """A worker may take something of it."""
    RUNNING = "running"
    """Something of it runs."""
    WAITING = "waiting"
    """A result of it is being settled; nothing else can happen until then."""
    STALLED = "stalled"
    """Something of it has failed, and nothing can be run before that is tried again."""
    HELD = "held"
    """Nothing of it is begun until it is released."""
    DONE = "done"
    """It has succeeded or was cancelled."""
    ARCHIVED = "archived"
    """The same, and it lies in the archive; `top_jobs` does not name it."""


class TopJob(NamedTuple):
    """A top-level job as a listing shows it.

    Attributes:
        entry: its file in the index.
        state: what that means.
        running: how many of its jobs run.
    """

    entry: Entry
    state: QueueState
    running: int

    @property
    def name(self) -> str:
        return f"job{self.entry.number}"


def top_jobs(store: Store) -> list[TopJob]:
    """All top-level jobs in processing order, with a fixed number of listings and two for each worker.

    Not guaranteed: that a job in runnable/ has something ready. It stays there until a worker has looked.
    """
    entries = store.index.all()
    running: Counter[int] = Counter()
    in_flight: set[int] = set()
    for _, _, token in owed(store):
        in_flight.add(token.job)
        running[token.job] += type(token) is RunningToken
    found = [TopJob(entry, _state(entry, running[entry.number], in_flight), running[entry.number]) for entry in entries]
    if any(job.state is QueueState.STALLED for job in found):
        # RACE: between the listings a job may have been settled and another one been claimed. Then somebody has woken
        # the entry, which raises K; a stalled one still has the name that we saw.
        still = set(store.index.folder("waiting"))
        found = [
            job._replace(state=QueueState.WAITING)
            if job.state is QueueState.STALLED and job.entry not in still
            else job
            for job in found
        ]
    return found


def _state(entry: Entry, running: int, in_flight: set[int]) -> QueueState:
    if entry.folder == "done":
        return QueueState.DONE
    if entry.folder == "held":
        return QueueState.HELD
    if running:
        return QueueState.RUNNING
    if entry.folder == "runnable":
        return QueueState.READY
    return QueueState.WAITING if entry.number in in_flight else QueueState.STALLED


def refined(job: TopJob, summary: Summary) -> TopJob:
    """The same with what only a look into the job can tell: it is stalled before a worker has noticed."""
    is_open = job.state not in (QueueState.DONE, QueueState.HELD)
    return job._replace(state=QueueState.STALLED) if is_open and summary.is_stalled else job


class WorkerView(NamedTuple):
    """A worker as others see it.

    Attributes:
        worker: its name in the queue.
        info: what it said of itself when it came; empty while it is coming.
        running: how many jobs it runs.
        beat_age_s: seconds since its last sign of life, by this host's clock against the server's; ``None`` if there
            was none.
        is_alive: whether its process is there; ``None`` where that cannot be told from this host.
        calls_per_s: how often it and its jobs have called on the share of late; ``None`` before it has said so.
        avoided_for: the jobs that have failed there and were finished by others, for which it takes nothing new now.
    """

    worker: str
    info: dict[str, Any]
    running: int
    beat_age_s: float | None
    is_alive: bool | None
    calls_per_s: float | None
    avoided_for: list[str]


def workers(store: Store) -> list[WorkerView]:
    """All workers that have a directory."""
    found = []
    for name in worker_names(store):
        info = read_info(store, name) or {}
        beaten = store.share.changed_at(store.layout.worker(name).beat)
        age_s = None if beaten is None else max(0.0, store.share.clock.now() - beaten)
        running = len(store.tokens.running_of(name))
        use = use_of(store, name)
        calls_per_s = 1000 * use.calls / use.took_ms if use and use.took_ms else None
        found.append(WorkerView(name, info, running, age_s, _is_alive(info), calls_per_s, avoided_for(store, name)))
    return found


def _is_alive(info: dict[str, Any]) -> bool | None:
    here = {"host": host_name(), "boot": boot_id(), "pidns": pid_namespace()}
    pid = info.get("pid")
    # Without a name space (not Linux) a pid says nothing; with another one it is another process's.
    if not all(here.values()) or not isinstance(pid, int) or any(info.get(key) != value for key, value in here.items()):
        return None
    ticks = info.get("started_ticks")
    if is_process_gone(pid, ticks):
        return False
    # Another user's may be hidden from us.
    return True if ticks is not None and started_ticks(pid) == ticks else None
