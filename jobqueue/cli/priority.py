"""Gives a hierarchy another priority; the higher one comes first.

With --json: an array of one object with the keys job, ok, text.
"""

from __future__ import annotations

import argparse

from jobqueue.cli._common import add_job, for_each_job
from jobqueue.handle import JobHandle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser)
    parser.add_argument("number", type=int, metavar="N", help="-499 to 500")


def run(arguments: argparse.Namespace) -> int:
    def act(job: JobHandle) -> str:
        job.setPriority(arguments.number)
        return f"has the priority {arguments.number}"

    arguments.job = [arguments.job]
    return for_each_job(arguments, act)
