"""Several attached queues and workers on one directory, against a model in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import jobqueue
from jobqueue.errors import JobStateError
from jobqueue.handle import reader_of
from jobqueue.state import scan
from jobqueue.worker import inprocess
from jobqueue.worker.inbox import Inbox
from jobqueue.worker.runner import Step as Outcome
from tests.soundness import assert_sound
from tests.stateful import steps
from tests.stateful.model import Model, ModelJob, ModelRoot
from tests.support_share import QuickShare
from tests.support_worker import Worker, attached

_STEP = "tests.stateful.steps:Step"


@pytest.fixture(autouse=True)
def _in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that beats for this process never comes to act, so that what happens depends on the rules alone."""
    monkeypatch.setattr(inprocess, "_TICK_S", 1e6)


@st.composite
def hierarchies(draw: st.DrawFn) -> list[ModelJob]:
    """Small hierarchies in post-order: each job but the root is needed by a later one."""
    count = draw(st.integers(1, 6))
    children: list[set[int]] = [set() for _ in range(count)]
    for node in range(count - 1):
        parents = draw(st.sets(st.integers(node + 1, count - 1), min_size=1, max_size=2))
        for parent in parents:
            children[parent].add(node)
    return [ModelJob(sorted(below), draw(st.sampled_from([0, 0, 0, 1, 2]))) for below in children]


class QueueMachine(RuleBasedStateMachine):
    """Each rule does the same to the queue and to the model, by whichever attached queue object."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.dir = Path(tempfile.mkdtemp(prefix="jobqueue-model-"))
        self.location = self.dir / "queue"
        jobqueue.createJobQueue(str(self.location))
        self.queues = [attached(self.location, QuickShare(seed)) for seed in range(3)]
        self.workers: list[Worker] = []
        self.handles: dict[int, list[jobqueue.JobHandle]] = {}
        steps.ran.clear()
        steps.during.clear()

    @initialize(count=st.integers(0, 2))
    def workers_come(self, count: int) -> None:
        self.workers = [Worker(self.location, QuickShare(10 + seed), f"w{seed}") for seed in range(count)]
        self.inboxes = [Inbox(worker.store, worker.registration) for worker in self.workers]

    def teardown(self) -> None:
        key = (os.getpid(), str(self.location))
        if (script := inprocess._workers.pop(key, None)) is not None:
            script._leave()
            script.let_go()
        # All of them, whatever a test that fails has left behind.
        left = [worker.leave() for worker in self.workers]
        assert all(left)
        there = {f"job{root.number}" for root in self.model.listed()}
        assert {name for name in os.listdir(self.location) if name.startswith("job")} == there
        assert os.listdir(self.location / "trash") == []
        assert os.listdir(self.location / "workers") == []
        shutil.rmtree(self.dir)

    # --- what is chosen by the rules ---------------------------------------------------------------------------------

    def _root(self, pick: int) -> ModelRoot:
        listed = self.model.listed()
        return listed[pick % len(listed)]

    def _handle(self, root: ModelRoot, node: int = -1) -> jobqueue.JobHandle:
        return self.handles[root.number][node]

    # --- submitting --------------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 2), jobs=hierarchies(), priority=st.sampled_from([0, 0, 0, 5, -5]))
    def submit(self, which: int, jobs: list[ModelJob], priority: int) -> None:
        root = self.queues[which].createJobRoot(_STEP, fails=jobs[-1].fails)
        made: list[jobqueue.Job] = [jobqueue.Job(root, _STEP, fails=job.fails) for job in jobs[:-1]]
        for job, model in zip([*made, root], jobs, strict=True):
            for child in model.children:
                job.addDependency(made[child])
        root.options.priority = priority
        handle = root.activate()
        assert handle.number == max(self.model.roots, default=0) + 1
        # The order that the queue has found, and the edges that it has dropped, are tests of their own.
        nodes = list(reader_of(handle).hierarchy().nodes())
        found = [ModelJob(list(node.children), int(node.params["fails"])) for node in nodes]
        self.model.roots[handle.number] = ModelRoot(handle.number, found, priority)
        # A handle holds no state, so the model may be compared by way of any queue object.
        other = self.queues[handle.number % 3]
        names = [f"{handle.name}/{node.place}".rstrip("/") for node in nodes]
        self.handles[handle.number] = [other.findJob(name) for name in names]

    # --- running -----------------------------------------------------------------------------------------------------

    @rule(during=st.sampled_from(["", "", "", "hold", "cancel", "delete", "submit", "retry", "priority"]))
    def run_next(self, during: str) -> None:
        self._run(self.queues[0].runNextAvailableJob, during, is_alone=not self.workers)

    @rule()
    def run_next_and_interrupt(self) -> None:
        ready = self.model.ready()

        def interrupt() -> None:
            raise KeyboardInterrupt

        steps.during[:] = [interrupt]
        # By hand: an interrupt that comes where none is expected would end the whole test run.
        try:
            was_interrupted = self.queues[0].runNextAvailableJob()
        except KeyboardInterrupt:
            was_interrupted = True
        assert was_interrupted is bool(ready)
        if not ready:
            steps.during.clear()
            return
        number, node = self._began(ready, is_alone=not self.workers)
        self.model.roots[number].give_back(node)

    @precondition(lambda self: self.workers)
    @rule(which=st.integers(0, 1), during=st.sampled_from(["", "", "other", "setError", "cancel", "delete", "hold"]))
    def a_worker_steps(self, which: int, during: str) -> None:
        at = which % len(self.workers)
        self._run(lambda: self._step(at), during, is_alone=False, worker=at)
        self.inboxes[at].take()
        self.inboxes[at].remove_deleted()

    def _step(self, at: int) -> bool:
        worker = self.workers[at]
        worker.runner.chooser.look_again()
        while True:
            outcome = worker.step()
            if outcome is not Outcome.LOST:
                return outcome is Outcome.RAN

    def _run(self, run: Callable[[], bool], during: str, *, is_alone: bool, worker: int = -1) -> None:
        """Runs one job, and meanwhile does something else."""
        ready = self.model.ready()
        now: dict[str, Any] = {"failed": False}

        def meanwhile() -> None:
            # What goes wrong here would only make the job fail.
            try:
                happen()
            except BaseException as error:
                now["error"] = error
                raise

        def happen() -> None:
            now["job"] = self._began(ready, is_alone=is_alone)
            self.assert_equal()
            number, node = now["job"]
            if during == "other" and len(self.workers) > 1:
                self._run(lambda: self._step(1 - worker), "", is_alone=False, worker=1 - worker)
            elif during == "setError":
                self._handle(self.model.roots[number], node).setError()
                requests = self.inboxes[worker].take()
                current = self.workers[worker].runner.current
                assert current is not None
                assert [tokens for _, tokens in requests] == [[current.token]]
                current.mark_error()
                now["failed"] = True
            elif during in _MEANWHILE:
                _MEANWHILE[during](self, number)
            self.assert_equal()

        steps.during[:] = [meanwhile]
        count = len(steps.ran)
        did_run = run()
        steps.during.clear()
        if "error" in now:
            raise now["error"]
        assert did_run == bool(ready)
        if not did_run:
            assert len(steps.ran) == count
            return
        number, node = now["job"]
        root = self.model.roots[number]
        root.end(node, ok=root.jobs[node].attempts > root.jobs[node].fails and not now["failed"])

    def _began(self, ready: list[tuple[int, int]], *, is_alone: bool) -> tuple[int, int]:
        """Tells the model which job has begun: the next one in order, or, beside other workers, any that is ready."""
        name, attempt = steps.ran[-1]
        number, node = next(pair for pair in ready if self._handle(self.model.roots[pair[0]], pair[1]).name == name)
        if is_alone:
            assert (number, node) == ready[0]
        assert self.model.roots[number].begin(node) == attempt
        return number, node

    # --- what people do ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.listed())
    @rule(pick=st.integers(0, 20), at=st.integers(0, 5))
    def set_error(self, pick: int, at: int) -> None:
        root = self._root(pick)
        node = at % len(root.jobs)
        handle = self._handle(root, node)
        if root.set_error(node):
            handle.setError()
        else:
            with pytest.raises(JobStateError):
                handle.setError()

    @precondition(lambda self: self.model.listed())
    @rule(pick=st.integers(0, 20))
    def retry(self, pick: int) -> None:
        root = self._root(pick)
        if root.is_done:
            with pytest.raises(JobStateError):
                self._handle(root).retry()
            return
        failed = root.failed()
        assert self._handle(root).retry() == len(failed)
        root.retry(failed)

    @precondition(lambda self: self.model.listed())
    @rule(pick=st.integers(0, 20), at=st.integers(0, 5))
    def retry_one(self, pick: int, at: int) -> None:
        root = self._root(pick)
        node = at % len(root.jobs)
        # The root's handle means the whole hierarchy.
        if node == len(root.jobs) - 1:
            return
        if root.is_done or node not in root.failed():
            with pytest.raises(JobStateError):
                self._handle(root, node).retry()
        else:
            assert self._handle(root, node).retry() == 1
            root.retry([node])

    @precondition(lambda self: self.model.listed())
    @rule(pick=st.integers(0, 20), is_held=st.booleans())
    def hold_or_release(self, pick: int, is_held: bool) -> None:
        root = self._root(pick)
        act = self._handle(root).hold if is_held else self._handle(root).release
        if root.is_done:
            with pytest.raises(JobStateError):
                act()
        else:
            act()
            root.is_held = is_held

    @precondition(lambda self: self.model.listed())
    @rule(pick=st.integers(0, 20), priority=st.integers(-499, 500))
    def set_priority(self, pick: int, priority: int) -> None:
        root = self._root(pick)
        self._handle(root).setPriority(priority)
        root.priority = priority

    @precondition(lambda self: self.model.listed())
    @rule(pick=st.integers(0, 20))
    def cancel(self, pick: int) -> None:
        root = self._root(pick)
        if root.can_be_cancelled():
            self._handle(root).cancel()
            root.cancel()
        else:
            with pytest.raises(JobStateError):
                self._handle(root).cancel()

    @precondition(lambda self: self.model.listed())
    @rule(pick=st.integers(0, 20), which=st.integers(0, 2))
    def delete(self, pick: int, which: int) -> None:
        root = self._root(pick)
        handle = self._handle(root)
        self.queues[which].deleteJobs(handle)
        self.queues[which].deleteJobs(handle)
        root.is_deleted = True

    # --- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def the_queue_is_as_the_model_says(self) -> None:
        self.assert_equal()
        assert_sound(self.location)

    def assert_equal(self) -> None:
        listed = self.model.listed()
        handles = self.queues[len(steps.ran) % 3].listJobs()
        assert [handle.number for handle in handles] == [root.number for root in listed]
        for handle, root in zip(handles, listed, strict=True):
            seen = scan(reader_of(handle).store, reader_of(handle).job, len(root.jobs))
            assert [sighting.state.value for sighting in seen] == root.states, handle
            assert [sighting.attempt for sighting in seen] == [job.attempts for job in root.jobs], handle
            assert handle.hasError(recursive=True) is any(state in ("failed", "cancelled") for state in root.states)
            # One job by its own handle, each time another one.
            at = len(steps.ran) % len(root.jobs)
            job, model = self.handles[root.number][at], root.jobs[at]
            assert (job.state.value, job.attempt) == (model.state, model.attempts)
            if model.state == "finished":
                assert job.result == model.attempts


def _submit_one(machine: QueueMachine, _number: int) -> None:
    machine.submit(1, [ModelJob([], 0), ModelJob([0], 0)], 7)


def _on(act: Callable[[QueueMachine, int], None]) -> Callable[[QueueMachine, int], None]:
    """Does something to the hierarchy of which a job runs."""

    def call(machine: QueueMachine, number: int) -> None:
        act(machine, next(at for at, root in enumerate(machine.model.listed()) if root.number == number))

    return call


_MEANWHILE: dict[str, Callable[[QueueMachine, int], None]] = {
    "submit": _submit_one,
    "hold": _on(lambda machine, pick: machine.hold_or_release(pick, True)),
    "cancel": _on(lambda machine, pick: machine.cancel(pick)),
    "delete": _on(lambda machine, pick: machine.delete(pick, 1)),
    "retry": _on(lambda machine, pick: machine.retry(pick)),
    "priority": _on(lambda machine, pick: machine.set_priority(pick, -100)),
}

QueueMachine.TestCase.settings = settings(
    max_examples=250, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestQueueAgainstTheModel = QueueMachine.TestCase
