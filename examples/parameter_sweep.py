#!/usr/bin/env python3
"""A parameter sweep: an array with an item for each value, whose results are read back with `JobHandle.listResults`.

    python examples/parameter_sweep.py QUEUE

Runs the jobs itself, side by side with any workers that the queue has (start them with PYTHONPATH=examples, so that
they can import this module).
"""

from __future__ import annotations

import math
import sys
import time

from jobqueue import JobQueue, JobState


def lyapunov(rate: float, steps: int = 20_000) -> float:
    """How fast neighbouring orbits of the logistic map part: the map is chaotic where this is above 0."""
    x, total = 0.4, 0.0
    for _ in range(steps):
        x = rate * x * (1 - x)
        total += math.log(max(abs(rate * (1 - 2 * x)), 1e-12))
    return total / steps


def main(location: str) -> int:
    queue = JobQueue(location)
    sweep = queue.createJobRoot()  # Without a procedure: it only groups the others.
    rates = [round(3.4 + 0.02 * number, 2) for number in range(31)]
    sweep.createJobArray("python", over={"args": [[rate] for rate in rates]}, function="parameter_sweep:lyapunov")
    handle = sweep.activate()
    (array,) = handle.listSubJobs()

    while not handle.isFinished():
        if handle.hasError(recursive=True):
            failed = [item.name for item in array.listItems(JobState.FAILED)]
            print(f"failed: {', '.join(failed)}; `jobqueue -q {location} log ITEM` shows why", file=sys.stderr)
            return 1
        if not queue.runNextAvailableJob():
            time.sleep(0.1)  # Nothing is left to begin; other workers still run the rest.

    for rate, exponent in zip(rates, array.listResults(), strict=True):
        print(f"{rate:.2f} {exponent:+.3f} {'#' * max(0, round(40 * exponent))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
