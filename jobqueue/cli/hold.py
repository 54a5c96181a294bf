"""Begins nothing more of hierarchies, until they are released; what runs goes on.

Of an array what runs is an item, or what its procedure runs at once.

With --json: an array of objects with the keys job, ok, text.
"""

from __future__ import annotations

import argparse

from jobqueue.cli._common import add_job, command_line, for_each_job
from jobqueue.handle import JobHandle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser, several=True)


def run(arguments: argparse.Namespace) -> int:
    def act(job: JobHandle) -> str:
        job.hold()
        return f"is held; `{command_line(arguments, 'release', job.name)}` lets it go on"

    return for_each_job(arguments, act)
