"""How well a second slot is used: jobs of 1 ms of processor time, against bare processes that do the same work."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.bars import Bar
from benchmarks.drive import Plan
from benchmarks.peers.base import ROOT
from benchmarks.side_by_side import BARE, OURS

_JOBS = 1_000


def turns_of_a_millisecond() -> int:
    """How many turns of the jobs' loop take a millisecond on this machine; the best of several tries."""
    tries = []
    for _ in range(20):
        began = time.process_time()
        for _ in range(100_000):
            pass
        tries.append(time.process_time() - began)
    return round(100_000 * 0.001 / min(tries))


def scaling(tmp: Path, repeats: int) -> list[Bar]:
    """The bar: in each round one and two of either kind, so that load falls on all of them."""
    turns = turns_of_a_millisecond()
    rounds = [
        {name: _drain_s(name, 1, tmp, turns) / _drain_s(name, 2, tmp, turns) for name in (OURS, BARE)}
        for _ in range(repeats + 2 if repeats > 1 else 1)
    ]
    gains = {name: statistics.median(each[name] for each in rounds) for name in (OURS, BARE)}
    return [
        Bar(
            "1 to 2 slots, jobs of 1 ms, against bare processes",
            "",
            0.85,
            statistics.median(each[OURS] / each[BARE] for each in rounds),
            is_floor=True,
            note=f"{gains[OURS]:.2f} times as many a second; two bare processes {gains[BARE]:.2f} times",
        )
    ]


def _drain_s(name: str, workers: int, tmp: Path, turns: int) -> float:
    plan = Plan(name, "busy", str(tmp), workers, (_JOBS, turns))
    command = [sys.executable, "-m", "benchmarks.drive", json.dumps(plan._asdict())]
    answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return float(json.loads(answer.stdout)["drain_s"])
