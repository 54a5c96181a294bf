"""A worker's place in a queue: coming, beating, being asked, caring for the others, going, coming again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from jobqueue.errors import JobQueueError
from jobqueue.journal import Journal
from jobqueue.names import SUPERVISOR_SLOT, RunningToken, Use, base_name
from jobqueue.pace import Pace
from jobqueue.registry import Registration
from jobqueue.store import Store
from jobqueue.trouble import SweptError, Troubles
from jobqueue.worker.aftermath import Aftermath, Lost
from jobqueue.worker.caretaker import Caretaker
from jobqueue.worker.inbox import Inbox, Request

# A worker that has not beaten for so many beats takes nothing new: others may soon take it for dead.
_UNSURE_BEATS = 2
# At every so manieth beat it says how often it calls on the share: for the first time two beats after its second one,
# at which it looks who is there. What came before was at the pace of one who is alone.
_TELL_EVERY, _PACED_FROM = 12, 2


class Membership:
    """This process as one of the workers of a queue.

    Args:
        store: the queue; of this object's own, since its beats may be those of another thread.
        called: what people call the worker.
        slots: how many jobs it runs at once.
        new_number: gives a number that was never used for a slot or a journal of this worker.

    Attributes:
        name: the worker's name in the queue.
        aftermath: clears up after its slots.
        lost: what others have taken from it that had not died, until it is seen what became of that.
        files: the names in its folder.
        jobs_calls: how often its jobs have called on the share, where that was in other processes.
        pace: how often it looks and beats.

    Raises:
        OSError: it cannot be registered.
    """

    def __init__(self, store: Store, called: str, slots: int, new_number: Callable[[], int]) -> None:
        self._store = store
        self._called = called
        self._slots = slots
        self._new_number = new_number
        self._beats = 0
        self.jobs_calls = 0
        self.pace = Pace(store.config)
        # What others have taken from this worker, under whatever name it had, until it is seen what became of it.
        self.lost: list[Lost] = []
        self._come()

    def _come(self) -> None:
        self._registration = Registration(self._store, self._called, self._slots)
        self.name = self._registration.name
        self.aftermath = Aftermath(self._store, self.name, self._new_number)
        self._inbox = Inbox(self._store, self._registration)
        self.files = self._registration.files
        self._caretaker = Caretaker(self._store, self.name, self.aftermath, self.pace)
        self._beaten_at = self._store.share.clock.boottime()
        # When it has told of its calls last, and how many they had been.
        self._told = self._beaten_at, self._calls()

    def _calls(self) -> int:
        return self.jobs_calls + self._store.share.calls_made()

    def beat(self) -> list[tuple[Request, list[RunningToken]]]:
        """Gives a sign of life, reads what was asked, and looks after the others; the requests, with what they mean.

        The inbox is read at every other beat, and the others are looked for in between, so that a beat costs little.

        Raises:
            SweptError: this worker was taken for dead.
            OSError: the share is in trouble.
        """
        try:
            self._registration.beat()
        except FileNotFoundError as error:
            if self.is_swept():
                raise SweptError("this worker was taken for dead, and swept", self._registration.files.dir) from error
            raise
        self._beaten_at = self._store.share.clock.boottime()
        self._beats += 1
        is_for_inbox = self._beats % 2 == 1
        troubles = Troubles()
        # What keeps us from one of these must not keep us from the others, nor from doing what we are asked.
        with troubles.kept():
            self._inbox.remove_deleted()
        with troubles.kept():
            self._caretaker.beaten(may_look=not is_for_inbox)
        with troubles.kept():
            self._revive()
        with troubles.kept():
            if self._beats == _PACED_FROM:
                self._told = self._beaten_at, self._calls()
            if self._beats % _TELL_EVERY == _PACED_FROM + 2:
                self._tell_use()
        try:
            troubles.raise_first()
        except (OSError, JobQueueError) as error:
            self._store.log.warning("What others left cannot be taken up now (%s); trying again.", error)
        return self._inbox.take() if is_for_inbox else []

    def _tell_use(self) -> None:
        (then, before), now, calls = self._told, self._beaten_at, self._calls()
        self._told = now, calls
        self._registration.tell_use(Use(calls - before, round(1000 * (now - then))))

    def _revive(self) -> None:
        for lost in list(self.lost):
            if self.aftermath.revive(lost):
                self.lost.remove(lost)

    @property
    def is_unsure(self) -> bool:
        """Whether the last beat is so long ago that this worker must take nothing new."""
        silent_s = self._store.share.clock.boottime() - self._beaten_at
        return silent_s > _UNSURE_BEATS * self.pace.beat_s + 1.0

    def is_swept(self) -> bool:
        """Whether its folder is gone, or fenced, or cannot take anything any more."""
        files = self._registration.files
        names = self._store.share.names_or_none(files.dir)
        return names is None or base_name(files.fenced) in names or not {"running", "won"} <= set(names)

    def come_again(self) -> None:
        """After it was swept: registers under a new name, and leaves a note that it had not been dead.

        Raises:
            OSError: the share is in trouble; call again.
        """
        self.give_up()
        self._come()

    def give_up(self) -> None:
        """Leaves a note for the others that this worker had not been dead, so that they wait longer the next time."""
        self._store.share.create(self._registration.files.false_death)
        self._registration.release_lock()

    def say_alive(self, lost: Iterable[tuple[int, int, int, list[int] | None]]) -> None:
        """Notes of attempts that were given back that they had not died, so that nothing is held against their jobs.

        Args:
            lost: top-level job, node and attempt of each, and of a chunk its items.
        """
        for number, node, attempt, items in lost:
            if items is None:
                self.lost.append(Lost(self.name, number, node, attempt))
            journal = Journal(self._store.share, self._store.layout.job(number), self.name, SUPERVISOR_SLOT)
            event = {"event": "alive", "node": node, "attempt": attempt, "time": self._store.share.clock.now()}
            event.update({} if items is None else {"items": items})
            try:
                journal.append(event, sync=True)
            except OSError as error:
                # It only matters to a job that dies again and again.
                self._store.log.warning("It cannot be noted that job%d had not died (%s).", number, error)
            finally:
                journal.close()

    def leave(self) -> None:
        """Gives the place up.

        Raises:
            OSError: the share is in trouble; a sweep will do it.
        """
        self._inbox.take()
        while self._inbox.remove_deleted():
            # Whatever the answer is, the removal goes on.
            with suppress(OSError):
                self._registration.beat()
        self._registration.leave()

    def release_lock(self) -> None:
        """Closes this process's hold on the worker's lock."""
        self._registration.release_lock()
