"""What people do to a queue while workers work: submit, hold, cancel, retry, prefer, archive, delete, fail, look."""

from __future__ import annotations

import random
from collections.abc import Callable

import jobqueue
from jobqueue.errors import JobQueueError
from jobqueue.share import Share
from jobqueue.testing.host import ModelHost
from tests.simulation.scene import SHAPES, Scene, attached

_TRIES = 5
# Of what leaves a job half done if it is given up: longer than any trouble lasts.
_MANY_TRIES = 1000


class Person:
    """Somebody with a script or a terminal; tries again what the share has kept from him.

    Args:
        scene: that he is in.
        chance: decides what he does.
    """

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene = scene
        self.chance = chance
        self._queue: jobqueue.JobQueue
        self.unfinished: tuple[str, int] | None = None

    def live(self, share: Share) -> None:
        """Does a few things."""
        self._queue = attached(self._scene.stage, share)
        for _ in range(self.chance.randint(1, 3)):
            share.clock.sleep(self.chance.choice((0.0, 0.01, 0.5, 5.0)))
            action = self.chance.choices(
                [
                    self._submit,
                    self._hold,
                    self._cancel,
                    self._retry,
                    self._prefer,
                    self._archive,
                    self._delete,
                    self._fail,
                    self._look,
                ],
                [6, 2, 1, 3, 1, 2, 1, 2, 1],
            )[0]
            action()

    def _insist(self, act: Callable[[], object], tries: int = _TRIES) -> bool:
        """Whether it was done; says what the queue says to it."""
        for _ in range(tries):
            try:
                act()
            except JobQueueError as error:
                self._scene.stage.note(f"is told: {error}")
                return False
            except OSError as error:
                self._scene.stage.note(f"tries again: {error}")
                self._scene.stage.sleep(1.0)
            else:
                return True
        return False

    def _submit(self) -> None:
        root = self.chance.choice(SHAPES)(self._queue, self.chance)
        for _ in range(_TRIES * 4):
            try:
                number = root.activate().number
            except OSError as error:
                self._scene.stage.note(f"submits again: {error}")
                self._scene.stage.sleep(1.0)
            else:
                self._scene.acknowledged.add(number)
                self._scene.stage.note(f"has submitted job{number}")
                return

    def _job(self) -> jobqueue.JobHandle | None:
        numbers = sorted(self._scene.ledger.entries)
        found: list[jobqueue.JobHandle] = []
        if numbers:
            name = f"job{self.chance.choice(numbers)}"
            self._insist(lambda: found.append(self._queue.findJob(name)))
        return found[0] if found else None

    def _hold(self) -> None:
        if (job := self._job()) and self._insist(job.hold):
            self._scene.stage.sleep(self.chance.choice((0.01, 1.0)))
            # What stays held is not run, and then the play would show nothing.
            while not self._insist(job.release) and job.number in self._scene.ledger.entries:
                if self._scene.ledger.entries[job.number].folder != "held":
                    break

    def _cancel(self) -> None:
        self._do_whole("cancel")

    def _retry(self) -> None:
        self._do_whole("retry")

    def _archive(self) -> None:
        self._do_whole("archive")

    def _delete(self) -> None:
        self._do_whole("delete")

    def _do_whole(self, action: str) -> None:
        """Something that leaves a job half done if he dies in the middle."""
        if job := self._job():
            self.unfinished = action, job.number
            self._do(action, job)
            self.unfinished = None

    def _do(self, action: str, job: jobqueue.JobHandle) -> None:
        acts = {
            "cancel": job.cancel,
            "retry": job.retry,
            "archive": job.archive,
            "delete": lambda: self._queue.deleteJobs(job),
        }
        for _ in range(_TRIES):
            if self._insist(acts[action], _MANY_TRIES):
                break

    def finish(self, share: Share, action: str, number: int) -> None:
        """Does what another one has died of."""
        self._queue = attached(self._scene.stage, share)
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


def add_person(scene: Scene, name: str, host: ModelHost, chance: random.Random) -> None:
    """Somebody comes; if he dies in the middle of something, another one does that again."""
    person, stage = Person(scene, chance), scene.stage
    actor = stage.add(name, lambda: person.live(stage.share(host, actor)))

    def end() -> None:
        if person.unfinished is not None:
            action, number = person.unfinished
            another = Person(scene, chance)
            heir = stage.add(f"{name}'", lambda: another.finish(stage.share(host, heir), action, number))

    actor.on_end = end
