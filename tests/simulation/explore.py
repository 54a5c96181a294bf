"""All schedules of a small play, as far as a few preemptions and one fault can change it.

An actor goes on until it waits, then the next one does, in a fixed order. From there one deviates: at one or two turns
somebody else goes on (a preemption), at one call something befalls (a fault). Source: M. Musuvathi, S. Qadeer,
Iterative Context Bounding for Systematic Testing of Multithreaded Programs, PLDI 2007; here also who goes on after
somebody waits costs a preemption where it is not the next one in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jobqueue
from jobqueue.testing.anomalies import CHANGING, REPEATED, Anomalies, Fault
from jobqueue.testing.process import ModelCall, ModelProcess
from tests.simulation.processes import start_worker
from tests.simulation.scene import Scene, attached
from tests.simulation.world import QUIET, Actor, Director, Violation, World

# When the last call of a process that dies is executed, in seconds after its death.
_DEATHS = {"DIES_BEFORE": None, "DIES_AFTER": 0.0, "DIES_LATE": 0.0025}
_STOPPED = "STOPPED"
_STOPPED_S = 200.0
_TRIES = 5
# What NFSv3 may do at any time without anything being wrong, and here does always.
_NFS3 = Anomalies(stale_missing=1.0, blind_ticks=1.0, silly_rename=True)


class Deviation(NamedTuple):
    """What happens at one turn.

    Attributes:
        turn: the number of the turn.
        actor: who goes on there; ``""``: whoever would have, and a fault befalls the call that he makes.
        fault: what befalls, and which call; ``""`` for none.
    """

    turn: int
    actor: str
    fault: str

    def __str__(self) -> str:
        return f"{self.turn}:{self.actor or self.fault}"

    @staticmethod
    def parse(text: str) -> Deviation:
        turn, _, what = text.partition(":")
        is_fault = what.partition("@")[0] in {*Fault.__members__, *_DEATHS, _STOPPED}
        return Deviation(int(turn), "" if is_fault else what, what if is_fault else "")


Plan = tuple[Deviation, ...]


class Planned(Director):
    """Keeps to a plan, and notes where one could deviate further."""

    def __init__(self, plan: Plan) -> None:
        self._turns = {step.turn: step for step in plan if step.actor}
        self._faults = {step.turn: step.fault for step in plan if step.fault}
        self._order: list[str] = []
        self._turn = -1
        self._has_begun = False
        self.ways: list[Deviation] = []

    def choose(self, world: World, ready: list[Actor]) -> Actor | None:
        # To come is not what is looked at: that begins with the first slot.
        self._has_begun = self._has_begun or all("." in actor.name or not actor.is_service for actor in ready)
        usual = self._usual(world, ready)
        if not self._has_begun:
            return usual
        self._turn += 1
        self.ways += [Deviation(self._turn, actor.name, "") for actor in ready if actor is not usual]
        forced = self._turns.get(self._turn)
        chosen = next((actor for actor in ready if forced and actor.name == forced.actor), usual)
        fault = self._faults.get(self._turn)
        if fault == _STOPPED:
            world.note(f"{chosen.name} is stopped for {_STOPPED_S:g} s")
            world.suspend(chosen, _STOPPED_S)
            return None
        if fault in _DEATHS:
            last_call_s = _DEATHS[fault]
            when = "lost" if last_call_s is None else f"executed {last_call_s:g} s later"
            world.note(f"{chosen.name} dies; its last call is {when}")
            chosen.end(last_call_s=last_call_s)
            return None
        return chosen

    def _usual(self, world: World, ready: list[Actor]) -> Actor:
        if world.last in ready:
            return world.last
        self._order += [actor.name for actor in world.actors if actor.name not in self._order]
        at = self._order.index(world.last.name) if world.last else -1
        turns = self._order[at + 1 :] + self._order[: at + 1]
        return min(ready, key=lambda actor: turns.index(actor.name))

    def fault(self, _world: World, calls: ModelProcess, call: ModelCall) -> Fault | None:
        if not self._has_begun:
            return None
        self.ways += [Deviation(self._turn, "", fault) for fault in _faults_of(calls, call)]
        name, _, befallen = self._faults.get(self._turn, "").partition("@")
        return Fault[name] if befallen == call.name else None


def _faults_of(calls: ModelProcess, call: ModelCall) -> Iterator[str]:
    """What can befall a call, or its process before or after it."""
    answers = [Fault.ERROR_BEFORE]
    if call.name in CHANGING:
        answers += [Fault.ERROR_AFTER, Fault.NO_ROOM]
    if call.name in REPEATED:
        answers.append(Fault.LOST_ANSWER)
    yield from (f"{fault.name}@{call.name}" for fault in answers)
    if call.name in QUIET:
        # Nobody can tell these from the call before.
        return
    yield _STOPPED
    # Also a whole worker dies, for there is another one to take up what it leaves.
    yield from (_DEATHS if call.name in CHANGING else ["DIES_BEFORE"])


# --- the small plays --------------------------------------------------------------------------------------------------

SetUp = Callable[[Scene, jobqueue.JobQueue], None]


def one_job(_: Scene, queue: jobqueue.JobQueue) -> None:
    """One top-level job."""
    queue.createJobRoot().activate()


def two_jobs(_: Scene, queue: jobqueue.JobQueue) -> None:
    """Two top-level jobs."""
    for _nth in range(2):
        queue.createJobRoot().activate()


def parent(_: Scene, queue: jobqueue.JobQueue) -> None:
    """A job with one sub-job."""
    root = queue.createJobRoot()
    root.createJob()
    root.activate()


def array(_: Scene, queue: jobqueue.JobQueue) -> None:
    """A job that waits for an array of two items, of which a slot takes one at once."""
    root = queue.createJobRoot()
    root.createJobArray("tests.simulation.procedures:Item", over={"number": range(2)}, chunk=1)
    root.activate()


Act = Callable[[jobqueue.JobQueue, jobqueue.JobHandle], None]


def _with_person(act: Act) -> SetUp:
    """A job with one sub-job, and somebody who does something to it."""

    def set_up(scene: Scene, queue: jobqueue.JobQueue) -> None:
        parent(scene, queue)
        stage = scene.stage

        def live(actor: Actor) -> None:
            own = attached(stage, stage.share(stage.host("hp", _NFS3), actor))
            for _ in range(_TRIES):
                try:
                    act(own, own.findJob("job1"))
                except jobqueue.JobQueueError as error:
                    stage.note(f"is told: {error}")
                except OSError as error:
                    stage.note(f"does it again: {error}")
                    stage.sleep(1.0)
                    continue
                return

        def end() -> None:
            heir.append(stage.add("p0'", lambda: live(heir[0])))

        heir: list[Actor] = []
        actor = stage.add("p0", lambda: live(actor))
        # If he dies in the middle, another one does it again.
        actor.on_end = end

    return set_up


def _hold(_: jobqueue.JobQueue, job: jobqueue.JobHandle) -> None:
    job.hold()
    job.release()


def _cancel(_: jobqueue.JobQueue, job: jobqueue.JobHandle) -> None:
    job.cancel()


def _delete(queue: jobqueue.JobQueue, job: jobqueue.JobHandle) -> None:
    queue.deleteJobs(job)


def _fail(_: jobqueue.JobQueue, job: jobqueue.JobHandle) -> None:
    job.setError()


PLAYS: dict[str, SetUp] = {
    "one": one_job,
    "two": two_jobs,
    "parent": parent,
    "array": array,
    "hold": _with_person(_hold),
    "cancel": _with_person(_cancel),
    "delete": _with_person(_delete),
    "fail": _with_person(_fail),
}


class SmallPlay(Scene):
    """Two workers with a slot each, on two hosts, up to two jobs, and perhaps somebody at a terminal."""

    def __init__(self, name: str, plan: Plan) -> None:
        self.planned = Planned(plan)
        self._name = name
        super().__init__(self.planned, 0)

    def set_up(self) -> None:
        stage = self.stage
        for number in range(2):
            start_worker(stage, stage.host(f"h{number}", _NFS3), f"w{number}", 1)
        PLAYS[self._name](self, attached(stage, stage.truth()))


# --- all schedules ----------------------------------------------------------------------------------------------------


def first_steps(name: str) -> list[Plan]:
    """All plans with one deviation; what deviates once more does so after one of these."""
    play = SmallPlay(name, ())
    play.run()
    return list(extensions((), play.planned.ways))


def try_all_after(name: str, plan: Plan) -> Iterator[tuple[Plan, str]]:
    """Plays a plan and all that begin with it; each with what must not be, if that was seen."""
    pending = [plan]
    while pending:
        plan = pending.pop()
        play = SmallPlay(name, plan)
        try:
            play.run()
        except Violation as violation:
            yield plan, str(violation)
        else:
            yield plan, ""
        pending += extensions(plan, play.planned.ways)


def words(plan: Plan) -> str:
    """A plan in one word, for the command line."""
    return ",".join(map(str, plan))


def parse(text: str) -> Plan:
    """The plan of such a word."""
    return tuple(Deviation.parse(part) for part in text.split(",") if part)


def is_in_scope(plan: Plan) -> bool:
    """At most two preemptions without a fault, one with one fault."""
    faults = sum(bool(step.fault) for step in plan)
    return faults <= 1 and len(plan) - faults <= 2 - faults


def extensions(plan: Plan, ways: list[Deviation]) -> Iterator[Plan]:
    """The plans that deviate once more, later than this one does."""
    last = plan[-1] if plan else Deviation(-1, "", "")
    for way in ways:
        # At one turn somebody else can go on, and something befall him.
        is_later = way.turn > last.turn or (way.turn == last.turn and bool(last.actor) and bool(way.fault))
        if is_later and is_in_scope((*plan, way)):
            yield (*plan, way)
