"""Which of the other workers are dead: told by whether their beats change, never by comparing clocks.

All is counted in one's own successful beats. So whatever keeps everybody from the share (a server that is down) makes
nobody look dead, and a machine that was suspended begins to count anew.

Who looks at whom: the *sweeper* is the first worker, in the order of the names, that is not silent. It looks at all the
others; they look at it, and at those before it that have fallen silent. So an election needs no file and no message. It
only saves load: two that take themselves for the sweeper do the same things twice, which does no harm.
"""

from __future__ import annotations

import bisect
import itertools
from typing import Any, NamedTuple

from jobqueue.identity import boot_id, host_in_names, host_name, is_process_gone, pid_namespace
from jobqueue.names import FALSE_DEATH, is_worker_name
from jobqueue.pace import Pace
from jobqueue.registry import read_info
from jobqueue.store import Store

# A worker that has not beaten in so many beats of ours is silent.
SILENT_BEATS = 2
# So often the lock of a worker is tried: where it is not refused to us by then, locks do not reach from host to host.
_LOCK_TRIES = 3
# So many beats of ours without one of its own, and it is dead: if nothing else is known of it; and if its lock, which
# was seen held, is free.
_DEAD_BEATS = 24
_UNLOCKED_BEATS = 4
# So many beats missed in a row are a gap, after which nothing that was counted holds.
_GAP_BEATS = 3
# The part of a beat that one may spend looking at others.
_LOOKING = 0.25
# The dead time is doubled for each worker that was found to have lived, this often at most.
_MAX_DOUBLED = 3


class Death(NamedTuple):
    """A worker that is dead.

    Attributes:
        worker: its name.
        why: in words, for records and the log.
    """

    worker: str
    why: str


class _Pulse:
    """What was seen of one worker."""

    def __init__(self) -> None:
        self.beat: float | None = None
        # How often we had beaten, and when it was, as its beat was seen to change last.
        self.beats = 0
        self.at = 0.0
        # How many beats of ours lay between that and our last look.
        self.silence = 0
        self.was_locked = False
        self.lock_tries = 0
        # Nothing that was counted holds: it is new to us, or we were away.
        self.is_fresh = True

    @property
    def is_silent(self) -> bool:
        return not self.is_fresh and self.silence > SILENT_BEATS


class Watch:
    """What one worker has seen of the others.

    Not guaranteed: that a worker that is told dead is. Whoever sweeps it has to fence it first.

    Args:
        store: the queue.
        me: the name of the worker that looks.
        pace: its beats; it is told how many workers there are.
    """

    def __init__(self, store: Store, me: str, pace: Pace) -> None:
        self._store = store
        self._me = me
        self._pace = pace
        self._here = (host_name(), boot_id(), pid_namespace())
        # Of those that we have looked at; where there are many that is mostly the sweeper.
        self._pulses: dict[str, _Pulse] = {}
        # What the workers' directory held when we looked last; of it the workers, in their order, ourselves among them;
        # and of those the ones that may be on this host.
        self._listed: list[str] = []
        self._order: list[str] = []
        self._near: list[str] = []
        # What these said of themselves.
        self._infos: dict[str, dict[str, Any]] = {}
        self._beats = 0
        self._beaten_at = float("-inf")
        self._turns = 0
        self._false_deaths = 0
        # Whom we have looked at last.
        self._looked_at = ""
        self._no_workers: set[str] = set()

    @property
    def is_sweeper(self) -> bool:
        """Whether the others that stand before this one in the order of the names are silent."""
        return all(map(self._is_silent, itertools.takewhile(lambda name: name != self._me, self._order)))

    def _is_silent(self, name: str) -> bool:
        return name in self._pulses and self._pulses[name].is_silent

    @property
    def patience(self) -> int:
        """By how much the dead time has grown, since workers were taken for dead that were not: 1, 2, 4 or 8."""
        patience: int = 2 ** min(self._false_deaths, _MAX_DOUBLED)
        return patience

    def beaten(self, *, may_look: bool) -> list[Death]:
        """To be called after each successful beat of one's own: who is dead.

        Args:
            may_look: whether it is time to find out who is there; the sweeper looks at the others at each beat.

        Raises:
            OSError: the share is in trouble; nothing is known then.
        """
        now = self._store.share.clock.boottime()
        self._beats += 1
        if now - self._beaten_at > _GAP_BEATS * self._pace.beat_s:
            for pulse in self._pulses.values():
                pulse.is_fresh = True
        self._beaten_at = now
        if may_look:
            self._turns += 1
            if self._turns % 2 == 1:
                self._find_out_who_is_there()
        deaths = {name: why for name, info in self._infos.items() if (why := self._dead_here(info))}
        # What takes too long goes on at the next beat. Else our own beat would come so late that the next worker took
        # itself for the sweeper as well, and made a server that is slow slower still.
        names = self._to_look_at(is_turn=may_look and self._turns % 2 == 0)
        at = bisect.bisect_right(names, self._looked_at)
        for name in names[at:] + names[:at]:
            self._looked_at = name
            if name not in deaths and (why := self._try_look(name, now)):
                deaths[name] = why
            if self._store.share.clock.boottime() - now > _LOOKING * self._pace.beat_s:
                break
        return [Death(name, why) for name, why in sorted(deaths.items())]

    def forget(self, worker: str) -> None:
        """A worker is gone."""
        for names in (self._order, self._near):
            if worker in names:
                names.remove(worker)
        self._pulses.pop(worker, None)
        self._infos.pop(worker, None)

    def _find_out_who_is_there(self) -> None:
        listed = self._store.share.names(self._store.layout.workers)
        if listed != self._listed:
            self._take(listed)
        # Of workers elsewhere nothing is read: all of them would read of all others, whenever a farm is started.
        for name in self._near:
            # One that is only just coming has not said who it is.
            if not self._infos.get(name):
                self._infos[name] = read_info(self._store, name) or {}
        self._pace.seen(len(self._order))

    def _take(self, listed: list[str]) -> None:
        self._listed = listed
        self._false_deaths = sum(name.endswith(FALSE_DEATH) for name in listed)
        there = {name for name in listed if is_worker_name(name)} - self._no_workers | {self._me}
        for name in {*self._pulses, *self._infos} - there:
            self.forget(name)
        here = host_in_names()
        self._order = sorted(there)
        self._near = [name for name in self._order if here in name and name != self._me]

    def _to_look_at(self, *, is_turn: bool) -> list[str]:
        found = []
        for name in self._order:
            if name == self._me:
                return [name for name in self._order if name != self._me]
            found.append(name)
            if not self._is_silent(name):
                # This is the sweeper. Those before it are looked at until they speak, or are dead.
                return found if is_turn or len(found) > 1 else []
        return found

    def _dead_here(self, info: dict[str, Any]) -> str | None:
        """Why a worker on this host is dead, if it is; that costs no call on the share."""
        is_here = all(self._here) and (info.get("host"), info.get("boot"), info.get("pidns")) == self._here
        pid = info.get("pid")
        if is_here and isinstance(pid, int) and is_process_gone(pid, info.get("started_ticks")):
            return f"its process {pid} on this host is gone"
        return None

    def _try_look(self, name: str, now: float) -> str | None:
        try:
            return self._look(name, now)
        except NotADirectoryError:
            # Somebody's file, whose name could be a worker's.
            self._no_workers.add(name)
            self.forget(name)
        except OSError as error:
            # One folder that cannot be read must not hide the deaths of the others.
            self._store.log.warning("Worker %s cannot be looked at (%s); trying again.", name, error)
        return None

    def _look(self, name: str, now: float) -> str | None:
        """Looks at the beat of a worker; why it is dead, if it is."""
        pulse = self._pulses.setdefault(name, _Pulse())
        files = self._store.layout.worker(name)
        seen = self._store.share.changed_at(files.beat)
        if pulse.is_fresh or seen != pulse.beat:
            is_change = not pulse.is_fresh
            pulse.beat, pulse.beats, pulse.at = seen, self._beats, now
            pulse.silence, pulse.is_fresh = 0, False
            if is_change and not pulse.was_locked and pulse.lock_tries < _LOCK_TRIES:
                # RACE: it has just beaten, so it lives; a lock that is refused to us now is one that shuts out others.
                pulse.lock_tries += 1
                pulse.was_locked = self._store.share.is_locked(files.lock)
            return None
        pulse.silence = self._beats - pulse.beats
        silent_s = now - pulse.at
        words = f"it has not beaten for {silent_s:.0f} s"
        limit_s = self._store.config.dead_after_s * self.patience
        if pulse.silence >= _DEAD_BEATS * self.patience and silent_s >= limit_s:
            return words
        if pulse.was_locked and pulse.silence >= _UNLOCKED_BEATS * self.patience:
            return None if self._store.share.is_locked(files.lock) else f"{words}, and its lock is free"
        return None
