"""What all plays have in common: an empty queue, hierarchies to submit, a ledger, and what has to hold at the end."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable

import jobqueue
from jobqueue import control
from jobqueue import queue as queue_module
from jobqueue.config import config_text
from jobqueue.job import Job
from jobqueue.layout import QueueLayout
from jobqueue.share import Share
from jobqueue.store import Store
from tests.simulation.ledger import Ledger
from tests.simulation.processes import QUEUE, on_stage
from tests.simulation.world import Director, Violation, World
from tests.soundness import assert_sound

_PROCS = "tests.simulation.procedures"
_LONGEST_S = 1500.0
# Longer than a process is stopped, and then waits until it tries again what the share has kept from it.
_AGAIN_S = 400.0
_MAX_STEPS = 20_000
Shape = Callable[[jobqueue.JobQueue, random.Random], jobqueue.JobRoot]


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


def array(queue: jobqueue.JobQueue, chance: random.Random) -> jobqueue.JobRoot:
    """An array below the root, perhaps with something to wait for."""
    root = queue.createJobRoot()
    seconds = [chance.choice((0.01, 0.01, 1.0, 12.0, 40.0)) for _ in range(chance.choice((1, 3, 5)))]
    fails = chance.randrange(len(seconds)) if chance.random() < 0.3 else -1
    over = {"seconds": seconds, "number": range(len(seconds))}
    chunk: int | str = chance.choice((1, 2, 3, "auto"))
    made = root.createJobArray(f"{_PROCS}:Item", over=over, chunk=chunk, fails=fails)
    if chance.random() < 0.3:
        made.options.maxErrors = 2
    if chance.random() < 0.3:
        _add(made, chance)
    return root


SHAPES: tuple[Shape, ...] = (single, fan, chain, diamond, array, array)


# --- scenes -----------------------------------------------------------------------------------------------------------


class Scene(ABC):
    """A world with an empty queue.

    Args:
        director: decides.
        seed: of all chance in the world.
        use_sym_links: see `jobqueue.createJobQueue`.

    Attributes:
        stage: the world.
        ledger: what has become of every job.
        acknowledged: the numbers of the jobs whose submitters were told so.
    """

    def __init__(self, director: Director, seed: int, *, use_sym_links: bool = False) -> None:
        self.stage = World(director, seed)
        self.acknowledged: set[int] = set()
        # Since when something that was given back after its job had ended waits to be cancelled.
        self._waits_since: float | None = None
        share = self.stage.truth()
        share.make_dir(QUEUE)
        text = config_text(keep_jobs_in_repository=False, use_sym_links=use_sym_links)
        queue_module._lay_out(share, QueueLayout(QUEUE), text, [])
        self.ledger = Ledger(self.stage.server, self.stage.truth(), self.stage.violate)

    @abstractmethod
    def set_up(self) -> None:
        """Submits the first jobs, and lets everybody come."""

    def run(self) -> None:
        """Plays it.

        Raises:
            Violation: something must not be.
        """
        with on_stage(self.stage):
            self.set_up()
            self.stage.run(self._is_over, until=_LONGEST_S, max_steps=_MAX_STEPS)
        lost = self.acknowledged - self.ledger.entries.keys() - self.ledger.deleted
        if lost:
            raise Violation(f"submitted, acknowledged and lost: {sorted(lost)}")
        self._cancel_again()
        try:
            assert_sound(QUEUE, share=self.stage.truth())
        except AssertionError as error:
            raise Violation(f"at rest: {error}") from error

    def _cancel_again(self) -> None:
        """What people do where a cancelled job goes on to show a ready one.

        CRASH: whoever gives back what ran of a cancelled job may die before he has cancelled that, too. Nobody takes it
        up, and nobody else looks; `jobqueue cancel` can be repeated.
        """
        left = self._ready_and_done()
        if left and any(event.call is None and " dies; " in str(event.answer) for event in self.stage.timeline):
            store = Store(QUEUE, self.stage.truth(), log=self.stage.log)
            for number in sorted(left):
                control.cancel(store, number)

    def _ready_and_done(self) -> set[int]:
        """The jobs that have ended, and of which something is ready all the same."""
        ended = {number for number, entry in self.ledger.entries.items() if entry.folder == "done"}
        return {place.job for place in self.ledger.every_place() if place.folder == "ready"} & ended

    def _may_still_be_cancelled(self) -> bool:
        """Whether somebody may be about to cancel what he has given back; the share may keep him from it for long."""
        if not self._ready_and_done():
            self._waits_since = None
            return False
        if self._waits_since is None:
            self._waits_since = self.stage.time
        return self.stage.time - self._waits_since < _AGAIN_S

    def _is_over(self) -> bool:
        """Whether nobody has anything left to do."""
        actors, server = self.stage.actors, self.stage.server
        if server.has_late or any(not (actor.is_service and actor.is_asleep) for actor in actors):
            return False
        return self.ledger.has_come_to_rest() and not self._may_still_be_cancelled()

    def story(self) -> str:
        """The timeline, for people, and how everything stands at its end."""
        lines = [str(event) for event in self.stage.timeline]
        lines += [f"{'':12}at the end: {entry}" for entry in self.ledger.entries.values()]
        lines += [f"{'':12}at the end: job{at.job} {at.folder} {at.token}" for at in self.ledger.every_place()]
        return "\n".join(lines)
