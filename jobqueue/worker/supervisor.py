"""The supervisor of a worker: beats, reads the inbox, starts slots, reaps them, and polls for them.

One thread, one loop. The jobs run in the slots, so nothing that a job does can keep the loop from beating.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from jobqueue.errors import JobQueueError
from jobqueue.layout import Entry
from jobqueue.registry import Registration, owed
from jobqueue.store import Store
from jobqueue.worker.aftermath import Aftermath, Ending
from jobqueue.worker.guard import Guard
from jobqueue.worker.inbox import Inbox, Request
from jobqueue.worker.runner import Seat
from jobqueue.worker.slots import Slot
from jobqueue.worker.trouble import is_trouble

# How long the commands of a job that is to end have to end by themselves.
_GRACE_S = 2.0
# How long ended processes may take to disappear before their job is given back all the same.
_GIVE_UP_S = 10.0
_AGAIN_S = 1.0
_TICK_S = 0.2
_CHORES_S = 0.1
# So many slots in a row that end before they have run anything mean that none ever will.
_MAX_BARREN = 5
_AFRESH_EVERY = 10
# At every so manieth beat it is looked for what reaches the share after its slot was buried.
_LATE_EVERY = 4
# The signals that ask a worker to end.
_POLITE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker works.

    Attributes:
        slots: how many jobs it runs at once, 1 or more.
        poll_s: seconds between two looks for work while a slot is idle.
        exit_when_empty: ends when nothing in the queue is runnable or running.
        max_jobs: ends after so many jobs.
    """

    slots: int
    poll_s: float = 1.0
    exit_when_empty: bool = False
    max_jobs: int | None = None


class Supervisor:
    """Runs a worker in this process, which must have only one thread.

    Args:
        store: the queue; its log is told what happens.
        name: what people call the worker.
        settings: how it works.
        on_tick: called about five times a second, to show something.

    Attributes:
        name: the worker's name in the queue.
        slots: the slots, in their places.
        finished: how many jobs have succeeded here.
        failed: how many have failed.
        is_draining: whether it takes nothing new any more.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        settings: WorkerSettings,
        on_tick: Callable[[Supervisor], None] | None = None,
    ) -> None:
        self.slots: list[Slot] = []
        self.finished = 0
        self.failed = 0
        self.is_draining = False
        self._store = store
        self._settings = settings
        self._on_tick = on_tick
        self._clock = store.share.clock
        self._signals = 0
        self._obeyed = 0
        # Counts what has become ready by our own slots' work.
        self._news = 0
        self._granted = 0
        self._barren = 0
        self._exit_code = 0
        self._polls = 0
        self._empty_polls = 0
        self._next_slot = 0
        self._beats = 0
        self._buried: set[int] = set()
        self._poll_at = self._beat_at = self._tick_at = self._chores_at = float("-inf")
        self._guard = Guard()
        self._registration = Registration(store, name, settings.slots)
        self.name = self._registration.name
        self._inbox = Inbox(store, self._registration)
        self._aftermath = Aftermath(store, self.name, self._new_number)
        self._selector = selectors.DefaultSelector()
        # What a slot says (see `jobqueue.worker.slot`), and who does something about it.
        self._hear = {
            "began": self._began,
            "returned": self._returned,
            "ended": self._ended,
            "progress": self._progressed,
            "idle": self._fell_idle,
            "unblocked": self._unblocked,
            "want": self._grant,
            "slot?": self._give_number,
            "log": self._log,
        }

    def run(self) -> int:
        """Works until told to end; the exit code."""
        before = self._catch_signals()
        self._store.log.info(
            "Worker %s has come to %s with %d slots.", self.name, self._store.layout.dir, self._settings.slots
        )
        try:
            for place in range(1, self._settings.slots + 1):
                self.slots.append(self._start_slot(place))
            while self.slots:
                self._step()
        finally:
            self._end_all()
            self._restore_signals(before)
        self._store.log.info("Worker %s has gone: %d jobs finished, %d failed.", self.name, self.finished, self.failed)
        return self._exit_code

    def _step(self) -> None:
        """Hears what slots say; now and then, and when a signal has come, does the chores."""
        is_time = False
        for key, _ in self._selector.select(_CHORES_S):
            if isinstance(key.data, Slot):
                self._listen(key.data)
            else:
                os.read(key.fd, 4096)
                is_time = True
        now = self._clock.monotonic()
        if is_time or now >= self._chores_at:
            self._chores_at = now + _CHORES_S
            self._do_chores(now)

    def _do_chores(self, now: float) -> None:
        self._obey_signals()
        self._guard.check()
        try:
            self._beat(now)
            self._poll(now)
        except (OSError, JobQueueError) as error:
            self._trouble(error)
        for slot in list(self.slots):
            self._watch(slot, now)
        if self._on_tick is not None and now >= self._tick_at:
            self._tick_at = now + _TICK_S
            self._on_tick(self)

    # --- signals -------------------------------------------------------------------------------------------------

    def _catch_signals(self) -> dict[int, Any]:
        self._wakeup, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_write = write
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        # Source: signal.set_wakeup_fd; a signal between the last look and select() is not slept over.
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        before: dict[int, Any] = {}
        for number in _POLITE:
            # What was ignored for us (nohup, a shell's background job) stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self._count_signal)
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _only_wake_up)
        return before

    def _restore_signals(self, before: dict[int, Any]) -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self._wakeup)
        os.close(self._wakeup_write)

    def _count_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _obey_signals(self) -> None:
        """The first one: take nothing new. The second: end what runs, and give it back."""
        if self._obeyed < 1 <= self._signals:
            self._obeyed = 1
            self._store.log.warning("Ending: finishing what runs, taking nothing new. Once more ends it at once.")
            self._drain()
        if self._obeyed < 2 <= self._signals:
            self._obeyed = 2
            self._store.log.warning("Ending at once: what runs is ended and given back.")
            for slot in self.slots:
                self._end(slot, Ending("stop", "the worker was told to end at once"))

    def _drain(self) -> None:
        self.is_draining = True
        for slot in self.slots:
            slot.tell("drain")

    # --- slots ---------------------------------------------------------------------------------------------------

    def _new_number(self) -> int:
        self._next_slot += 1
        return self._next_slot

    def _start_slot(self, place: int) -> Slot:
        slot = Slot(self._new_number(), place)
        seat = Seat(self.name, slot.number, rivals=self._settings.slots, is_own_process=True)
        slot.start(self._store, seat, is_limited=self._settings.max_jobs is not None)
        # Order matters: from here a death of ours is the slot's, too; before, it does nothing.
        self._guard.add(slot.pid)
        self._selector.register(slot.status_fd, selectors.EVENT_READ, slot)
        slot.tell("go")
        return slot

    def _end(self, slot: Slot, ending: Ending) -> None:
        """Asks a slot's processes to end; `_watch` sees to it that they do."""
        if slot.ending is None or ending.action == "stop":
            slot.ending = ending
        if slot.kill_at is None:
            slot.kill_at = self._clock.monotonic() + _GRACE_S
            slot.signal_group(signal.SIGTERM)

    def _watch(self, slot: Slot, now: float) -> None:
        """Ends what has overrun its time, and clears up after a slot that has ended."""
        if slot.deadline is not None and now >= slot.deadline and slot.ending is None:
            assert slot.current is not None
            why = f"it ran longer than its timeout of {slot.timeout:g} s"
            self._end(slot, Ending("timeout", why, *slot.current))
        is_reaped = slot.reap()
        if slot.kill_at is not None and now >= slot.kill_at and not (is_reaped and slot.is_group_gone()):
            slot.signal_group(signal.SIGKILL)
            slot.kill_at = now + _GRACE_S
        if not is_reaped:
            return
        if slot.give_up_at is None:
            self._listen(slot)
            # At its end the pipe would be readable for ever.
            self._selector.unregister(slot.status_fd)
            slot.give_up_at = now + _GIVE_UP_S
            if slot.ending is None:
                # What it left behind is nobody's; a slot that ends cleanly leaves nothing.
                slot.signal_group(signal.SIGKILL)
        if not slot.is_group_gone() and now < slot.give_up_at:
            return
        if now < slot.clear_at:
            return
        self._bury(slot, now)

    def _bury(self, slot: Slot, now: float) -> None:
        """Clears up after a slot whose processes are gone, and has another take its place."""
        if not slot.is_cleared:
            ending = slot.ending or self._ending_of(slot)
            self._guard.remove(slot.pid)
            try:
                self._aftermath.clear(slot.numbers, ending, slot.spool)
            except (OSError, JobQueueError) as error:
                self._trouble(error)
                slot.clear_at = now + _AGAIN_S
                return
            slot.close()
            self._buried |= slot.numbers
            if slot.current is not None and ending.action in ("died", "timeout", "fail"):
                self.failed += 1
            self._barren = 0 if slot.has_worked else self._barren + 1
        if self._barren >= _MAX_BARREN and not self.is_draining:
            self._store.log.error("%d slots in a row ended before they ran a job; giving up.", self._barren)
            self._exit_code = 1
            self._drain()
        at = self.slots.index(slot)
        if self.is_draining or slot.is_leaving:
            del self.slots[at]
            return
        try:
            self.slots[at] = self._start_slot(slot.place)
        except OSError as error:
            # No process or memory to be had; this one keeps the place until there is.
            self._store.log.warning("slot %d cannot be started again (%s); trying again.", slot.place, error)
            slot.clear_at = now + _AGAIN_S

    def _ending_of(self, slot: Slot) -> Ending:
        """Why a slot ended that we did not end."""
        why = f"its process ended with {slot.exit_words}"
        # A shutdown of the host tells every process to end, us as well as the slots; that is not the job's doing.
        is_shutdown = self.is_draining and -slot.exit_code in _POLITE
        return Ending("stop" if is_shutdown else "died", why)

    def _end_all(self) -> None:
        """Whatever happened: no slot is left, and the worker's directory is given up."""
        for slot in self.slots:
            if slot.is_cleared:
                continue
            slot.signal_group(signal.SIGKILL)
            if not slot.is_reaped:
                os.waitpid(slot.pid, 0)
            with suppress(OSError, JobQueueError):
                # Where the share is away a sweeper will do it.
                self._aftermath.clear(slot.numbers, slot.ending or Ending("stop", "the worker ended"), slot.spool)
        self._guard.close()
        try:
            self._inbox.take()
            self._inbox.remove_deleted()
            self._registration.leave()
        except OSError as error:
            self._store.log.warning("Worker %s could not take its directory away (%s); a sweep will.", self.name, error)

    # --- what slots say ------------------------------------------------------------------------------------------

    def _listen(self, slot: Slot) -> None:
        for said in slot.heard():
            self._hear[said["kind"]](slot, said)

    def _returned(self, slot: Slot, _said: dict[str, Any]) -> None:
        slot.deadline = None

    def _progressed(self, slot: Slot, said: dict[str, Any]) -> None:
        slot.progress, slot.status = said["progress"], said["status"]

    def _log(self, slot: Slot, said: dict[str, Any]) -> None:
        self._store.log.log(said["level"], "slot %d: %s", slot.place, said["text"])

    def _unblocked(self, _slot: Slot, _said: dict[str, Any]) -> None:
        self._news += 1
        self._tell_idle()

    def _give_number(self, slot: Slot, _said: dict[str, Any]) -> None:
        number = self._new_number()
        slot.numbers.add(number)
        slot.tell(f"slot {number}")

    def _fell_idle(self, slot: Slot, _said: dict[str, Any]) -> None:
        slot.is_idle = True
        # RACE: something became ready after the slot had looked, and before it said that it found nothing.
        if slot.seen_news != self._news:
            self._tell_to_look(slot)

    def _began(self, slot: Slot, said: dict[str, Any]) -> None:
        slot.job, slot.label, slot.attempt = said["job"], said["label"], said["attempt"]
        slot.progress, slot.status, slot.began = 0.0, "", self._clock.monotonic()
        slot.current = said["number"], said["node"]
        slot.timeout = said["timeout"]
        slot.deadline = None if slot.timeout is None else slot.began + slot.timeout
        slot.has_worked = True
        if self._store.log.isEnabledFor(logging.INFO):
            label = f" ({slot.label})" if slot.label else ""
            self._store.log.info("slot %d: running %s%s, attempt %d.", slot.place, slot.job, label, slot.attempt)

    def _ended(self, slot: Slot, said: dict[str, Any]) -> None:
        took_s = self._clock.monotonic() - slot.began
        if said["ok"]:
            self.finished += 1
            if self._store.log.isEnabledFor(logging.INFO):
                self._store.log.info("slot %d: %s has finished after %.2f s.", slot.place, slot.job, took_s)
        elif said["ok"] is False:
            self.failed += 1
            self._store.log.warning(
                "slot %d: %s has failed after %.2f s (%s); what depends on it waits. `jobqueue log %s` shows what it "
                "printed, `jobqueue retry %s` runs it again.",
                slot.place, slot.job, took_s, said["error"], slot.job, slot.job,
            )  # fmt: skip
        slot.job = slot.label = slot.status = ""
        slot.current, slot.deadline = None, None

    def _grant(self, slot: Slot, _said: dict[str, Any]) -> None:
        assert self._settings.max_jobs is not None
        if self._granted < self._settings.max_jobs:
            self._granted += 1
            slot.tell("grant")
        else:
            # Only this one: another may still have leave to run a job that is not ready yet.
            slot.is_leaving = True
            slot.tell("drain")

    def _tell_idle(self) -> None:
        for slot in self.slots:
            if slot.is_idle:
                self._tell_to_look(slot)

    def _tell_to_look(self, slot: Slot) -> None:
        slot.is_idle = False
        slot.seen_news = self._news
        slot.tell("look")

    # --- the share -----------------------------------------------------------------------------------------------

    def _beat(self, now: float) -> None:
        if now < self._beat_at:
            return
        self._beat_at = now + self._store.config.beat_s
        try:
            self._registration.beat()
        except FileNotFoundError:
            self._lose_place()
            return
        for request, tokens in self._inbox.take():
            self._obey(request, {token.slot for token in tokens})
        self._inbox.remove_deleted()
        self._beats += 1
        if self._buried and self._beats % _LATE_EVERY == 0:
            self._clear_late()

    def _clear_late(self) -> None:
        """Gives back what slots have claimed, and settles what they have committed, after we had cleared up.

        RACE: the last call of a process that was killed may reach the server much later. Then a token lies under the
        number of a slot that is gone, and nobody else may touch it.
        """
        ending = Ending("stop", "its process had ended before it was claimed")
        self._aftermath.clear(self._buried, ending, None)

    def _obey(self, request: Request, meant: set[int]) -> None:
        for slot in self.slots:
            if slot.number in meant:
                self._store.log.warning(
                    "slot %d: ending what it runs of job%d: %s.", slot.place, request.job, request.why
                )
                self._end(slot, Ending(request.action, request.why, request.job, request.node))

    def _lose_place(self) -> None:
        """Somebody took this worker for dead and swept it: what runs cannot be committed any more."""
        self._store.log.error("Worker %s has no directory any more; ending what runs. Start it again.", self.name)
        self._exit_code = 1
        self._drain()
        for slot in self.slots:
            self._end(slot, Ending("stop", "the worker was swept"))

    def _poll(self, now: float) -> None:
        """Looks whether anything may be ready, for the idle slots: one listing, however many jobs there are."""
        idle = [slot for slot in self.slots if slot.is_idle]
        if now < self._poll_at or not idle or self.is_draining:
            return
        self._poll_at = now + self._settings.poll_s
        self._polls += 1
        share, runnable = self._store.share, self._store.layout.index_folder("runnable")
        names = share.names(runnable) if self._polls % _AFRESH_EVERY else share.names_afresh(runnable)
        if any(Entry.parse("runnable", name) for name in names):
            self._empty_polls = 0
            self._tell_idle()
        elif self._settings.exit_when_empty and len(idle) == len(self.slots):
            self._leave_if_empty()

    def _leave_if_empty(self) -> None:
        """Ends when nothing runs anywhere and nothing is runnable, twice in a row.

        RACE: a token that is given back is in no worker's folder, and its job not yet woken, for a moment.
        """
        self._empty_polls = 0 if any(True for _ in owed(self._store)) else self._empty_polls + 1
        if self._empty_polls >= 2:
            self._store.log.info("Nothing is runnable or running; ending.")
            self._drain()

    def _trouble(self, error: OSError | JobQueueError) -> None:
        if isinstance(error, OSError) and not is_trouble(error) and not isinstance(error, FileNotFoundError):
            raise error
        self._store.log.warning(
            "Share %s does not answer as it should (%s); trying again.", self._store.layout.dir, error
        )
        self._poll_at = max(self._poll_at, self._clock.monotonic() + _AGAIN_S)


def _only_wake_up(_number: int, _frame: FrameType | None) -> None:
    """A child has ended; the byte in the wake-up pipe ends the waiting, and `_watch` looks which."""


def usable_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
