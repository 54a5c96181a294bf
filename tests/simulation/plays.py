"""A play by chance: hosts, workers, people and hierarchies, and what befalls them, all from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

import jobqueue
from jobqueue import queue as queue_module
from jobqueue.config import config_text
from jobqueue.errors import JobQueueError
from jobqueue.job import Job
from jobqueue.layout import QueueLayout
from jobqueue.share import Share
from jobqueue.store import Store
from jobqueue.testing.anomalies import REPEATED, Anomalies, Fault, Locks
from jobqueue.testing.calls import ModelCall, ModelCalls
from jobqueue.testing.host import ModelHost
from tests.simulation.ledger import Ledger
from tests.simulation.processes import QUEUE, on_stage, start_worker
from tests.simulation.world import Actor, Director, Event, Violation, World
from tests.soundness import assert_sound

_PROCS = "tests.simulation.procedures"
_LONGEST_S = 3600.0
_MAX_STEPS = 20_000
_TRIES = 5
Shape = Callable[[jobqueue.JobQueue, random.Random], jobqueue.JobRoot]


def lay_out(stage: World, *, use_sym_links: bool = False) -> None:
    """Makes an empty queue."""
    share = stage.truth()
    share.make_dir(QUEUE)
    text = config_text(keep_jobs_in_repository=False, use_sym_links=use_sym_links)
    queue_module._lay_out(share, QueueLayout(QUEUE), text, [])


def attached(stage: World, share: Share) -> jobqueue.JobQueue:
    """The public queue, on a share of one's own."""
    queue = jobqueue.JobQueue(None)
    queue._store = Store(QUEUE, share, log=stage.log)
    return queue


# --- hierarchies ------------------------------------------------------------------------------------------------------


def _add(parent: Job, chance: random.Random) -> Job:
    """A sub-job: most do nothing, some take their time, a few fail."""
    kind = chance.choices(["nothing", "works", "fails"], [6, 3, 1])[0]
    if kind == "works":
        return parent.createJob(f"{_PROCS}:Works", seconds=chance.choice((0.01, 1.0, 20.0)))
    return parent.createJob(f"{_PROCS}:Fails" if kind == "fails" else None)


def single(queue: jobqueue.JobQueue, _: random.Random) -> jobqueue.JobRoot:
    return queue.createJobRoot()


def fan(queue: jobqueue.JobQueue, chance: random.Random) -> jobqueue.JobRoot:
    root = queue.createJobRoot()
    for _ in range(chance.choice((2, 3))):
        _add(root, chance)
    return root


def chain(queue: jobqueue.JobQueue, chance: random.Random) -> jobqueue.JobRoot:
    root = queue.createJobRoot()
    _add(_add(root, chance), chance)
    return root


def diamond(queue: jobqueue.JobQueue, chance: random.Random) -> jobqueue.JobRoot:
    root = queue.createJobRoot()
    left = _add(root, chance)
    shared = _add(left, chance)
    _add(root, chance).addDependency(shared)
    return root


_SHAPES: tuple[Shape, ...] = (single, fan, chain, diamond)


# --- what people do ---------------------------------------------------------------------------------------------------


class Person:
    """Somebody with a script or a terminal; tries again what the share has kept from him.

    Args:
        play: that he is in.
        chance: decides what he does.
    """

    def __init__(self, play: Play, chance: random.Random) -> None:
        self._play = play
        self.chance = chance
        self._queue: jobqueue.JobQueue
        self.unfinished: tuple[str, int] | None = None

    def live(self, share: Share) -> None:
        """Does a few things."""
        self._queue = attached(self._play.stage, share)
        for _ in range(self.chance.randint(1, 3)):
            share.clock.sleep(self.chance.choice((0.0, 0.01, 0.5, 5.0)))
            action = self.chance.choices(
                [self._submit, self._hold, self._cancel, self._retry, self._prefer, self._delete, self._fail, self._look],
                [6, 2, 1, 3, 1, 1, 2, 1],
            )[0]
            action()

    def _insist(self, act: Callable[[], object]) -> bool:
        """Whether it was done; says what the queue says to it."""
        for _ in range(_TRIES):
            try:
                act()
            except JobQueueError as error:
                self._play.stage.note(f"is told: {error}")
                return False
            except OSError as error:
                self._play.stage.note(f"tries again: {error}")
                self._play.stage.sleep(1.0)
            else:
                return True
        return False

    def _submit(self) -> None:
        root = self.chance.choice(_SHAPES)(self._queue, self.chance)
        for _ in range(_TRIES * 4):
            try:
                number = root.activate().number
            except OSError as error:
                self._play.stage.note(f"submits again: {error}")
                self._play.stage.sleep(1.0)
            else:
                self._play.acknowledged.add(number)
                self._play.stage.note(f"has submitted job{number}")
                return

    def _job(self) -> jobqueue.JobHandle | None:
        numbers = sorted(self._play.ledger.entries)
        found: list[jobqueue.JobHandle] = []
        if numbers:
            name = f"job{self.chance.choice(numbers)}"
            self._insist(lambda: found.append(self._queue.findJob(name)))
        return found[0] if found else None

    def _hold(self) -> None:
        if (job := self._job()) and self._insist(job.hold):
            self._play.stage.sleep(self.chance.choice((0.01, 1.0)))
            # What stays held is not run, and then the play would show nothing.
            while not self._insist(job.release) and job.number in self._play.ledger.entries:
                if self._play.ledger.entries[job.number].folder != "held":
                    break

    def _cancel(self) -> None:
        self._do_whole("cancel")

    def _retry(self) -> None:
        self._do_whole("retry")

    def _delete(self) -> None:
        self._do_whole("delete")

    def _do_whole(self, action: str) -> None:
        """Something that leaves a job half done if he dies in the middle."""
        if job := self._job():
            self.unfinished = action, job.number
            self._do(action, job)
            self.unfinished = None

    def _do(self, action: str, job: jobqueue.JobHandle) -> None:
        acts = {"cancel": job.cancel, "retry": job.retry, "delete": lambda: self._queue.deleteJobs(job)}
        for _ in range(_TRIES):
            if self._insist(acts[action]):
                break

    def finish(self, share: Share, action: str, number: int) -> None:
        """Does what another one has died of."""
        self._queue = attached(self._play.stage, share)
        self._do(action, jobqueue.JobHandle(self._queue._store_or_raise(), number, None, ""))

    def _prefer(self) -> None:
        if job := self._job():
            priority = self.chance.choice((-1, 0, 7))
            self._insist(lambda: job.setPriority(priority))

    def _fail(self) -> None:
        if job := self._job():
            below: list[jobqueue.JobHandle] = []
            self._insist(lambda: below.extend(job.listSubJobs()))
            target = self.chance.choice([job, *below])
            self._insist(target.setError)

    def _look(self) -> None:
        if job := self._job():
            self._insist(lambda: job.state)


# --- what befalls -----------------------------------------------------------------------------------------------------


class Troubles(NamedTuple):
    """What may befall a play, chosen anew for each: so each is rid of most of them, and some are in good company."""

    anomalies: Anomalies
    kills: int
    suspends: int
    outages: int
    jumps: int
    stickiness: float
    heals_at: int

    @staticmethod
    def by(chance: random.Random) -> Troubles:
        def some(*values: float) -> float:
            return chance.choice((0.0, *values))

        anomalies = Anomalies(
            stale_missing=some(0.3, 1.0),
            stale_present=some(0.5),
            blind_ticks=some(0.5, 1.0),
            stale_attributes=some(0.5),
            silly_rename=chance.random() < 0.7,
            lost_answers=some(0.02, 0.2),
            errors=some(0.01, 0.1),
            no_room=some(0.01, 0.1),
            locks=chance.choice(list(Locks)),
        )
        return Troubles(
            anomalies,
            kills=chance.choice((0, 0, 1, 1, 2, 4)),
            suspends=chance.choice((0, 0, 1, 3)),
            outages=chance.choice((0, 0, 0, 1, 2)),
            jumps=chance.choice((0, 0, 1)),
            stickiness=chance.choice((0.0, 0.5, 0.9, 0.98)),
            heals_at=chance.choice((60, 150, 300)),
        )

    @staticmethod
    def none() -> Troubles:
        return Troubles(Anomalies(silly_rename=True), 0, 0, 0, 0, 0.5, 0)


class ByChance(Director):
    """Chance decides who goes on and what befalls him, until the troubles are over."""

    def __init__(self, troubles: Troubles, chance: random.Random) -> None:
        self._troubles = troubles
        self.chance = chance
        self._lost: set[ModelCalls] = set()
        kinds = [self._kill] * troubles.kills + [self._suspend] * troubles.suspends
        kinds += [self._outage] * troubles.outages + [self._jump] * troubles.jumps
        # The next one is taken from the end.
        self._events = sorted(
            ((chance.randrange(max(1, troubles.heals_at)), at) for at in range(len(kinds))), reverse=True
        )
        self._kinds = kinds
        self.is_healed = False

    def choose(self, world: World, ready: list[Actor]) -> Actor:
        if self.chance.random() < self._troubles.stickiness and world.last in ready:
            return world.last  # type: ignore[return-value]
        return self.chance.choice(ready)

    def fault(self, world: World, calls: ModelCalls, call: ModelCall) -> Fault | None:
        if calls in self._lost:
            self._lost.discard(calls)
            return Fault.LOST_ANSWER if call.name in REPEATED else None
        return calls.by_chance(call)

    def between(self, world: World) -> None:
        while self._events and world.steps >= self._events[-1][0]:
            self._kinds[self._events.pop()[1]](world)
        if not self.is_healed and world.steps >= self._troubles.heals_at:
            self._heal(world)

    def _heal(self, world: World) -> None:
        self.is_healed = True
        self._lost.clear()
        world.note("from here on every call is answered as it was executed")
        for host in world.hosts.values():
            host.anomalies = healed(host.anomalies)

    def _victim(self, world: World) -> Actor | None:
        alive = [actor for actor in world.actors if not actor.is_over]
        return self.chance.choice(alive) if alive else None

    def _kill(self, world: World) -> None:
        victim = self._victim(world)
        # A whole worker's death is for a sweeper.
        if victim is None or (victim.is_service and "." not in victim.name) or victim.name.endswith("'"):
            return
        last_call_s = self.chance.choice((None, 0.0, 0.01, 1.0, 30.0))
        words = "lost" if last_call_s is None else f"executed {last_call_s:g} s later"
        world.note(f"{victim.name} dies; its last call is {words}")
        victim.end(last_call_s=last_call_s)

    def _suspend(self, world: World) -> None:
        if victim := self._victim(world):
            seconds = self.chance.choice((0.1, 3.0, 20.0, 300.0))
            world.note(f"{victim.name} is stopped for {seconds:g} s")
            world.suspend(victim, seconds)

    def _outage(self, world: World) -> None:
        seconds = self.chance.choice((0.1, 3.0, 20.0, 180.0))
        world.note(f"the server is away for {seconds:g} s; some answers are lost")
        world.server.down_until = world.time + seconds
        for actor in world.actors:
            if self.chance.random() < 0.5:
                self._lost.update(actor.calls)

    def _jump(self, world: World) -> None:
        host = self.chance.choice(list(world.hosts.values()))
        host.clock_offset_s += self.chance.choice((-3600.0, 3600.0))
        world.note(f"the clock of {host.name} jumps to {host.clock_offset_s:+g} s")


def healed(anomalies: Anomalies) -> Anomalies:
    """What a share still does when nothing is wrong with it: hosts remember what is not so any more."""
    return Anomalies(
        stale_missing=anomalies.stale_missing,
        stale_present=anomalies.stale_present,
        blind_ticks=anomalies.blind_ticks,
        stale_attributes=anomalies.stale_attributes,
        silly_rename=anomalies.silly_rename,
        locks=anomalies.locks,
    )


# --- the play ---------------------------------------------------------------------------------------------------------


class Play:
    """One play.

    Args:
        seed: of everything in it.
        troubles: what befalls; by default chosen by the seed.
    """

    def __init__(self, seed: int, troubles: Troubles | None = None) -> None:
        self.chance = random.Random(seed)
        self.troubles = troubles or Troubles.by(self.chance)
        self.director = ByChance(self.troubles, random.Random(self.chance.getrandbits(32)))
        self.stage = World(self.director, self.chance.getrandbits(32))
        self.acknowledged: set[int] = set()
        lay_out(self.stage, use_sym_links=self.chance.random() < 0.1)
        self.ledger = Ledger(self.stage.server, self.stage.truth(), self.stage.violate)

    @property
    def timeline(self) -> list[Event]:
        return self.stage.timeline

    def run(self) -> None:
        """Plays it.

        Raises:
            Violation: something must not be.
        """
        with on_stage(self.stage):
            self._set_up()
            self.stage.run(self._is_over, until=_LONGEST_S, max_steps=_MAX_STEPS)
        self._check()

    def _set_up(self) -> None:
        chance, stage = self.chance, self.stage
        hosts = [stage.host(f"h{number}", self.troubles.anomalies) for number in range(chance.randint(1, 3))]
        queue = attached(stage, stage.truth())
        for _ in range(chance.choice((1, 1, 2))):
            self.acknowledged.add(chance.choice(_SHAPES)(queue, chance).activate().number)
        for number in range(chance.choice((1, 2, 2, 3))):
            start_worker(stage, chance.choice(hosts), f"w{number}", chance.choice((1, 1, 2)))
        for number in range(chance.choice((0, 1, 1, 2))):
            person = Person(self, random.Random(chance.getrandbits(32)))
            self._add_person(f"p{number}", person, chance.choice(hosts))

    def _add_person(self, name: str, person: Person, host: ModelHost) -> None:
        stage = self.stage
        actor = stage.add(name, lambda: person.live(stage.share(host, actor)))

        def end() -> None:
            if person.unfinished is not None:
                action, number = person.unfinished
                another = Person(self, person.chance)
                heir = stage.add(f"{name}'", lambda: another.finish(stage.share(host, heir), action, number))

        actor.on_end = end

    def _is_over(self) -> bool:
        if any(not (actor.is_service and actor.is_asleep) for actor in self.stage.actors) or self.stage.server.has_late:
            return False
        return self.ledger.has_come_to_rest()

    def _check(self) -> None:
        """What holds at the end."""
        lost = self.acknowledged - self.ledger.entries.keys() - self.ledger.deleted
        if lost:
            raise Violation(f"submitted, acknowledged and lost: {sorted(lost)}")
        try:
            assert_sound(QUEUE, share=self.stage.truth())
        except AssertionError as error:
            raise Violation(f"at rest: {error}") from error


def story(play: Play) -> str:
    """The timeline, for people."""
    return "\n".join(str(event) for event in play.timeline)
