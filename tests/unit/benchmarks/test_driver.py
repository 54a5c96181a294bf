"""The driver of the benchmark, with a peer that is a thread of this process."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks import work
from benchmarks.drive import WORKS, Driver, Ground, LateError, Plan, Stage, wait_until
from benchmarks.peers.base import Job, Peer, PeerError
from benchmarks.side_by_side import BARE, FULL, OURS, QUICK, Extent, Patience, _timed, python_of


class Threads(Peer):
    """Runs jobs in threads."""

    name = "threads"
    package = "jobqueue"
    settings = "none"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self.executions = 1

    def start(self, workers: int) -> None:
        for _ in range(workers):
            self._threads.append(threading.Thread(target=self._work))
            self._threads[-1].start()

    def submit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._jobs.put(job)

    def _work(self) -> None:
        while job := self._jobs.get():
            for _ in range(self.executions if job.function == "noop" else 1):
                job.call()

    def stop(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    monkeypatch.setenv(work.VARIABLE, str(tmp_path))
    monkeypatch.setattr(work, "_open", {})
    yield Ground(tmp_path)
    for descriptor in work._open.values():
        os.close(descriptor)


@pytest.fixture
def stage(ground: Ground, tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    peers: list[Threads] = []

    def make(work_name: str, *sizes: int, limit_s: float = 30.0) -> Stage:
        folder = tmp_path / "peer"
        folder.mkdir()
        peers.append(Threads(folder))
        plan = Plan("threads", work_name, str(folder), 2, sizes, limit_s)
        return Stage(plan, ground, peers[-1], Driver(peers[-1], ground, limit_s))

    yield make
    for peer in peers:
        peer.stop()
        peer._log.close()


def test_no_ops_are_measured_in_both_ways_and_counted(stage: Callable[..., Stage]) -> None:
    found = WORKS["noops"](stage("noops", 3, 5))
    assert found["start_s"] > 0
    for size, seen in found["sizes"].items():
        counts = {"executed": 2 * int(size), "repeated": 0, "missing": 0}
        assert {name: seen[name] for name in counts} == counts
        assert min(seen["submit_s"], seen["drain_s"], seen["free_s"]) > 0


def test_what_is_run_twice_is_seen(stage: Callable[..., Stage]) -> None:
    set_up = stage("noops", 4)
    assert isinstance(set_up.peer, Threads)
    set_up.peer.executions = 2
    seen = WORKS["noops"](set_up)["sizes"]["4"]
    assert seen["repeated"] > 0
    assert seen["missing"] == 0


def test_no_job_runs_before_the_gate_opens(ground: Ground, stage: Callable[..., Stage]) -> None:
    peer = stage("noops").peer
    peer.start(1)
    with ground.shut() as open_gate:
        peer.submit([*ground.jobs("gate", 1), *ground.jobs("noop", 3)])
        wait_until(lambda: ground.lines("arrived") == 1, check=peer.check, limit_s=10)
        assert ground.lines("tally") == 0
        open_gate()
        wait_until(lambda: ground.lines("tally") == 3, check=peer.check, limit_s=10)


def test_a_gate_that_is_shut_anew_lets_those_through_that_wait_at_the_old_one(
    ground: Ground, stage: Callable[..., Stage]
) -> None:
    peer = stage("noops").peer
    peer.start(1)
    with ground.shut():
        peer.submit([*ground.jobs("gate", 1), *ground.jobs("noop", 1)])
        wait_until(lambda: ground.lines("arrived") == 1, check=peer.check, limit_s=10)
    with ground.shut():
        wait_until(lambda: ground.lines("tally") == 1, check=peer.check, limit_s=10)


def test_who_says_that_it_waits_has_the_gate_in_hand_already(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    with ground.shut() as open_gate, ExitStack() as later:

        def arrive(_name: str, _line: bytes) -> None:
            open_gate()
            later.enter_context(ground.shut())

        monkeypatch.setattr(work, "_append", arrive)
        # At the other gate it would wait for ever.
        work.gate(1)


def test_a_parent_fails_that_is_run_before_its_sub_jobs(ground: Ground) -> None:
    leaves = ground.jobs("noop", 2)
    (parent,) = ground.jobs("parent", 1, 2)
    leaves[0].call()
    with pytest.raises(AssertionError, match="1 sub-jobs have not run, 2 for one"):
        parent.call()
    leaves[1].call()
    parent.call()
    assert ground.counts([*leaves, parent]) == {"executed": 3, "repeated": 0, "missing": 0}


def test_a_peer_without_dependencies_refuses_them(stage: Callable[..., Stage]) -> None:
    set_up = stage("hierarchy", 2)
    with pytest.raises(PeerError, match="depends on 2 others"):
        WORKS["hierarchy"](set_up)


def test_what_does_not_come_to_its_end_is_given_up() -> None:
    with pytest.raises(LateError):
        wait_until(lambda: False, check=lambda: None, limit_s=0.0)


def test_a_worker_that_has_ended_is_told_with_what_it_has_printed(stage: Callable[..., Stage]) -> None:
    """A benchmark whose workers are gone has to say so, not to wait."""
    peer = stage("noops").peer
    peer.launch_worker(sys.executable, "-c", "raise SystemExit('no such queue')")
    peer.workers[0].wait()
    with pytest.raises(PeerError, match="a worker of threads has ended with 1:\nno such queue"):
        wait_until(lambda: False, check=peer.check, limit_s=10)


# --- the plan --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extent", [FULL, QUICK])
def test_in_each_round_every_peer_has_its_turn_with_every_number_of_workers(extent: Extent) -> None:
    peers = [OURS, "jug", "RQ", BARE]
    for number in range(extent.rounds):
        plans = list(_timed(extent, peers, number))
        noops = [(place, plan.peer, plan.workers) for place, plan in plans if plan.sizes == extent.sizes]
        expected = [
            (place, peer, workers)
            for workers in extent.workers
            for place in extent.places
            for peer in peers[:3]
            if place == "tmpfs" or peer != "RQ"
        ]
        assert sorted(noops) == sorted(expected)


def test_the_peers_begin_in_another_order_in_each_round() -> None:
    peers = [OURS, "jug", "RQ"]
    assert len({next(plan.peer for _, plan in _timed(FULL, peers, number)) for number in range(3)}) == 3


def _with(size: int, **seen: float) -> dict[str, Any]:
    return {"sizes": {str(size): seen}}


def test_what_was_late_once_is_not_tried_again() -> None:
    plan = Plan("luigi", "noops", "/", 2, (100, 1_000))
    patience = Patience()
    patience.note(plan, "tmpfs", _with(1_000, late_s=60.0))
    assert patience.shortened(plan, "tmpfs") == plan._replace(sizes=(100,))
    assert patience.shortened(plan._replace(sizes=(1_000,)), "tmpfs") is None
    assert patience.shortened(plan, "disk") == plan
    assert patience.shortened(plan._replace(work="commands"), "tmpfs") is not None


def test_what_takes_long_is_done_once() -> None:
    plan = Plan("RQ", "noops", "/", 2, (100, 10_000))
    patience = Patience()
    assert patience.shortened(plan, "tmpfs") == plan
    patience.note(plan, "tmpfs", _with(10_000, drain_s=40.0))
    patience.note(plan, "tmpfs", _with(100, drain_s=0.4))
    assert patience.shortened(plan, "tmpfs") == plan._replace(sizes=(100,))


def test_ours_is_measured_in_our_own_environment_and_the_others_in_theirs() -> None:
    assert python_of(OURS) == python_of(BARE) == sys.executable
    assert Path(python_of("jug")) == Path(sys.prefix) / "bench" / "bin" / "python"
