"""The order in which jobs are run: every dependency is respected, and one worker goes strictly depth-first."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jobqueue
from jobqueue.errors import DependencyError
from jobqueue.hierarchy import Hierarchy
from jobqueue.worker.runner import Step
from tests.soundness import assert_sound
from tests.support_share import QuickShare, scratch
from tests.support_worker import Worker, attached, new_queue, worker_on

__all__ = ["scratch"]

_MANY = 10_000


@contextmanager
def fresh_queue() -> Iterator[Path]:
    """A queue for one example of hypothesis."""
    directory = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None, prefix="jobqueue-test-")
    try:
        yield new_queue(Path(directory) / "queue")
    finally:
        shutil.rmtree(directory)


# --- any hierarchy ----------------------------------------------------------------------------------------------------


@st.composite
def digraphs(draw: st.DrawFn) -> list[list[int]]:
    """For each job, those that it depends on beside the ones that it has made; job 0 is the root, which has made all.

    Where ``forward`` holds, there is no cycle.
    """
    count = draw(st.integers(2, 9))
    forward = draw(st.booleans())
    return [
        draw(st.lists(st.integers(node + 1 if forward else 1, count - 1), max_size=4)) if node < count - 1 else []
        for node in range(count)
    ]


def _build(queue: jobqueue.JobQueue, graph: Sequence[Sequence[int]]) -> tuple[jobqueue.JobRoot, list[list[int]]]:
    """The hierarchy, and what each job depends on, in its order."""
    root = queue.createJobRoot("noop", label="0")
    jobs: list[jobqueue.Job] = [root, *(root.createJob("noop", label=str(node)) for node in range(1, len(graph)))]
    below = [[*range(1, len(graph))], *[[] for _ in graph[1:]]]
    for node, extra in enumerate(graph):
        for child in extra:
            if child == node:
                with pytest.raises(DependencyError):
                    jobs[node].addDependency(jobs[child])
            else:
                jobs[node].addDependency(jobs[child])
                below[node].append(child)
    return root, [list(dict.fromkeys(children)) for children in below]


def _reachable(below: Sequence[Sequence[int]], start: int) -> set[int]:
    found: set[int] = set()
    pending = list(below[start])
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending.extend(below[node])
    return found


def _naive_post_order(below: Sequence[Sequence[int]], node: int, seen: set[int]) -> list[int]:
    seen.add(node)
    order = [found for child in below[node] if child not in seen for found in _naive_post_order(below, child, seen)]
    return [*order, node]


@settings(max_examples=120, deadline=None)
@given(digraphs())
def test_activation_takes_all_hierarchies_without_a_cycle_and_one_worker_runs_them_in_post_order(
    graph: list[list[int]],
) -> None:
    with fresh_queue() as queue_dir:
        queue = attached(queue_dir, QuickShare())
        root, below = _build(queue, graph)
        if any(node in _reachable(below, node) for node in range(len(graph))):
            with pytest.raises(DependencyError, match="cycle"):
                root.activate()
            assert queue.listJobs() == []
            return
        handle = root.activate()
        order = _naive_post_order(below, 0, set())
        nodes = list(Hierarchy(QuickShare(), handle.procDefFile).nodes())
        assert [int(node.label or "") for node in nodes] == order
        for node in nodes:
            job = order[node.node]
            wanted = [
                child
                for child in below[job]
                if not any(child in _reachable(below, other) for other in below[job] if other != child)
            ]
            assert [order[child] for child in node.children] == wanted
            assert sorted(node.parents) == [above.node for above in nodes if node.node in above.children]
        with worker_on(queue_dir) as worker:
            places = [handle.name if not node.place else f"{handle.name}/{node.place}" for node in nodes]
            assert worker.run_all() == places
        assert set(assert_sound(queue_dir)[handle.number]) == {"finished"}


@settings(max_examples=40, deadline=None)
@given(digraphs(), st.integers(2, 4), st.randoms(use_true_random=False))
def test_several_workers_run_each_job_once_and_after_all_that_it_depends_on(
    graph: list[list[int]], count: int, chance: random.Random
) -> None:
    with fresh_queue() as queue_dir:
        queue = attached(queue_dir, QuickShare())
        root, below = _build(queue, graph)
        if any(node in _reachable(below, node) for node in range(len(graph))):
            return
        handle = root.activate()
        order = _naive_post_order(below, 0, set())
        nodes = list(Hierarchy(QuickShare(), handle.procDefFile).nodes())
        names = {f"{handle.name}/{node.place}".rstrip("/"): order[node.node] for node in nodes}
        workers = [Worker(queue_dir, QuickShare(number), f"w{number}") for number in range(count)]
        ran: list[int] = []
        try:
            while not handle.isFinished():
                worker = chance.choice(workers)
                worker.runner.chooser.look_again()
                if worker.step() is Step.RAN:
                    ran.append(names[worker.ran[-1]])
        finally:
            for worker in workers:
                worker.leave()
        assert sorted(ran) == list(range(len(graph)))
        assert all(ran.index(child) < ran.index(node) for node in ran for child in below[node])
        assert set(assert_sound(queue_dir)[handle.number]) == {"finished"}


# --- one worker, several top-level jobs -------------------------------------------------------------------------------


@pytest.fixture
def place(scratch: Path) -> Path:
    return new_queue(scratch / "queue")


def _pair(queue: jobqueue.JobQueue, *, priority: int = 0, text: str = "") -> jobqueue.JobHandle:
    """Two sub-jobs below a root; ``text`` is what the first of them does."""
    root = queue.createJobRoot("noop")
    root.options.priority = priority
    root.createJob("code", text=text)
    root.createJob("noop")
    return root.activate()


def _names(number: int) -> list[str]:
    return [f"job{number}/job0", f"job{number}/job1", f"job{number}"]


def test_top_level_jobs_are_run_by_priority_and_then_by_number(place: Path) -> None:
    queue = attached(place, QuickShare())
    for priority in (0, -1, 5, 0, 500, -499):
        _pair(queue, priority=priority)
    with worker_on(place) as worker:
        assert worker.run_all() == [name for number in (5, 3, 1, 4, 2, 6) for name in _names(number)]


def test_what_is_submitted_with_a_higher_priority_is_run_next_and_then_the_rest_goes_on(place: Path) -> None:
    queue = attached(place, QuickShare())
    _pair(queue)
    with worker_on(place) as worker:
        assert worker.step() is Step.RAN
        _pair(queue, priority=1)
        worker.runner.chooser.look_again()
        assert [worker.ran[0], *worker.run_all()] == ["job1/job0", *_names(2), "job1/job1", "job1"]


def test_what_is_submitted_with_a_higher_priority_is_noticed_after_a_second(place: Path) -> None:
    queue = attached(place, QuickShare())
    _pair(queue)
    _pair(queue)
    with worker_on(place) as worker:
        worker.step()
        _pair(queue, priority=1)
        worker.step()
        worker.store.share.clock.sleep(1.01)
        assert [*worker.ran, *worker.run_all()] == ["job1/job0", "job1/job1", *_names(3), "job1", *_names(2)]


def test_a_parent_that_becomes_ready_in_the_middle_is_run_before_what_comes_after_it(place: Path) -> None:
    """The sub-jobs of the first branch have been run; its parent comes before the second branch."""
    root = attached(place, QuickShare()).createJobRoot("noop")
    for _ in range(3):
        branch = root.createJob("noop")
        for _ in range(2):
            branch.createJob("noop")
    root.activate()
    with worker_on(place) as worker:
        assert worker.run_all() == [
            "job1/job0/job0", "job1/job0/job1", "job1/job0",
            "job1/job1/job0", "job1/job1/job1", "job1/job1",
            "job1/job2/job0", "job1/job2/job1", "job1/job2",
            "job1",
        ]  # fmt: skip


def test_a_job_that_is_tried_again_is_run_before_what_comes_after_it(place: Path) -> None:
    queue = attached(place, QuickShare())
    fails_first = "if proc.runningDir.endswith('attempt1'): raise RuntimeError('not yet')"
    handle = _pair(queue, text=fails_first)
    _pair(queue)
    with worker_on(place) as worker:
        worker.step()
        assert handle.retry() == 1
        worker.runner.chooser.look_again()
        assert [*worker.ran, *worker.run_all()] == ["job1/job0", "job1/job0", "job1/job1", "job1", *_names(2)]


def test_a_failed_job_keeps_its_ancestors_waiting_and_the_rest_goes_on(place: Path) -> None:
    queue = attached(place, QuickShare())
    handle = _pair(queue, text="raise RuntimeError('never')")
    _pair(queue)
    with worker_on(place) as worker:
        assert worker.run_all() == ["job1/job0", "job1/job1", *_names(2)]
        assert assert_sound(place)[1] == ["failed", "finished", "blocked"]
        assert handle.hasError(recursive=True)
        assert [entry.folder for entry in worker.store.index.all()] == ["waiting", "done"]


def test_a_held_job_is_passed_over_until_it_is_released(place: Path) -> None:
    queue = attached(place, QuickShare())
    first = _pair(queue)
    _pair(queue)
    first.hold()
    with worker_on(place) as worker:
        assert worker.run_all() == _names(2)
        first.release()
        worker.runner.chooser.look_again()
        assert worker.run_all() == _names(1)


# --- many -------------------------------------------------------------------------------------------------------------


def test_a_chain_of_ten_thousand_is_submitted_and_one_of_a_thousand_is_run_to_its_end(place: Path) -> None:
    queue = attached(place, QuickShare())
    for count in (_MANY, 1000):
        job: jobqueue.Job = queue.createJobRoot()
        root = job
        for _ in range(count - 1):
            job = job.createJob()
        assert isinstance(root, jobqueue.JobRoot)
        handle = root.activate()
        assert Hierarchy(QuickShare(), handle.procDefFile).count == count
    queue.listJobs()[0].hold()
    with worker_on(place) as worker:
        assert len(worker.run_all()) == 1000
    states = assert_sound(place)
    assert set(states[2]) == {"finished"}
    assert states[1] == ["ready"] + ["blocked"] * (_MANY - 1)


def test_a_fan_of_ten_thousand_is_submitted_and_its_first_jobs_are_run_in_order(place: Path) -> None:
    queue = attached(place, QuickShare())
    root = queue.createJobRoot()
    for _ in range(_MANY - 1):
        root.createJob()
    root.activate()
    with worker_on(place) as worker:
        for _ in range(100):
            assert worker.step() is Step.RAN
        assert worker.ran == [f"job1/job{number}" for number in range(100)]
    assert assert_sound(place)[1] == ["finished"] * 100 + ["ready"] * (_MANY - 101) + ["blocked"]
