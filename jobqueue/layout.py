"""Every name on disk, and the format version. Pure: nothing here touches a file system.

Names use ``[a-z0-9._-]`` and mean the same in upper and lower case; fields are separated by dots and never contain one.
A name that does not parse belongs to somebody else (.nfs*, ._*, .DS_Store) and is ignored: every ``parse`` here
returns ``None`` for it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

FORMAT_VERSION = 1
# The environment variable that names a queue, to commands and to jobs.
QUEUE_VARIABLE = "JOBQUEUE_QUEUE"

INDEX_FOLDERS = ("runnable", "waiting", "held", "done")
# In the order in which a token flows: a reader that scans them in this order can only miss a token that moves back.
TOKEN_FOLDERS = ("blocked", "ready", "finished", "failed", "cancelled")

PRIORITY_MIN, PRIORITY_MAX = -499, 500
NODE_DIGITS = 7
MAX_NODES = 10**NODE_DIGITS
NUMBER_DIGITS = 8
MAX_NESTED_DEPTH = 8
# The supervisor's own journal is that of slot 0; the processes that run jobs count from 1.
SUPERVISOR_SLOT = 0
# The file of a top-level job that says what to do.
HIERARCHY = ".hierarchy"
# The file in which an attempt notes where it writes its outputs.
OUTPUTS = ".outputs"
# What the directories in which attempts write their outputs begin with.
TEMPORARY = ".jq-"

# No worker's name has a dot, so these are never taken for workers.
FALSE_DEATH = ".alive"
# What the names of journals end with; whatever else lies beside them is not ours.
JOURNAL = ".jsonl"

_ATTEMPT = ".attempt"
_INT = re.compile(r"[0-9]+\Z")
_WORKER = re.compile(r"[a-z0-9-]+\Z")


def _ints(fields: list[str]) -> list[int] | None:
    return [int(field) for field in fields] if all(_INT.match(field) for field in fields) else None


class Entry(NamedTuple):
    """A top-level job's file in the index: ``PPP-NUMBER.K`` in one of the four folders.

    ``priority`` is -499..500, higher first; it is stored as 500 - priority, so that sorted names are the processing
    order. ``moves`` is K: it rises with every move, which makes a rename of the entry a compare-and-swap.
    """

    folder: str
    priority: int
    number: int
    moves: int

    @property
    def name(self) -> str:
        return f"{PRIORITY_MAX - self.priority:03d}-{self.number:0{NUMBER_DIGITS}d}.{self.moves}"

    def moved(self, folder: str, priority: int | None = None) -> Entry:
        """The entry after one move, to ``folder`` and, where given, to another priority."""
        return Entry(folder, self.priority if priority is None else priority, self.number, self.moves + 1)

    @staticmethod
    def parse(folder: str, name: str) -> Entry | None:
        head, dot, moves = name.partition(".")
        rank, dash, number = head.partition("-")
        values = _ints([rank, number, moves])
        if not (dot and dash and values):
            return None
        return Entry(folder, PRIORITY_MAX - values[0], values[1], values[2])


class Token(NamedTuple):
    """A token in blocked/, ready/ or cancelled/: ``NODE.ATTEMPT.MOVE.CHARGED``."""

    node: int
    attempt: int
    move: int
    charged: int

    @property
    def name(self) -> str:
        return f"{self.node:0{NODE_DIGITS}d}.{self.attempt}.{self.move}.{self.charged}"

    @staticmethod
    def parse(name: str) -> Token | None:
        fields = name.split(".")
        values = _ints(fields) if len(fields) == 4 else None
        return Token(*values) if values else None


class RunningToken(NamedTuple):
    """A token in a worker's running/: ``JOB.NODE.ATTEMPT.MOVE.CHARGED.SLOT``."""

    job: int
    node: int
    attempt: int
    move: int
    charged: int
    slot: int

    @property
    def name(self) -> str:
        return f"{self.job}.{self.node:0{NODE_DIGITS}d}.{self.attempt}.{self.move}.{self.charged}.{self.slot}"

    @staticmethod
    def parse(name: str) -> RunningToken | None:
        fields = name.split(".")
        values = _ints(fields) if len(fields) == 6 else None
        return RunningToken(*values) if values else None


class WonToken(NamedTuple):
    """A token in a worker's won/: ``JOB.NODE.ATTEMPT.MOVE.CHARGED.SLOT.OFFSET``."""

    job: int
    node: int
    attempt: int
    move: int
    charged: int
    slot: int
    offset: int

    @property
    def name(self) -> str:
        head = f"{self.job}.{self.node:0{NODE_DIGITS}d}.{self.attempt}.{self.move}.{self.charged}"
        return f"{head}.{self.slot}.{self.offset}"

    @staticmethod
    def parse(name: str) -> WonToken | None:
        fields = name.split(".")
        values = _ints(fields) if len(fields) == 7 else None
        return WonToken(*values) if values else None


class ClosedToken(NamedTuple):
    """A token in finished/ or failed/: ``NODE.ATTEMPT.MOVE.CHARGED.WORKER.SLOT.OFFSET``."""

    node: int
    attempt: int
    move: int
    charged: int
    worker: str
    slot: int
    offset: int

    @property
    def name(self) -> str:
        head = f"{self.node:0{NODE_DIGITS}d}.{self.attempt}.{self.move}.{self.charged}"
        return f"{head}.{self.worker}.{self.slot}.{self.offset}"

    @staticmethod
    def parse(name: str) -> ClosedToken | None:
        fields = name.split(".")
        if len(fields) != 7 or not _WORKER.match(fields[4]):
            return None
        values = _ints(fields[:4] + fields[5:])
        if values is None:
            return None
        node, attempt, move, charged, slot, offset = values
        return ClosedToken(node, attempt, move, charged, fields[4], slot, offset)


class Record(NamedTuple):
    """Where a record lies: at byte ``offset`` of the journal of a slot of a worker."""

    worker: str
    slot: int
    offset: int


class Use(NamedTuple):
    """How often a worker has called on the share of late: ``used.CALLS.MILLISECONDS``, in its folder."""

    calls: int
    took_ms: int

    @property
    def name(self) -> str:
        return f"used.{self.calls}.{self.took_ms}"

    @staticmethod
    def parse(name: str) -> Use | None:
        head, *fields = name.split(".")
        values = _ints(fields) if head == "used" and len(fields) == 2 else None
        return Use(*values) if values else None


class AttemptLayout:
    """The files of one attempt of one job.

    Args:
        dir: the attempt's directory, ``.../.attemptN``.
    """

    def __init__(self, dir: str) -> None:
        self.dir = dir
        self.stdout = f"{dir}/stdout"
        self.stderr = f"{dir}/stderr"
        self.status = f"{dir}/status.json"
        self.traceback = f"{dir}/traceback"
        # Beside whatever the job makes here, so it is hidden.
        self.outputs = f"{dir}/{OUTPUTS}"


class JobLayout:
    """The directory of one top-level job.

    Args:
        queue_dir: the queue's directory.
        number: the top-level job's number.
    """

    def __init__(self, queue_dir: str, number: int) -> None:
        self.number = number
        self.dir = f"{queue_dir}/job{number}"
        self.hierarchy = f"{self.dir}/{HIERARCHY}"
        self.tokens = f"{self.dir}/.tokens"
        self.blocked = f"{self.tokens}/blocked"
        self.ready = f"{self.tokens}/ready"
        self.finished = f"{self.tokens}/finished"
        self.failed = f"{self.tokens}/failed"
        self.cancelled = f"{self.tokens}/cancelled"
        self.waits = f"{self.dir}/.waits"
        self.journals = f"{self.dir}/.journal"

    def token_folder(self, folder: str) -> str:
        return f"{self.tokens}/{folder}"

    def latch(self, node: int) -> str:
        """The directory with one entry for each unfinished sub-job of ``node``."""
        return f"{self.waits}/{node:0{NODE_DIGITS}d}"

    def journal(self, worker: str, slot: int) -> str:
        return f"{self.journals}/{worker}.{slot}{JOURNAL}"

    def node_dir(self, place: str) -> str:
        """The directory of a job of this hierarchy; ``place`` is relative to the root's, ``""`` for the root itself."""
        return f"{self.dir}/{place}" if place else self.dir

    def attempt(self, place: str, attempt: int) -> AttemptLayout:
        return AttemptLayout(f"{self.node_dir(place)}/{_ATTEMPT}{attempt}")

    def parse_attempt(self, directory: str) -> tuple[str, int] | None:
        """The place and the number of an attempt's directory in this one, or ``None``."""
        above, _, name = directory.rpartition("/")
        number = name.removeprefix(_ATTEMPT)
        if number == name or not _INT.match(number) or not f"{above}/".startswith(f"{self.dir}/"):
            return None
        return above[len(self.dir) + 1 :], int(number)


class WorkerLayout:
    """The directory of one worker, with all that it owes.

    Args:
        queue_dir: the queue's directory.
        worker: the worker's name.
    """

    def __init__(self, queue_dir: str, worker: str) -> None:
        self.worker = worker
        self.dir = f"{queue_dir}/workers/{worker}"
        # Beside its directory, which was swept: it was taken for dead, and was not.
        self.false_death = f"{self.dir}{FALSE_DEATH}"
        self.info = f"{self.dir}/info.json"
        self.beat = f"{self.dir}/beat"
        self.lock = f"{self.dir}/lock"
        self.fenced = f"{self.dir}/fenced"
        self.avoided = f"{self.dir}/avoided"
        self.inbox = f"{self.dir}/inbox"
        self.running = f"{self.dir}/running"
        self.won = f"{self.dir}/won"


class QueueLayout:
    """The directory of a queue.

    Args:
        dir: absolute path of the queue.
    """

    def __init__(self, dir: str) -> None:
        self.dir = dir
        self.config = f"{dir}/queue.cfg"
        self.procs = f"{dir}/procs"
        self.index = f"{dir}/index"
        self.last = f"{dir}/index/last"
        self.tmp = f"{dir}/tmp"
        self.trash = f"{dir}/trash"
        self.workers = f"{dir}/workers"

    def directories(self) -> list[str]:
        """All that a queue without jobs and workers consists of, each after the one in which it lies."""
        folders = [*map(self.index_folder, INDEX_FOLDERS), self.last]
        return [self.trash, self.index, self.tmp, self.workers, self.procs, *folders]

    def index_folder(self, folder: str) -> str:
        return f"{self.index}/{folder}"

    def job(self, number: int) -> JobLayout:
        return JobLayout(self.dir, number)

    def worker(self, name: str) -> WorkerLayout:
        return WorkerLayout(self.dir, name)

    def proc(self, name: str) -> str:
        return f"{self.procs}/{name}.py"


def job_name(number: int, place: str) -> str:
    """What people call a job: ``job100`` or ``job100/job3``."""
    return f"job{number}/{place}" if place else f"job{number}"


def parse_job_number(name: str) -> int | None:
    """The number in ``jobNUMBER``, or ``None``."""
    return int(name[3:]) if name.startswith("job") and _INT.match(name[3:]) else None


def temporary_name(worker: str, token: RunningToken) -> str:
    """The directory in which an attempt writes its outputs, beside each: ``.jq-QUEUE-JOB.NODE.ATTEMPT``.

    QUEUE is the random part of the worker's name with the slot. So no two processes ever share such a directory: not
    those of two queues or of a copied one, and not two that a server's roll-back made run the same attempt.
    """
    return f"{TEMPORARY}{worker.rpartition('-')[2]}.{token.slot}-{_attempt_name(token.job, token.node, token.attempt)}"


def is_temporary_of(name: str, job: int, node: int, attempt: int) -> bool:
    """Whether a directory is one of `temporary_name`, of this attempt."""
    return name.startswith(TEMPORARY) and name.endswith(f"-{_attempt_name(job, node, attempt)}")


def _attempt_name(job: int, node: int, attempt: int) -> str:
    return f"{job}.{node:0{NODE_DIGITS}d}.{attempt}"


def latch_entry(node: int) -> str:
    """The name of a sub-job in the latch of a job that waits for it."""
    return f"{node:0{NODE_DIGITS}d}"


def is_latch_entry(name: str) -> bool:
    return len(name) == NODE_DIGITS and _INT.match(name) is not None


def base_name(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def is_worker_name(name: str) -> bool:
    return _WORKER.match(name) is not None


def plain(text: str, limit: int) -> str:
    """``text`` in lower case, all but ``[a-z0-9]`` turned into single hyphens, at most ``limit`` characters."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].strip("-") or "x"
