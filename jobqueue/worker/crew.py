"""The slots of a worker: started, heard, ended when they have to, cleared up after, and replaced."""

from __future__ import annotations

import logging
import os
import selectors
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jobqueue.errors import JobQueueError
from jobqueue.notes import Tally
from jobqueue.store import Store
from jobqueue.trouble import SweptError
from jobqueue.words import plain
from jobqueue.worker.aftermath import Ending, Lost
from jobqueue.worker.guard import Guard
from jobqueue.worker.membership import Membership
from jobqueue.worker.runner import Seat
from jobqueue.worker.signals import POLITE
from jobqueue.worker.slots import Slot

# How long the commands of a job that is to end have to end by themselves.
_GRACE_S = 2.0
# How long ended processes may take to disappear before their job is given back all the same.
_GIVE_UP_S = 10.0
_AGAIN_S = 1.0
# So many slots in a row that end before they have run anything mean that none ever will.
_MAX_BARREN = 5
# At every so manieth beat it is looked for what has reached the share after its slot was buried.
_LATE_EVERY = 4


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


class Crew:
    """All slots of one worker, in a process that must have only one thread.

    Args:
        store: the queue; its log is told what happens.
        name: what people call the worker.
        settings: how it works.
        selector: learns of the pipes on which slots speak; whoever selects calls `listen`.
        on_trouble: told of trouble of the share; whatever it does not raise is tried again.

    Attributes:
        place: the worker's place in the queue.
        slots: the slots, in their places.
        finished: how many jobs have succeeded here, each item of an array counted as one.
        failed: how many attempts have not, also of jobs that were tried again: an error, a death, a timeout.
        is_draining: whether nothing new is taken any more.
        exit_code: 1 if the worker cannot go on.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        settings: WorkerSettings,
        selector: selectors.BaseSelector,
        on_trouble: Callable[[OSError | JobQueueError], None],
    ) -> None:
        self.slots: list[Slot] = []
        self.finished = 0
        self.failed = 0
        self.is_draining = False
        self.exit_code = 0
        self._store = store
        self._settings = settings
        self._selector = selector
        self._on_trouble = on_trouble
        self._clock = store.share.clock
        # Counts what has become ready by our own slots' work.
        self._news = 0
        self._granted = self._barren = self._next_slot = self._beats = 0
        # The numbers of slots that were cleared up after.
        self._buried: set[int] = set()
        self._again_at = float("-inf")
        self._is_lost = self._is_paused = False
        self._guard = Guard()
        self.place = Membership(store, name, settings.slots, self._new_number)
        # What a slot says (see `jobqueue.worker.slot`), and who does something about it.
        self._hear = {
            "began": self._began,
            "waits": self._waits,
            "goes on": self._goes_on,
            "returned": self._returned,
            "ended": self._ended,
            "item": self._item,
            "counted": self._counted,
            "chunk ended": self._chunk_ended,
            "progress": self._progressed,
            "idle": self._fell_idle,
            "unblocked": self._unblocked,
            "superseded": self._superseded,
            "want": self._grant,
            "slot?": self._give_number,
            "log": self._log,
        }

    def _new_number(self) -> int:
        self._next_slot += 1
        return self._next_slot

    def start(self) -> None:
        """Starts a slot in each place."""
        for place in range(1, self._settings.slots + 1):
            self.slots.append(self._start_slot(place))

    def watch(self, now: float) -> None:
        """Does what time and the ends of processes ask for; to be called several times a second.

        Args:
            now: by `Clock.monotonic`.
        """
        self._guard.check()
        for slot in list(self.slots):
            self._watch(slot, now)
        if self._is_lost and self.slots and now >= self._again_at and all(slot.is_cleared for slot in self.slots):
            self._again_at = now + _AGAIN_S
            try:
                self._come_again()
            except OSError as error:
                self._on_trouble(error)

    def clear_late(self) -> None:
        """Looks for what has come into running/ or won/ later than its slot could see; to be called at every beat.

        RACE: the last call of a process that was killed may reach the server much later, and so may a claim that a slot
        has given up. Nobody else may touch such a token, and the slot may have fallen idle.
        """
        self._beats += 1
        in_doubt = [slot for slot in self.slots if slot.is_idle and slot.is_in_doubt]
        if self._beats % _LATE_EVERY or self._is_lost or not (self._buried or in_doubt):
            return
        try:
            if self._buried:
                ending = Ending("stop", "its process had ended before it was claimed")
                self.place.aftermath.clear(self._buried, ending, None)
            late = {token.slot for token in self._store.tokens.running_of(self.place.name)} if in_doubt else set()
        except (OSError, JobQueueError) as error:
            self._on_trouble(error)
            return
        for slot in in_doubt:
            if slot.number in late:
                self._tell_to_look(slot)

    def stop_held(self) -> None:
        """Has chunks whose job somebody holds end after the item that they are at; to be called at every beat.

        RACE: a slot may have claimed one by a listing that was older than the hold; so nobody is told, and it is looked
        for. Only chunks are that have run for a beat: most have ended by then.
        """
        now = self._clock.monotonic()
        chunks = [
            (slot, slot.current[0])
            for slot in self.slots
            if slot.current and slot.has_several and not slot.is_held and now - slot.began >= self.place.pace.beat_s
        ]
        if not chunks:
            return
        try:
            held = {entry.number for entry in self._store.index.folder("held")}
        except OSError as error:
            self._on_trouble(error)
            return
        for slot, number in chunks:
            if number in held:
                self._store.log.info("slot %d: job%d is held; ending %s early.", slot.place, number, slot.job)
                slot.is_held = True
                slot.tell(f"hold {number}")

    def drain(self) -> None:
        """Takes nothing new any more."""
        self.is_draining = True
        for slot in self.slots:
            slot.tell("drain")

    def pause(self, *, is_paused: bool) -> None:
        """Has the slots take nothing, or go on."""
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            for slot in self.slots:
                slot.tell("pause" if is_paused else "resume")

    def _start_slot(self, place: int) -> Slot:
        slot = Slot(self._new_number(), place)
        seat = Seat(self.place.name, slot.number, rivals=self._settings.slots, is_own_process=True)
        slot.start(self._store, seat, is_limited=self._settings.max_jobs is not None)
        # Order matters: from here a death of ours is the slot's, too; before, it does nothing.
        self._guard.add(slot.pid)
        self._selector.register(slot.status_fd, selectors.EVENT_READ, slot)
        slot.tell("go")
        return slot

    def end(self, slot: Slot, ending: Ending) -> None:
        """Asks a slot's processes to end; `watch` sees to it that they do."""
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
            self.end(slot, Ending("timeout", why, *slot.current, slot.item))
        is_reaped = slot.reap()
        if slot.kill_at is not None and now >= slot.kill_at and not (is_reaped and slot.is_group_gone()):
            slot.signal_group(signal.SIGKILL)
            slot.kill_at = now + _GRACE_S
        if not is_reaped:
            return
        if slot.give_up_at is None:
            self.listen(slot)
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
                self.place.aftermath.clear(slot.numbers, ending, slot.spool, slot.tally)
            except (OSError, JobQueueError) as error:
                self._on_trouble(error)
                slot.clear_at = now + _AGAIN_S
                return
            slot.close()
            self._buried |= slot.numbers
            if slot.current is not None and slot.items is not None:
                self._tell_chunk(slot)
            if slot.current is not None and ending.action in ("died", "timeout", "fail"):
                self.failed += 1
            self._barren = 0 if slot.has_worked or slot.ending else self._barren + 1
        if self._barren >= _MAX_BARREN and not self.is_draining:
            self._store.log.error("%d slots in a row ended before they ran a job; giving up.", self._barren)
            self.exit_code = 1
            self.drain()
        if self._is_lost and not self.is_draining:
            # Its place is taken again when all of them are gone.
            return
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
        is_shutdown = self.is_draining and -slot.exit_code in POLITE
        return Ending("stop" if is_shutdown else "died", why)

    def close(self) -> None:
        """Whatever happened: no slot is left, and the worker's directory is given up."""
        for slot in self.slots:
            if slot.is_cleared:
                continue
            slot.signal_group(signal.SIGKILL)
            if not slot.is_reaped:
                os.waitpid(slot.pid, 0)
            with suppress(OSError, JobQueueError):
                # Where the share is away a sweeper will do it.
                self.place.aftermath.clear(slot.numbers, slot.ending or Ending("stop", "the worker ended"), slot.spool)
        self._guard.close()
        try:
            self.place.leave()
        except OSError as error:
            name = self.place.name
            self._store.log.warning("Worker %s could not take its directory away (%s); a sweep will.", name, error)

    def lose_place(self, why: SweptError) -> None:
        """Somebody took this worker for dead and swept it: what runs cannot be committed any more."""
        if self._is_lost:
            return
        self._store.log.error("%s; ending what runs, which others do now, and coming again under another name.", why)
        self._is_lost = True
        for slot in self.slots:
            self.end(slot, Ending("stop", "the worker was swept"))

    def _come_again(self) -> None:
        """After what ran is ended: a new name, and new slots in the old places."""
        self.place.say_alive(
            (*slot.current, slot.attempt, slot.items) for slot in self.slots if slot.current is not None
        )
        self.place.come_again()
        self._buried.clear()
        self._is_lost = self._is_paused = False
        self._store.log.info("Worker %s goes on from here.", self.place.name)
        # Each is replaced as one that has ended by itself.
        for slot in self.slots:
            slot.clear_at = float("-inf")

    # --- what slots say ------------------------------------------------------------------------------------------

    def listen(self, slot: Slot) -> None:
        """Hears what a slot has said."""
        for said in slot.heard():
            self.place.jobs_calls += said.get("calls", 0)
            self._hear[said["kind"]](slot, said)

    def _waits(self, slot: Slot, _said: dict[str, Any]) -> None:
        """A job's timeout does not count the time for which it waits for the share."""
        if slot.deadline is not None:
            slot.left_s, slot.deadline = max(0.0, slot.deadline - self._clock.monotonic()), None

    def _goes_on(self, slot: Slot, _said: dict[str, Any]) -> None:
        if slot.left_s is not None:
            slot.deadline, slot.left_s = self._clock.monotonic() + slot.left_s, None

    def _returned(self, slot: Slot, _said: dict[str, Any]) -> None:
        slot.deadline = None

    def _progressed(self, slot: Slot, said: dict[str, Any]) -> None:
        slot.progress, slot.status = said["progress"], said["status"]

    def _log(self, slot: Slot, said: dict[str, Any]) -> None:
        # Only what is for whoever looks for a fault has lines of its own: a traceback.
        lines = said["text"].split("\n") if said["level"] <= logging.DEBUG else [said["text"]]
        self._store.log.log(said["level"], "slot %d: %s", slot.place, "\n".join(map(plain, lines)))

    def _unblocked(self, _slot: Slot, _said: dict[str, Any]) -> None:
        self._news += 1
        self.tell_idle()

    def _superseded(self, _slot: Slot, said: dict[str, Any]) -> None:
        if said["items"] is None:
            self.place.lost.append(Lost(self.place.name, said["number"], said["node"], said["attempt"]))

    def _give_number(self, slot: Slot, _said: dict[str, Any]) -> None:
        number = self._new_number()
        slot.numbers.add(number)
        slot.tell(f"slot {number}")

    def _fell_idle(self, slot: Slot, said: dict[str, Any]) -> None:
        slot.is_idle, slot.is_in_doubt = True, said["in_doubt"]
        # RACE: something became ready after the slot had looked, and before it said that it found nothing.
        if slot.seen_news != self._news:
            self._tell_to_look(slot)

    def _began(self, slot: Slot, said: dict[str, Any]) -> None:
        slot.job, slot.label, slot.attempt = said["job"], said["label"], said["attempt"]
        slot.progress, slot.status, slot.began = 0.0, "", self._clock.monotonic()
        slot.current, slot.items, slot.item = (said["number"], said["node"]), said["items"], None
        slot.tally, slot.is_held = Tally(), False
        slot.timeout, slot.left_s = said["timeout"], None
        slot.deadline = None if slot.timeout is None else slot.began + slot.timeout
        slot.has_worked = True
        if self._store.log.isEnabledFor(logging.INFO):
            label = f" ({plain(slot.label)})" if slot.label else ""
            self._store.log.info("slot %d: running %s%s, attempt %d.", slot.place, slot.job, label, slot.attempt)

    def _ended(self, slot: Slot, said: dict[str, Any]) -> None:
        took_s = self._clock.monotonic() - slot.began
        error = plain(said["error"])
        if said["ok"]:
            self.finished += 1
            if self._store.log.isEnabledFor(logging.INFO):
                self._store.log.info("slot %d: %s has finished after %.2f s.", slot.place, slot.job, took_s)
        elif said["again"]:
            self.failed += 1
            self._store.log.warning(
                "slot %d: %s has ended with an error after %.2f s (%s); it is ready again. `jobqueue log %s` shows "
                "what it printed.",
                slot.place, slot.job, took_s, error, slot.job,
            )  # fmt: skip
        elif said["ok"] is False:
            self.failed += 1
            self._store.log.warning(
                "slot %d: %s has failed after %.2f s (%s); what depends on it waits. `jobqueue log %s` shows what it "
                "printed, `jobqueue retry %s` runs it again.",
                slot.place, slot.job, took_s, error, slot.job, slot.job,
            )  # fmt: skip
        slot.job = slot.label = slot.status = ""
        slot.current = slot.deadline = slot.left_s = None

    def _item(self, slot: Slot, said: dict[str, Any]) -> None:
        """The next item of a chunk begins; its timeout is its own."""
        slot.item, slot.timeout, slot.left_s = said["item"], said["timeout"], None
        slot.deadline = self._clock.monotonic() + said["timeout"]

    def _counted(self, slot: Slot, said: dict[str, Any]) -> None:
        slot.tally = Tally(said["finished"], said["failed"], said["again"], said["error"])

    def _chunk_ended(self, slot: Slot, said: dict[str, Any]) -> None:
        self._counted(slot, said)
        self._tell_chunk(slot)
        slot.job = slot.label = slot.status = ""
        slot.current = slot.deadline = slot.left_s = None

    def _tell_chunk(self, slot: Slot) -> None:
        """Counts what has become of a chunk's items here, and says so."""
        assert slot.items is not None
        took_s, tally, size = self._clock.monotonic() - slot.began, slot.tally, slot.items[1] - slot.items[0]
        self.finished += tally.finished
        self.failed += tally.failed + tally.again
        if tally.finished == size:
            self._store.log.info("slot %d: %s has finished after %.2f s.", slot.place, slot.job, took_s)
            return
        hint = ""
        if tally.failed:
            name = slot.job.partition(":")[0]
            hint = f" `jobqueue show {name}` tells which, `jobqueue retry {name}` runs what has failed again."
        self._store.log.log(
            logging.WARNING if tally.error else logging.INFO,
            "slot %d: %s: %s, after %.2f s.%s",
            slot.place, slot.job, plain(tally.told(size)), took_s, hint,
        )  # fmt: skip

    def _grant(self, slot: Slot, _said: dict[str, Any]) -> None:
        assert self._settings.max_jobs is not None
        if self._granted < self._settings.max_jobs:
            self._granted += 1
            slot.tell("grant")
        else:
            # Only this one: another may still have leave to run a job that is not ready yet.
            slot.is_leaving = True
            slot.tell("drain")

    def tell_idle(self) -> None:
        """Has the idle slots look for work."""
        for slot in self.slots:
            if slot.is_idle:
                self._tell_to_look(slot)

    def _tell_to_look(self, slot: Slot) -> None:
        slot.is_idle = False
        slot.seen_news = self._news
        slot.tell("look")
