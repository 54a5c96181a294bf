"""Thirty-two workers that begin on one listing share the work, and do not run into each other at each step."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest

from jobqueue.store import Store
from jobqueue.worker.chooser import Chooser
from jobqueue.worker.runner import Step
from tests.soundness import assert_sound
from tests.support_share import QuickShare
from tests.support_worker import Worker, attached

_WORKERS = 32
_JOBS = 320
# Lost renames for each job that is claimed, on average; without spreading out it is about the number of workers.
_BAR = 3.0


def _submit_fan(queue_dir: Path) -> None:
    root = attached(queue_dir, QuickShare()).createJobRoot("noop")
    for _ in range(_JOBS):
        root.createJob("noop")
    root.activate()


class _Slot:
    """A slot that only claims: its jobs take no time, which is the hardest case."""

    def __init__(self, queue_dir: Path, number: int) -> None:
        self.store = Store(str(queue_dir), QuickShare(number))
        self.worker = f"w{number}-h-0"
        os.makedirs(self.store.layout.worker(self.worker).running)
        self.chooser = Chooser(self.store)
        self.candidate = self.chooser.next()
        self.lost = 0

    def claim(self) -> bool:
        """Tries what it had chosen, and chooses the next one; ``False`` when it finds nothing."""
        if self.candidate is None:
            return False
        left: list[str] = []
        token = self.store.tokens.try_claim(self.candidate.job, self.candidate.token, self.worker, 1, left=left)
        if token is None:
            self.lost += 1
            self.chooser.lost(self.candidate, left)
        else:
            self.chooser.won(self.candidate)
        self.candidate = self.chooser.next()
        return self.candidate is not None


def _claim_all(queue_dir: Path, seed: int, *, in_turn: bool) -> float:
    """Lets 32 slots take everything; lost renames for each job.

    Args:
        queue_dir: the queue.
        seed: of who goes on next.
        in_turn: each goes on once before any goes on again, as if all jobs took equally long; else by chance.
    """
    slots = [_Slot(queue_dir, seed * 100 + number) for number in range(_WORKERS)]
    chance = random.Random(seed)
    going = list(slots)
    while going:
        chance.shuffle(going)
        chosen = list(going) if in_turn else [chance.choice(going)]
        going = [slot for slot in going if slot not in chosen or slot.claim()]
    claimed = sum(len(slot.store.tokens.running_of(slot.worker)) for slot in slots)
    assert claimed == _JOBS
    return sum(slot.lost for slot in slots) / claimed


@pytest.mark.parametrize("in_turn", [True, False], ids=["in turn", "by chance"])
@pytest.mark.parametrize("seed", range(3))
def test_slots_that_claim_from_one_listing_lose_at_most_three_renames_for_each_job(
    queue_dir: Path, seed: int, in_turn: bool
) -> None:
    _submit_fan(queue_dir)
    assert _claim_all(queue_dir, seed, in_turn=in_turn) <= _BAR
    assert assert_sound(queue_dir)[1] == ["running"] * _JOBS + ["blocked"]


def _work(queue_dir: Path, number: int, gate: int, report: int) -> None:
    """The life of a child: waits for the gate to be closed, runs what it finds, reports how it went."""
    worker = Worker(queue_dir, QuickShare(number), f"w{number}")
    worker.runner.chooser.next()
    os.read(gate, 1)
    counts = dict.fromkeys(Step, 0)
    while (step := worker.step()) is not Step.NOTHING:
        counts[step] += 1
    worker.leave()
    os.write(report, struct.pack("<II", counts[Step.RAN], counts[Step.LOST]))


def test_processes_that_start_at_once_lose_at_most_three_renames_for_each_job_that_they_run(queue_dir: Path) -> None:
    """Real processes, real jobs; they all have listed before the first one may claim."""
    _submit_fan(queue_dir)
    gate, closing = os.pipe()
    report, reporting = os.pipe()
    pids = []
    for number in range(_WORKERS):
        pid = os.fork()
        if pid == 0:
            os.close(closing)
            code = 1
            try:
                _work(queue_dir, number, gate, reporting)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    os.close(reporting)
    os.close(gate)
    os.close(closing)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * _WORKERS
    reports = [struct.unpack("<II", os.read(report, 8)) for _ in pids]
    os.close(report)
    ran, lost = (sum(column) for column in zip(*reports, strict=True))
    # The root is the last one.
    assert ran == _JOBS + 1
    assert lost / ran <= _BAR
    assert set(assert_sound(queue_dir)[1]) == {"finished"}
