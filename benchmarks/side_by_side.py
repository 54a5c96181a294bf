"""All peers side by side: which runs there are, in which order, and what they have found.

Each run is a process of its own (`benchmarks.drive`). In each round every peer has its turn with every number of
workers before the next round begins, so that a spell of load, or of heat, falls on all of them.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.drive import Plan
from benchmarks.peers import PEERS
from benchmarks.peers.base import ROOT

OURS, OUR_ARRAY = "jobqueue", "jobqueue array"
BARE = "bare processes"
TMPFS, DISK = "tmpfs", "disk"

Run = dict[str, Any]
# Told before each run: its number, how many there are, and what it is.
Progress = Callable[[int, int, str], None]


# What takes longer than this is done once, not in each round: the whole takes long enough.
_LONG_S = 15.0


class Extent(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: how often each run is made.
        sizes: the numbers of no-ops.
        large: the number that only our own queue is measured with.
        workers: the numbers of workers.
        leaves: of the hierarchy.
        commands: how many.
        kill_limit_s: how long it is waited for a job whose worker was killed.
        limit_s: what takes longer is not waited for, and not tried again.
        places: `TMPFS`, `DISK`.
    """

    rounds: int = 5
    sizes: tuple[int, ...] = (100, 1_000, 10_000)
    large: int | None = 100_000
    workers: tuple[int, ...] = (1, 2, 4)
    leaves: int = 1_000
    commands: int = 1_000
    kill_limit_s: float = 120.0
    limit_s: float = 60.0
    places: tuple[str, ...] = (TMPFS, DISK)


FULL = Extent()
QUICK = Extent(
    rounds=1, sizes=(100, 1_000), large=None, workers=(1, 2), leaves=200, commands=200, kill_limit_s=20.0, limit_s=30.0
)


def folders() -> dict[str, str]:
    """Where is measured."""
    shm = "/dev/shm"
    return {TMPFS: shm if os.access(shm, os.W_OK) else tempfile.gettempdir(), DISK: tempfile.gettempdir()}


def python_of(peer: str) -> str:
    """The interpreter that a peer is measured with: ours in our own environment, the others in theirs.

    With theirs ours would be another program: where Redis's client is installed, say, our worker would load it, too.
    """
    is_ours = PEERS[peer].package == PEERS[OURS].package
    return sys.executable if is_ours else str(Path(sys.prefix) / "bench" / "bin" / "python")


def versions(peers: list[str]) -> dict[str, str]:
    """The versions that are measured."""
    program = "import sys; from benchmarks.peers import PEERS; print(PEERS[sys.argv[1]].version())"
    return {
        name: subprocess.run(
            [python_of(name), "-c", program, name], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in peers
    }


def measure(extent: Extent, peers: list[str], progress: Progress) -> Iterator[Run]:
    """Makes all runs, and gives each as it has ended. One that failed has an ``error``, and the others go on."""
    progress(0, 0, "a worker of each is killed")
    yield from kills(extent, peers)
    patience = Patience()
    plans = [(number, place, plan) for number in range(extent.rounds) for place, plan in _timed(extent, peers, number)]
    for at, (number, place, planned) in enumerate(plans):
        plan = patience.shortened(planned, place)
        if plan is None:
            continue
        progress(at, len(plans), f"round {number + 1}: {plan.work}, {plan.peer}, {plan.workers} workers, {place}")
        run = _run(plan, place, number)
        patience.note(plan, place, run)
        yield run


class Patience:
    """What is not repeated: no-ops that came to no end, and those that have taken long."""

    def __init__(self) -> None:
        self._enough: set[tuple[str, str, int, int]] = set()

    def shortened(self, plan: Plan, place: str) -> Plan | None:
        """The plan without what is not repeated; ``None`` if nothing is left."""
        if plan.work != "noops":
            return plan
        sizes = tuple(size for size in plan.sizes if (plan.peer, place, plan.workers, size) not in self._enough)
        return plan._replace(sizes=sizes) if sizes else None

    def note(self, plan: Plan, place: str, run: Run) -> None:
        """Learns from a run."""
        for size, seen in run.get("sizes", {}).items():
            if "late_s" in seen or seen["drain_s"] > _LONG_S:
                self._enough.add((plan.peer, place, plan.workers, int(size)))


def _timed(extent: Extent, peers: list[str], number: int) -> Iterator[tuple[str, Plan]]:
    """The runs of one round of which the time is measured, and those that count."""
    where = folders()
    turned = _turned(peers, number)

    def plan(name: str, work: str, place: str, workers: int, *sizes: int) -> tuple[str, Plan]:
        return place, Plan(name, work, where[place], workers, sizes, extent.limit_s)

    for workers in extent.workers:
        for place, name in itertools.product(extent.places, turned):
            if name != BARE and (place == TMPFS or PEERS[name].is_file_based):
                yield plan(name, "noops", place, workers, *extent.sizes)
        for name in turned:
            if extent.large and name in (OURS, OUR_ARRAY):
                yield plan(name, "noops", TMPFS, workers, extent.large)
            yield plan(name, "commands", TMPFS, workers, extent.commands)
            if number == 0 and not PEERS[name].counts:
                yield plan(name, "counted", TMPFS, workers, extent.sizes[-1])
    for name in turned:
        if name != BARE and "hierarchy" not in PEERS[name].lacks:
            yield plan(name, "hierarchy", TMPFS, 2, extent.leaves)


def _turned(peers: list[str], number: int) -> list[str]:
    """The peers in another order for each round: none always follows the same one."""
    at = number % len(peers)
    return peers[at:] + peers[:at]


def kills(extent: Extent, peers: list[str]) -> Iterator[Run]:
    """A worker of each peer is killed, in all of them at once, since all that they do is to wait."""
    where = folders()[TMPFS]
    able = [name for name in peers if name not in (OUR_ARRAY, BARE) and "kill" not in PEERS[name].lacks]
    for number in range(min(3, extent.rounds)):
        plans = [Plan(name, "kill", where, 2, (), extent.kill_limit_s) for name in able]
        with ThreadPoolExecutor(len(plans) or 1) as pool:
            found = list(pool.map(_run, plans, [TMPFS] * len(plans), [number] * len(plans)))
        yield from found
        # Once is enough to see that nothing comes.
        able = [run["peer"] for run in found if "again_s" in run]


def _run(plan: Plan, place: str, number: int) -> Run:
    """One run in a process of its own."""
    command = [python_of(plan.peer), "-m", "benchmarks.drive", json.dumps(plan._asdict())]
    load = os.getloadavg()[0]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    found: Run = {}
    if answer.returncode:
        sys.stderr.write(answer.stderr)
        # The rest is for whoever sits there; it has paths of this machine in it.
        found["error"] = (answer.stderr.strip().splitlines() or ["?"])[-1]
    else:
        # Some peers print, too; our line is the last one.
        found = json.loads(answer.stdout.splitlines()[-1])
    size = {"size": plan.sizes[0]} if plan.sizes and plan.work != "noops" else {}
    head = {"work": plan.work, "peer": plan.peer, "place": place, "workers": plan.workers, "round": number}
    return {**head, **size, "load": round(load, 2), **found}
