"""The burn-in itself: one host leads it, others may join; both torment workers of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from jobqueue.burnin.camp import Camp, CampError
from jobqueue.burnin.findings import Tally, count_up
from jobqueue.burnin.guard import Guard
from jobqueue.burnin.plan import DEAD_S, Blow, Plan, blows, shapes
from jobqueue.burnin.victims import Struck, Victim, struck_from_json
from jobqueue.identity import host_name, new_name
from jobqueue.names import FALSE_DEATH
from jobqueue.queue import JobQueue
from jobqueue.share import Share
from jobqueue.store import Store

_TICK_S = 0.1
# Once nothing is done to workers any more, and nothing has finished for so long, what is left is lost.
_GIVE_UP_S = 90.0
_OTHERS_S = 120.0

# What the hosts tell one another.
_HERE, _BLOWS, _CALM, _END = "here-", "blows-", "calm", "end"


class Look(NamedTuple):
    """How far a burn-in is.

    Attributes:
        part: of the whole, 0 to 1.
        words: what happens.
    """

    part: float
    words: str


OnLook = Callable[[Look], None]


@dataclass
class Report:
    """What a burn-in has come to.

    Attributes:
        plan: by which it was run.
        hosts: which took part.
        seconds: how long it took in all.
        blows: what was done to workers, on all hosts.
        false_deaths: how many workers were taken for dead that were not.
        tally: what was counted.
        place: where it lies, if it was left there.
        ended_badly: how many workers ended by themselves, or did not end when they were told to.
    """

    plan: Plan
    hosts: list[str]
    seconds: float
    blows: list[Struck]
    false_deaths: int
    tally: Tally
    place: str | None = None
    ended_badly: int = 0

    @property
    def is_sound(self) -> bool:
        return self.tally.is_sound and not self.ended_badly


@dataclass
class _Storm:
    """What happens to the workers of this host.

    Attributes:
        struck: what was done.
        ended_badly: how many workers have ended by themselves, or not when they were told to.
    """

    victims: list[Victim]
    blows: Iterator[Blow]
    now_s: Callable[[], float]
    struck: list[Struck] = field(default_factory=list)
    ended_badly: int = 0

    def __post_init__(self) -> None:
        self._next = next(self.blows)
        self._due_s = self.now_s() + self._next.pause_s

    def tick(self) -> None:
        """Lets the next blow fall if it is due. One that would hit a worker which still suffers hits another."""
        self.rest()
        if self.now_s() < self._due_s:
            return
        at = self._next.victim
        well = [victim for victim in self.victims[at:] + self.victims[:at] if not victim.is_struck]
        # One is left alone, so that somebody does the work and finds out.
        if len(well) > 1 or len(self.victims) == 1 == len(well):
            self.struck.append(well[0].strike(self._next))
            self._next = next(self.blows)
        self._due_s = self.now_s() + self._next.pause_s

    def rest(self, *, now: bool = False) -> None:
        """Continues or replaces those whose time has come."""
        for victim in self.victims:
            victim.recover(now=now)

    def end(self) -> None:
        """Lets all of them end in order."""
        self.ended_badly += sum(victim.has_ended for victim in self.victims)
        self.ended_badly += sum(not victim.end() for victim in self.victims if not victim.has_ended)


@contextmanager
def _storm(camp: Camp, store: Store, plan: Plan) -> Iterator[_Storm]:
    """The workers of this host; none is left, whatever happens."""
    victims: list[Victim] = []
    guard = Guard()
    try:
        # One by one: where this is broken off, those that there are already are ended, too.
        for _ in range(plan.workers):
            victims.append(Victim(camp, store, plan.slots, guard))  # noqa: PERF401  see above
        seed = f"{plan.seed} {host_name()}"
        yield _Storm(victims, blows(seed, plan.workers), store.share.clock.monotonic)
    finally:
        try:
            for victim in victims:
                victim.kill()
        finally:
            # Ends what is left of them where even that is broken off.
            guard.close()


def lead(share: Share, base: str, plan: Plan, on_look: OnLook, *, is_kept: bool = False) -> Report:
    """Runs a burn-in below a directory.

    Args:
        share: to call with.
        base: the user's directory, absolute.
        plan: how.
        on_look: told about ten times a second how far it is.
        is_kept: whether it is left there in any case; else only if something was found.

    Raises:
        CampError: there is one already.
        OSError: the share is in trouble.
    """
    camp = Camp(share, base)
    camp.pitch(plan)
    is_to_be_kept = is_kept
    try:
        report = _Leader(camp, plan, on_look).run()
        is_to_be_kept = is_kept or not report.is_sound
        report.place = camp.dir if is_to_be_kept else None
        return report
    finally:
        if not is_to_be_kept:
            camp.strike()


class _Leader:
    """The host that began it."""

    def __init__(self, camp: Camp, plan: Plan, on_look: OnLook) -> None:
        self._camp = camp
        self._plan = plan
        self._on_look = on_look
        self._share = camp.share
        self._clock = camp.share.clock
        self._store = Store(camp.queue, camp.share)
        self._queue = JobQueue(camp.queue)
        self._shapes = shapes(plan.seed)
        self._numbers: list[int] = []
        self._jobs = 0
        self._false_deaths = 0
        self._began_s = self._clock.monotonic()

    def run(self) -> Report:
        with _storm(self._camp, self._store, self._plan) as storm:
            self._rage(storm)
            storm.rest(now=True)
            self._camp.tell(_CALM)
            self._wait_for_all()
            self._camp.tell(_END)
            storm.end()
        hosts, others, ended_badly = self._hear_others()
        struck = sorted([*storm.struck, *others], key=lambda blow: blow.at)
        self._on_look(Look(1.0, "counting"))
        self._false_deaths += self._forget_false_deaths()
        tally = count_up(self._store, self._numbers, struck)
        took_s = self._clock.monotonic() - self._began_s
        ended_badly += storm.ended_badly
        return Report(self._plan, hosts, took_s, struck, self._false_deaths, tally, ended_badly=ended_badly)

    def _rage(self, storm: _Storm) -> None:
        """Submits, and torments, until the time is up or enough has been done."""
        all_s = 60 * self._plan.minutes
        while (past_s := self._clock.monotonic() - self._began_s) < all_s:
            done = self._done()
            is_enough = self._plan.jobs is not None and self._jobs >= self._plan.jobs
            if is_enough and done == len(self._numbers):
                return
            # As many as there are workers, so that nobody is idle for long.
            if not is_enough and len(self._numbers) - done < self._plan.workers:
                self._submit()
            storm.tick()
            self._false_deaths += self._forget_false_deaths()
            kills = sum(blow.action == "kill" for blow in storm.struck)
            words = f"{self._jobs} jobs submitted, {kills} kills, {len(storm.struck) - kills} stops"
            self._on_look(Look(0.9 * past_s / all_s, words))
            self._clock.sleep(_TICK_S)

    def _submit(self) -> None:
        shape = next(self._shapes)
        self._numbers.append(self._camp.submit(self._queue, shape, len(self._numbers)))
        self._jobs += shape.count

    def _done(self) -> int:
        """How many hierarchies have come to their end."""
        return len(self._store.index.folder("done"))

    def _wait_for_all(self) -> None:
        """Waits until everything has finished, or nothing moves any more."""
        finished, moved_s = -1, self._clock.monotonic()
        while self._done() < len(self._numbers):
            now_s = self._clock.monotonic()
            count = sum(
                len(self._share.names_or_none(self._store.layout.job(number).finished) or ())
                for number in self._numbers
            )
            if count != finished:
                finished, moved_s = count, now_s
            if now_s - moved_s > _GIVE_UP_S:
                return
            self._on_look(Look(0.95, f"{count} of {self._jobs} jobs finished; nothing is done to workers any more"))
            self._clock.sleep(_TICK_S)

    def _forget_false_deaths(self) -> int:
        """Each doubles the dead time, which is to be the same all the time; how many there were."""
        layout = self._store.layout
        notes = [name for name in self._share.names(layout.workers) if name.endswith(FALSE_DEATH)]
        return sum(self._share.try_unlink(f"{layout.workers}/{name}") for name in notes)

    def _hear_others(self) -> tuple[list[str], list[Struck], int]:
        """Waits for the notes of those who have joined: the hosts, the blows, and how many workers ended badly."""
        deadline_s = self._clock.monotonic() + _OTHERS_S
        while True:
            notes = self._share.names_afresh(self._camp.dir)
            joined = {name.removeprefix(_HERE) for name in notes if name.startswith(_HERE)}
            told = {name.removeprefix(_BLOWS) for name in notes if name.startswith(_BLOWS)}
            if joined <= told or self._clock.monotonic() > deadline_s:
                break
            self._on_look(Look(0.98, f"waiting for what {len(joined - told)} other hosts have to tell"))
            self._clock.sleep(_TICK_S)
        heard = [self._camp.told(f"{_BLOWS}{name}") for name in sorted(told)]
        struck = [struck_from_json(blow) for one in heard for blow in one["blows"]]
        hosts = [host_name(), *(one["host"] for one in heard)]
        return hosts, struck, sum(one["ended_badly"] for one in heard) + len(joined - told)


def join(share: Share, base: str, on_look: OnLook) -> list[Struck]:
    """Takes part in a burn-in that another host leads, until that ends it; what was done to workers here.

    Args:
        share: to call with.
        base: the directory that the other host has named, absolute, as this host has it.
        on_look: told about ten times a second how far it is.

    Raises:
        CampError: there is none.
        OSError: the share is in trouble.
    """
    camp = Camp(share, base)
    plan = camp.plan()
    store = Store(camp.queue, share)
    me = new_name("burnin", share.chance)
    camp.tell(f"{_HERE}{me}")
    clock = share.clock
    # A leader that was killed tells nobody when it is over.
    deadline_s = clock.monotonic() + 60 * plan.minutes + _GIVE_UP_S + _OTHERS_S + 10 * DEAD_S
    with _storm(camp, store, plan) as storm:
        while (notes := camp.notes()) is not None and _END not in notes and clock.monotonic() < deadline_s:
            if _CALM in notes:
                storm.rest(now=True)
            else:
                storm.tick()
            on_look(Look(0.5, f"{len(storm.struck)} workers killed or stopped here"))
            clock.sleep(_TICK_S)
        if notes is None or _END not in notes:
            raise CampError("the host that has begun this burn-in has given it up", camp.dir)
        storm.end()
    camp.tell(f"{_BLOWS}{me}", {"host": host_name(), "blows": storm.struck, "ended_badly": storm.ended_badly})
    return storm.struck
