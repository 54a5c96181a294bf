"""A slot: the process that runs jobs, one after the other; the supervisor's child, in a session of its own.

It talks with its supervisor in lines of JSON over two pipes. From the supervisor: ``go`` (begin), ``look`` (something
may be ready), ``grant`` (one more job may be taken), ``slot`` (a new number for a journal), ``pause`` and ``resume``
(take nothing, until told), ``hold`` (give back what is not begun of this job's chunk), ``drain`` (end after this job).
To it: ``began``, ``waits``, ``goes on``, ``returned``, ``ended``, ``item``, ``counted``, ``chunk ended``, ``progress``,
``idle``, ``unblocked``, ``superseded``, ``want``, ``slot?``, ``log``.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import traceback
from dataclasses import asdict
from typing import Any, NamedTuple

from jobqueue.attempt import Attempt
from jobqueue.chunk import ChunkAttempt
from jobqueue.errors import JobQueueError
from jobqueue.hierarchy import Node
from jobqueue.names import QUEUE_VARIABLE, RunningToken
from jobqueue.notes import Tally
from jobqueue.params import dumps
from jobqueue.procedures import describe
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.trouble import SPOILED
from jobqueue.worker.runner import Runner, Seat, Step

_TICK_S = 0.5
_MAX_TEXT = 500
_MAX_TRACEBACK = 4000
_LONGEST_WAIT_S = 30.0


class PipeLog(logging.Handler):
    """Sends what the slot logs to the supervisor, which has the log file and the terminal."""

    def __init__(self, slot: SlotProcess) -> None:
        super().__init__()
        self._slot = slot

    def emit(self, record: logging.LogRecord) -> None:
        self._slot.send("log", level=record.levelno, text=record.getMessage()[:_MAX_TEXT])


class Pipes(NamedTuple):
    """The slot's ends: ``control`` to read the supervisor's lines from, ``status`` to write ours to."""

    control: int
    status: int


class SlotProcess:
    """The slot's own side.

    Args:
        store: the queue.
        seat: which slot of which worker this is.
        pipes: to talk with the supervisor.
        spool: takes what jobs print; the supervisor holds its files, too.
        is_limited: each job has to be granted.
    """

    def __init__(self, store: Store, seat: Seat, pipes: Pipes, spool: Spool, *, is_limited: bool) -> None:
        self._control = pipes.control
        self._status = pipes.status
        self._is_limited = is_limited
        self._grants = 0
        self._is_draining = False
        self._is_paused = False
        self._has_timeout = False
        # The top-level job of whose chunk the rest is to be given back.
        self._held: int | None = None
        self._numbers: list[int] = []
        self._words: set[str] = set()
        self._sending = threading.Lock()
        self._rest = b""
        self._unsent = b""
        self._store = store
        # The supervisor's own calls came with the fork.
        self._calls_told = store.share.calls_made()
        level = store.log.getEffectiveLevel()
        store.log = logging.getLogger("jobqueue.slot")
        store.log.setLevel(level)
        # The supervisor's handlers write where only the supervisor may.
        store.log.propagate = False
        store.log.addHandler(PipeLog(self))
        # The generator was copied by the fork; two slots must not throw the same dice.
        store.share.chance.seed(os.urandom(16))
        # For all jobs; what is set for one of them alone costs each of them.
        os.environ[QUEUE_VARIABLE] = store.layout.dir
        self._runner = Runner(store, seat, self, spool)

    def live(self) -> int:
        """Runs jobs until the supervisor says that it is enough; the exit code. What goes wrong is said to it."""
        try:
            self.run()
        except Exception as error:  # noqa: BLE001  whatever ended this process, the supervisor starts another
            self.send("log", level=logging.ERROR, text=f"its process ends: {describe(error)}")
            self.send("log", level=logging.DEBUG, text=traceback.format_exc()[-_MAX_TRACEBACK:])
            return 1
        self._flush()
        return 0

    def run(self) -> None:
        """Runs jobs until the supervisor says that it is enough.

        Raises:
            OSError: a job has left this process without something that it needs (file descriptors, say).
        """
        while not self._seen("go"):
            self._listen(None)
        threading.Thread(target=self._tick, name="jobqueue-show", daemon=True).start()
        wait_s = _TICK_S
        while not self._is_told_to_end():
            self._listen(0)
            if not self._may_take():
                continue
            try:
                step = self._runner.step()
                if step is Step.NOTHING:
                    self._runner.leave()
                    self._runner.reconcile()
                wait_s = _TICK_S
            except (OSError, JobQueueError) as error:
                if isinstance(error, OSError) and error.errno in SPOILED:
                    raise
                self._store.log.warning("%s; looking again in %g s.", error, wait_s)
                self._listen(wait_s)
                wait_s = min(_LONGEST_WAIT_S, wait_s * 2)
                self._runner.chooser.look_again()
                continue
            if step is Step.RAN:
                self._grants -= 1
            elif step is Step.NOTHING:
                self._rest_until_told()
        self._runner.leave()

    def _may_take(self) -> bool:
        """Whether a job may be taken; asks and waits for leave where jobs are counted."""
        while self._is_paused and not self._is_told_to_end():
            self._listen(None)
        if self._is_told_to_end():
            return False
        if not self._is_limited or self._grants > 0:
            return True
        self.send("want")
        while self._grants <= 0:
            self._listen(None)
            if self._is_told_to_end():
                return False
        return True

    def _is_told_to_end(self) -> bool:
        return self._is_draining

    def _rest_until_told(self) -> None:
        self.send("idle", in_doubt=self._runner.is_in_doubt, calls=self._new_calls())
        while not self._is_told_to_end() and not self._seen("look"):
            self._listen(None)
        self._runner.chooser.look_again()

    # --- the pipes -----------------------------------------------------------------------------------------------

    def send(self, kind: str, **fields: Any) -> None:
        """Tells the supervisor something."""
        with self._sending:
            self._unsent += _line(kind, fields)
        self._flush()

    def _send_later(self, kind: str, **fields: Any) -> None:
        """The same, with whatever is sent next, or when the thread that shows the progress comes by."""
        with self._sending:
            self._unsent += _line(kind, fields)

    def _flush(self) -> None:
        with self._sending:
            rest, self._unsent = memoryview(self._unsent), b""
            while rest:
                rest = rest[os.write(self._status, rest) :]

    def _listen(self, timeout_s: float | None) -> None:
        """Takes what the supervisor has said; waits for it for as long as given, or for ever."""
        if timeout_s != 0 and self._unsent:
            self._flush()
        if not select.select([self._control], [], [], timeout_s)[0]:
            return
        block = os.read(self._control, 4096)
        if not block:
            # The supervisor is gone, and the guard is about to end us.
            os._exit(1)
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            self._obey(line.decode("ascii"))

    def _obey(self, line: str) -> None:
        """The supervisor has said this."""
        word, _, value = line.partition(" ")
        if word == "grant":
            self._grants += 1
        elif word == "drain":
            self._is_draining = True
        elif word in ("pause", "resume"):
            self._is_paused = word == "pause"
        elif word == "slot":
            self._numbers.append(int(value))
        elif word == "hold":
            self._held = int(value)
        else:
            self._words.add(word)

    def _seen(self, word: str) -> bool:
        """Whether a word has come since it was asked for last."""
        if word not in self._words:
            return False
        self._words.discard(word)
        return True

    def new_slot(self) -> int:
        self.send("slot?")
        while not self._numbers:
            self._listen(None)
        return self._numbers.pop(0)

    # --- what the runner tells -----------------------------------------------------------------------------------

    def began(self, attempt: Attempt, node: Node, timeout_s: float | None) -> None:
        self._has_timeout = timeout_s is not None
        self._held = None
        self.send(
            "began", job=attempt.name, label=(node.label or "")[:_MAX_TEXT], attempt=attempt.token.attempt,
            timeout=timeout_s, number=attempt.token.job, node=attempt.token.node, items=_items(attempt.token),
        )  # fmt: skip

    def waits(self, is_waiting: bool) -> None:
        if self._has_timeout:
            self.send("waits" if is_waiting else "goes on")

    def returned(self) -> None:
        # Only a timeout is over by this, and each word to the supervisor costs a short job a tenth of its time.
        if self._has_timeout:
            self.send("returned")

    def ended(self, _attempt: Attempt, record: dict[str, Any] | None) -> None:
        ok = record["ok"] if record else None
        # Most often the word that the next job has begun follows at once; to wake the supervisor twice would cost a
        # short job a tenth of its time.
        error = record["error"][:_MAX_TEXT] if record and not ok else ""
        again = bool(record and record.get("again"))
        self._send_later("ended", ok=ok, error=error, again=again, calls=self._new_calls())

    def _new_calls(self) -> int:
        """How often this process has called on the share since it was said last."""
        before, self._calls_told = self._calls_told, self._store.share.calls_made()
        return self._calls_told - before

    def may_go_on(self) -> bool:
        self._listen(0)
        attempt = self._runner.current
        if attempt is not None and attempt.token.job == self._held:
            # What is given back must not be taken again by a listing that is older than the hold.
            self._runner.chooser.look_again()
            return False
        return not self._is_draining

    def next_item(self, _attempt: ChunkAttempt, item: int, timeout_s: float | None) -> None:
        self._has_timeout = timeout_s is not None
        if timeout_s is not None:
            # Its time begins anew with each item; without one, a word for each would cost more than a short item.
            self.send("item", item=item, timeout=timeout_s)

    def counted(self, tally: Tally) -> None:
        self.send("counted", **_told(tally))

    def chunk_ended(self, _attempt: ChunkAttempt, tally: Tally) -> None:
        self._send_later("chunk ended", **_told(tally), calls=self._new_calls())

    def unblocked(self) -> None:
        self.send("unblocked")

    def superseded(self, token: RunningToken) -> None:
        self.send("superseded", number=token.job, node=token.node, attempt=token.attempt, items=_items(token))

    def _tick(self) -> None:
        """The thread that shows how far the job is; it stands still while a job holds the interpreter."""
        shown = (0.0, "")
        pause = threading.Event()
        while not pause.wait(_TICK_S):
            self._flush()
            attempt = self._runner.current
            if attempt is None:
                continue
            try:
                attempt.show()
                if (chunk := self._runner.chunk) is not None:
                    chunk.give_back()
            # Whatever a job has spoiled in this process, what the next one prints is to be copied.
            except Exception as error:  # noqa: BLE001  it is told, and done again
                self._store.log.debug("%s: its output cannot be copied now (%s); trying again.", attempt.name, error)
            seen = (attempt.progress, attempt.status)
            if seen != shown:
                self.send("progress", progress=seen[0], status=seen[1][:_MAX_TEXT])
                shown = seen


def _items(token: RunningToken) -> list[int] | None:
    return None if token.span is None else [token.span.start, token.span.end]


def _told(tally: Tally) -> dict[str, Any]:
    return {**asdict(tally), "error": tally.error[:_MAX_TEXT]}


def _line(kind: str, fields: dict[str, Any]) -> bytes:
    return dumps({"kind": kind, **fields}).encode("ascii") + b"\n"


def become_slot(keep: set[int]) -> None:
    """Makes a freshly forked process a slot: its own session, default signals, no file of its parent's but ``keep``."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for caught in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(caught, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for name in os.listdir("/proc/self/fd"):
        # The descriptor that reads this listing is closed already when its turn comes.
        if int(name) > 2 and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                continue
