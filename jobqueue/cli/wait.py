"""Waits until jobs, with all that they depend on, have come to an end.

Exit code 0: all have finished; 1: one is stalled or cancelled, and the failed
jobs are named; 124: the time was up.

With --json: an array of objects with the keys job, outcome (finished, stalled,
cancelled, deleted, or open when the time was up), total, finished, running,
failed: an array of objects with the keys job, label, error, log.
"""

from __future__ import annotations

import argparse
import math

from jobqueue.cli._common import UsageError, add_job, open_queue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser, several=True)
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="wait no longer than this")


def run(arguments: argparse.Namespace) -> int:
    from jobqueue.cli._watch import watch

    if arguments.timeout is not None and not (math.isfinite(arguments.timeout) and arguments.timeout >= 0):
        raise UsageError(f"--timeout is {arguments.timeout:g}, but has to be a number of seconds, 0 or more")
    queue = open_queue(arguments)
    return watch(arguments, [queue.findJob(name) for name in arguments.job], arguments.timeout)
