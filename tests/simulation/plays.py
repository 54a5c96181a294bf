"""Plays by chance: hosts, workers, people, hierarchies, and what befalls them, all from one seed."""

from __future__ import annotations

import random
from typing import NamedTuple

from jobqueue.testing.anomalies import REPEATED, Anomalies, Fault, Locks
from jobqueue.testing.process import ModelCall, ModelProcess
from tests.simulation.people import add_person
from tests.simulation.processes import start_worker
from tests.simulation.scene import SHAPES, Scene, attached
from tests.simulation.world import Actor, Director, World


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
            stale_replaced=some(0.5),
            stale_directories=chance.choice((0.5, 1.0)),
            stale_removed=some(0.5),
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
        self._chance = chance
        self._lost: set[ModelProcess] = set()
        kinds = [self._kill] * troubles.kills + [self._suspend] * troubles.suspends
        kinds += [self._outage] * troubles.outages + [self._jump] * troubles.jumps
        # The next one is taken from the end.
        self._events = sorted(
            ((chance.randrange(max(1, troubles.heals_at)), at) for at in range(len(kinds))), reverse=True
        )
        self._kinds = kinds
        self.is_healed = False

    def choose(self, world: World, ready: list[Actor]) -> Actor:
        if len(ready) == 1:
            return ready[0]
        if world.last in ready and self._chance.random() < self._troubles.stickiness:
            return world.last
        return self._chance.choice(ready)

    def fault(self, world: World, calls: ModelProcess, call: ModelCall) -> Fault | None:
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
        return self._chance.choice(alive) if alive else None

    def _kill(self, world: World) -> None:
        victim = self._victim(world)
        workers = [actor for actor in world.actors if actor.is_service and "." not in actor.name and not actor.is_over]
        # One worker has to be left to take up what the others leave, and somebody to end what a person has begun.
        if victim is None or workers == [victim] or victim.name.endswith("'"):
            return
        last_call_s = self._chance.choice((None, 0.0, 0.01, 1.0, 30.0))
        words = "lost" if last_call_s is None else f"executed {last_call_s:g} s later"
        world.note(f"{victim.name} dies; its last call is {words}")
        victim.end(last_call_s=last_call_s)

    def _suspend(self, world: World) -> None:
        if victim := self._victim(world):
            seconds = self._chance.choice((0.1, 3.0, 20.0, 300.0))
            # A stopped process, or a worker that is frozen as a whole, with its slots.
            worker = victim.name.partition(".")[0]
            is_whole = self._chance.random() < 0.5
            for actor in world.actors:
                if actor is victim or (is_whole and actor.name.partition(".")[0] == worker):
                    world.note(f"{actor.name} is stopped for {seconds:g} s")
                    world.suspend(actor, seconds)

    def _outage(self, world: World) -> None:
        seconds = self._chance.choice((0.1, 3.0, 20.0, 180.0))
        world.note(f"the server is away for {seconds:g} s; some answers are lost")
        world.server.down_until = world.time + seconds
        for actor in world.actors:
            if self._chance.random() < 0.5:
                self._lost.update(actor.calls)

    def _jump(self, world: World) -> None:
        host = self._chance.choice(list(world.hosts.values()))
        host.clock_offset_s += self._chance.choice((-3600.0, 3600.0))
        world.note(f"the clock of {host.name} jumps to {host.clock_offset_s:+g} s")


def healed(anomalies: Anomalies) -> Anomalies:
    """What a share still does when nothing is wrong with it: hosts remember what is not so any more."""
    return Anomalies(
        stale_missing=anomalies.stale_missing,
        stale_present=anomalies.stale_present,
        blind_ticks=anomalies.blind_ticks,
        stale_replaced=anomalies.stale_replaced,
        stale_directories=anomalies.stale_directories,
        stale_removed=anomalies.stale_removed,
        stale_attributes=anomalies.stale_attributes,
        silly_rename=anomalies.silly_rename,
        locks=anomalies.locks,
    )


class Play(Scene):
    """One play.

    Args:
        seed: of everything in it.
        troubles: what befalls; by default chosen by the seed.
    """

    def __init__(self, seed: int, troubles: Troubles | None = None) -> None:
        self.chance = random.Random(seed)
        self.troubles = troubles or Troubles.by(self.chance)
        director = ByChance(self.troubles, random.Random(self.chance.getrandbits(32)))
        super().__init__(director, self.chance.getrandbits(32), use_sym_links=self.chance.random() < 0.1)

    def set_up(self) -> None:
        chance, stage = self.chance, self.stage
        hosts = [stage.host(f"h{number}", self.troubles.anomalies) for number in range(chance.randint(1, 3))]
        queue = attached(stage, stage.truth())
        for _ in range(chance.choice((1, 1, 2))):
            self.acknowledged.add(chance.choice(SHAPES)(queue, chance).activate().number)
        for number in range(chance.choice((1, 2, 2, 3))):
            start_worker(stage, chance.choice(hosts), f"w{number}", chance.choice((1, 1, 2)))
        for number in range(chance.choice((0, 1, 1, 2))):
            add_person(self, f"p{number}", chance.choice(hosts), random.Random(chance.getrandbits(32)))
