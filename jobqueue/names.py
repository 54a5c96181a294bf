"""The names of files and directories, made and parsed, and the format version. Pure: nothing here touches any.

Names use ``[a-z0-9._-]`` and mean the same in upper and lower case; fields are separated by dots and never contain one.
A name that does not parse belongs to somebody else (.nfs*, ._*, .DS_Store) and is ignored: every ``parse`` here
returns ``None`` for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
# Of one array. What there is for each of its chunks lies in shards, one for so many items.
MAX_ITEMS = 10_000_000
SHARD_ITEMS = 4096
ITEM_DIGITS = 8
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

_ARCHIVE = ".zip"
_DUTY = "last"
_TEMPORARY_NAME = re.compile(r"\.jq-[^-]*-([0-9]+)\.([0-9]{7})(?:-([0-9]{8}))?\.([0-9]+)\Z")
_SHARD = re.compile(r"([0-9]{7})-([0-9]{4})\Z")
# Of a job that is no array, which most are.
_PLAIN_TOKEN = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+)\Z")
_INT = re.compile(r"[0-9]+\Z")
_WORKER = re.compile(r"[a-z0-9-]+\Z")


def _ints(fields: list[str]) -> list[int] | None:
    return [int(field) for field in fields] if all(_INT.match(field) for field in fields) else None


class Span(NamedTuple):
    """Some items of an array: from ``start`` to before ``end``.

    ``owed`` is above ``end`` once a token was split: the items from ``end`` to before it have no token of their own
    yet, or have had one; see `jobqueue.pieces`. ``begun`` says that they were of the same attempt before, so that the
    next one has the next number; without it this attempt was never theirs.
    """

    start: int
    end: int
    owed: int | None = None
    begun: bool = False

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def whole(self) -> Span:
        """With what is owed."""
        return Span(self.start, self.end if self.owed is None else self.owed)


def _node_field(node: int, span: Span | None) -> str:
    """The field that says which job a token is of: ``NODE``, or of an array ``NODE-START-END[-OWED[-1]]``."""
    if span is None:
        return f"{node:0{NODE_DIGITS}d}"
    bounds = f"{node:0{NODE_DIGITS}d}-{span.start:0{ITEM_DIGITS}d}-{span.end:0{ITEM_DIGITS}d}"
    if span.owed is None:
        return bounds
    return f"{bounds}-{span.owed:0{ITEM_DIGITS}d}" + ("-1" if span.begun else "")


def _parse_node(field: str) -> tuple[int, Span | None] | None:
    if "-" not in field:
        return (int(field), None) if _INT.match(field) else None
    values = _ints(field.split("-"))
    if values is None or not 3 <= len(values) <= 5 or values[4:] not in ([], [1]):
        return None
    node, start, end, *more = values
    span = Span(start, end, more[0] if more else None, len(more) == 2)
    return (node, span) if start < end and (not more or end < more[0]) else None


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
    """A token in blocked/, ready/ or cancelled/: ``NODE.ATTEMPT.MOVE.CHARGED``.

    Of an array there are several, each for some of its items, and NODE is ``NODE-START-END``; so it is with the tokens
    below.
    """

    node: int
    attempt: int
    move: int
    charged: int
    span: Span | None = None

    @property
    def name(self) -> str:
        return f"{_node_field(self.node, self.span)}.{self.attempt}.{self.move}.{self.charged}"

    @staticmethod
    def parse(name: str) -> Token | None:
        if match := _PLAIN_TOKEN.match(name):
            node, attempt, move, charged = map(int, match.groups())
            return Token(node, attempt, move, charged)
        first, *fields = name.split(".")
        key, values = _parse_node(first), _ints(fields) if len(fields) == 3 else None
        if not (key and values):
            return None
        attempt, move, charged = values
        return Token(key[0], attempt, move, charged, key[1])


class RunningToken(NamedTuple):
    """A token in a worker's running/: ``JOB.NODE.ATTEMPT.MOVE.CHARGED.SLOT``."""

    job: int
    node: int
    attempt: int
    move: int
    charged: int
    slot: int
    span: Span | None = None

    @property
    def name(self) -> str:
        head = f"{self.job}.{_node_field(self.node, self.span)}"
        return f"{head}.{self.attempt}.{self.move}.{self.charged}.{self.slot}"

    @staticmethod
    def parse(name: str) -> RunningToken | None:
        found = _parse_owed(name, 6)
        if found is None:
            return None
        (job, attempt, move, charged, slot), (node, span) = found
        return RunningToken(job, node, attempt, move, charged, slot, span)


class WonToken(NamedTuple):
    """A token in a worker's won/: ``JOB.NODE.ATTEMPT.MOVE.CHARGED.SLOT.OFFSET``."""

    job: int
    node: int
    attempt: int
    move: int
    charged: int
    slot: int
    offset: int
    span: Span | None = None

    @property
    def name(self) -> str:
        head = f"{self.job}.{_node_field(self.node, self.span)}.{self.attempt}.{self.move}.{self.charged}"
        return f"{head}.{self.slot}.{self.offset}"

    @staticmethod
    def parse(name: str) -> WonToken | None:
        found = _parse_owed(name, 7)
        if found is None:
            return None
        (job, attempt, move, charged, slot, offset), (node, span) = found
        return WonToken(job, node, attempt, move, charged, slot, offset, span)


def _parse_owed(name: str, count: int) -> tuple[list[int], tuple[int, Span | None]] | None:
    """The fields of a token in a worker's folder but for that of the job, and what that says."""
    fields = name.split(".")
    if len(fields) != count:
        return None
    key, values = _parse_node(fields[1]), _ints(fields[:1] + fields[2:])
    return (values, key) if key and values else None


class ClosedToken(NamedTuple):
    """A token in finished/ or failed/: ``NODE.ATTEMPT.MOVE.CHARGED.WORKER.SLOT.OFFSET``."""

    node: int
    attempt: int
    move: int
    charged: int
    worker: str
    slot: int
    offset: int
    span: Span | None = None

    @property
    def name(self) -> str:
        head = f"{_node_field(self.node, self.span)}.{self.attempt}.{self.move}.{self.charged}"
        return f"{head}.{self.worker}.{self.slot}.{self.offset}"

    @staticmethod
    def parse(name: str) -> ClosedToken | None:
        fields = name.split(".")
        if len(fields) != 7 or not _WORKER.match(fields[4]):
            return None
        key, values = _parse_node(fields[0]), _ints(fields[1:4] + fields[5:])
        if key is None or values is None:
            return None
        attempt, move, charged, slot, offset = values
        return ClosedToken(key[0], attempt, move, charged, fields[4], slot, offset, key[1])


class Duty(NamedTuple):
    """A file in a worker's won/: ``JOB.NODE.last.SLOT``. Somebody has to see whether all of an array has finished."""

    job: int
    node: int
    slot: int

    @property
    def name(self) -> str:
        return f"{self.job}.{self.node:0{NODE_DIGITS}d}.{_DUTY}.{self.slot}"

    @staticmethod
    def parse(name: str) -> Duty | None:
        fields = name.split(".")
        if len(fields) != 4 or fields[2] != _DUTY:
            return None
        values = _ints([fields[0], fields[1], fields[3]])
        return Duty(*values) if values else None


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


def job_name(number: int, place: str) -> str:
    """What people call a job: ``job100`` or ``job100/job3``."""
    return f"job{number}/{place}" if place else f"job{number}"


def archive_name(number: int) -> str:
    """The name of a top-level job's archive: ``job100.zip``."""
    return f"job{number}{_ARCHIVE}"


def parse_archive(name: str) -> int | None:
    """The number in ``jobNUMBER.zip``, or ``None``."""
    return parse_job_number(name.removesuffix(_ARCHIVE)) if name.endswith(_ARCHIVE) else None


def parse_job_number(name: str) -> int | None:
    """The number in ``jobNUMBER``, or ``None``."""
    return int(name[3:]) if name.startswith("job") and _INT.match(name[3:]) else None


def spans_in(names: Iterable[str]) -> list[tuple[int, int]]:
    """For which items tokens stand, from their names alone; names of other things are passed over.

    There may be a million of them, and to parse each takes ten times as long. So this looks at fixed places, where no
    other name has what a token of an array has there.
    """
    start, end, after = NODE_DIGITS + 1, NODE_DIGITS + 2 + ITEM_DIGITS, NODE_DIGITS + 2 + 2 * ITEM_DIGITS
    tokens = [name for name in names if name[NODE_DIGITS:start] == "-" and name[end - 1 : end] == "-"]
    try:
        return [(int(name[start : end - 1]), int(name[end:after])) for name in tokens]
    except ValueError:
        found = (Token.parse(name) or ClosedToken.parse(name) for name in tokens)
        return [(token.span.start, token.span.end) for token in found if token and token.span]


def parse_shard(name: str) -> tuple[int, int] | None:
    """The node and the number of a shard, or ``None`` for another name."""
    match = _SHARD.match(name)
    return (int(match[1]), int(match[2])) if match else None


def temporary_name(worker: str, token: RunningToken) -> str:
    """The directory in which an attempt writes its outputs, beside each: ``.jq-QUEUE-JOB.NODE.ATTEMPT``.

    QUEUE is the random part of the worker's name with the slot. So no two processes ever share such a directory: not
    those of two queues or of a copied one, and not two that a server's roll-back made run the same attempt. For an item
    of an array, which ``token`` is then to name alone, NODE is ``NODE-ITEM``.
    """
    item = f"-{token.span.start:0{ITEM_DIGITS}d}" if token.span else ""
    name = f"{token.job}.{token.node:0{NODE_DIGITS}d}{item}.{token.attempt}"
    return f"{TEMPORARY}{worker.rpartition('-')[2]}.{token.slot}-{name}"


def is_temporary_of(name: str, job: int, node: int, attempt: int) -> bool:
    """Whether a directory is one of `temporary_name`, of this attempt, or of an item of it."""
    match = _TEMPORARY_NAME.match(name)
    return match is not None and (int(match[1]), int(match[2]), int(match[4])) == (job, node, attempt)


def item_of_temporary(name: str) -> int | None:
    """The item of an array whose outputs a directory of `temporary_name` holds; ``None`` for another job's."""
    match = _TEMPORARY_NAME.match(name)
    return int(match[3]) if match and match[3] else None


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
