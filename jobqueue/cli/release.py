"""Takes a hold back. A hierarchy that is not held stays as it is.

With --json: an array of objects with the keys job, ok, text.
"""

from __future__ import annotations

import argparse

from jobqueue.cli._common import add_job, for_each_job
from jobqueue.handle import JobHandle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser, several=True)


def run(arguments: argparse.Namespace) -> int:
    def act(job: JobHandle) -> str:
        job.release()
        return "is released"

    return for_each_job(arguments, act)
