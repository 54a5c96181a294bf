"""The supervisor of a worker: beats, reads the inbox, watches its slots, and polls for them.

One thread, one loop. The jobs run in the slots, so nothing that a job does can keep the loop from beating.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable

from jobqueue.errors import JobQueueError
from jobqueue.names import Entry
from jobqueue.registry import owed
from jobqueue.store import Store
from jobqueue.trouble import SweptError
from jobqueue.words import number_of, plain
from jobqueue.worker.aftermath import Ending
from jobqueue.worker.crew import Crew, WorkerSettings
from jobqueue.worker.doubts import Doubts
from jobqueue.worker.inbox import Request
from jobqueue.worker.signals import Signals
from jobqueue.worker.slots import Slot

_AGAIN_S = 1.0
_TICK_S = 0.2
_CHORES_S = 0.1
_AFRESH_EVERY = 10
# Slots that are heard twice within the one are left to talk for the other.
_CHATTER_S, _LULL_S = 0.02, 0.01


class Supervisor:
    """Runs a worker in this process, which must have only one thread.

    Args:
        store: the queue; its log is told what happens.
        name: what people call the worker.
        settings: how it works.
        on_tick: called about five times a second, to show something.

    Attributes:
        crew: its slots, and what became of their jobs.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        settings: WorkerSettings,
        on_tick: Callable[[Supervisor], None] | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._on_tick = on_tick
        self._clock = store.share.clock
        self._signals = Signals()
        self._obeyed = 0
        self._polls = 0
        self._empty_polls = 0
        self._is_unsure = False
        self._poll_at = self._beat_at = self._tick_at = self._chores_at = float("-inf")
        self._heard_at, self._is_chatter = float("-inf"), False
        self._selector = selectors.DefaultSelector()
        self.crew = Crew(store, name, settings, self._selector, self._trouble)
        self._place = self.crew.place
        self._doubts = Doubts(store)

    @property
    def name(self) -> str:
        """The worker's name in the queue."""
        return self._place.name

    def run(self) -> int:
        """Works until told to end; the exit code."""
        self._signals.catch()
        self._selector.register(self._signals.fd, selectors.EVENT_READ)
        self._store.log.info(
            "Worker %s has come to %s with %s.",
            self.name,
            self._store.layout.dir,
            number_of(self._settings.slots, "slot"),
        )
        try:
            self.crew.start()
            while self.crew.slots:
                self._step()
        finally:
            self.crew.close()
            self._signals.restore()
        self._store.log.info(
            "Worker %s has gone: %s finished, %s failed.",
            self.name,
            number_of(self.crew.finished, "job"),
            number_of(self.crew.failed, "attempt"),
        )
        return self.crew.exit_code

    def _step(self) -> None:
        """Hears what slots say; now and then, and when a signal has come, does the chores."""
        is_time = False
        is_idle = any(slot.is_idle for slot in self.crew.slots)
        pause_s = min(_CHORES_S, self._settings.poll_s) if is_idle else _CHORES_S
        if self._is_chatter and not is_idle and self._settings.max_jobs is None:
            # No slot waits for an answer. To be woken for each of a thousand short jobs a second would take a fifth of
            # a core from them; so what they say is heard together.
            self._clock.sleep(_LULL_S)
        heard_at = self._heard_at
        for key, _ in self._selector.select(pause_s):
            if isinstance(key.data, Slot):
                self.crew.listen(key.data)
                self._heard_at = self._clock.monotonic()
            else:
                self._signals.drain()
                is_time = True
        self._is_chatter = heard_at < self._heard_at < heard_at + _CHATTER_S
        now = self._clock.monotonic()
        if is_time or now >= self._chores_at + pause_s:
            self._chores_at = now
            self._do_chores(now)

    def _do_chores(self, now: float) -> None:
        self._obey_signals()
        try:
            self._beat(now)
            self._pause_while_unsure()
            self._poll(now)
        except OSError as error:
            self._trouble(error)
        self.crew.watch(now)
        if self._on_tick is not None and now >= self._tick_at:
            self._tick_at = now + _TICK_S
            self._on_tick(self)

    def _obey_signals(self) -> None:
        """The first one: take nothing new. The second: end what runs, and give it back."""
        if self._obeyed < 1 <= self._signals.count:
            self._obeyed = 1
            self._store.log.warning("Ending: finishing what runs, taking nothing new. Once more ends it at once.")
            self.crew.drain()
        if self._obeyed < 2 <= self._signals.count:
            self._obeyed = 2
            self._store.log.warning("Ending at once: what runs is ended and given back.")
            for slot in self.crew.slots:
                self.crew.end(slot, Ending("stop", "the worker was told to end at once"))

    # --- the share -----------------------------------------------------------------------------------------------

    def _beat(self, now: float) -> None:
        if now < self._beat_at:
            return
        self._beat_at = now + self._place.pace.beat_s
        try:
            requests = self._place.beat()
        except SweptError as error:
            self.crew.lose_place(error)
            return
        for request, tokens in requests:
            if request.action == "doubt":
                self._doubts.hear(self._place.files, request.why)
            else:
                self._obey(request, {token.slot for token in tokens})
        self.crew.clear_late()
        self.crew.stop_held()

    def _pause_while_unsure(self) -> None:
        """Keeps the slots from taking anything while others may take this worker for dead."""
        if self._place.is_unsure != self._is_unsure:
            self._is_unsure = not self._is_unsure
            if self._is_unsure:
                self._store.log.warning("The share takes no sign of life; taking nothing new until it does.")
            else:
                self._store.log.info("The share takes signs of life again; going on.")
        self.crew.pause(is_paused=self._is_unsure or self._doubts.is_avoided())

    def _obey(self, request: Request, meant: set[int]) -> None:
        for slot in self.crew.slots:
            if slot.number in meant:
                self._store.log.warning(
                    "slot %d: ending what it runs of job%d: %s.", slot.place, request.job, plain(request.why)
                )
                self.crew.end(slot, Ending(request.action, request.why, request.job, request.node))

    def _poll(self, now: float) -> None:
        """Looks whether anything may be ready, for the idle slots: one listing, however many jobs there are."""
        idle = [slot for slot in self.crew.slots if slot.is_idle]
        if now < self._poll_at or not idle or self.crew.is_draining:
            return
        self._poll_at = now + self._place.pace.poll_s(self._settings.poll_s)
        self._polls += 1
        share, runnable = self._store.share, self._store.layout.index_folder("runnable")
        names = share.names(runnable) if self._polls % _AFRESH_EVERY else share.names_afresh(runnable)
        if any(Entry.parse("runnable", name) for name in names):
            self._empty_polls = 0
            self.crew.tell_idle()
        elif self._settings.exit_when_empty and len(idle) == len(self.crew.slots):
            self._leave_if_empty()

    def _leave_if_empty(self) -> None:
        """Ends when nothing runs anywhere and nothing is runnable, twice in a row.

        RACE: a token that is given back is in no worker's folder, and its job not yet woken, for a moment.
        """
        self._empty_polls = 0 if any(True for _ in owed(self._store)) else self._empty_polls + 1
        if self._empty_polls >= 2:
            self._store.log.info("Nothing is runnable or running; ending.")
            self.crew.drain()

    def _trouble(self, error: OSError | JobQueueError) -> None:
        """Says so, and goes on: no answer of a share that has taken this worker in is a reason to end what runs."""
        self._store.log.warning(
            "Share %s does not answer as it should (%s); trying again.", self._store.layout.dir, error
        )
        self._poll_at = max(self._poll_at, self._clock.monotonic() + _AGAIN_S)


def usable_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
