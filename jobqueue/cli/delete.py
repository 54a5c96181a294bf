"""Deletes hierarchies with all that lies in their directories, or their archives. Attempts under way are ended.

At a terminal it shows how many files are removed, where that takes longer. From
the first one on nobody can take up anything of the job any more; so whoever does
not want to wait breaks it off with Ctrl-C, and a worker removes the rest.

With --json: an array of objects with the keys job, ok, text.
"""

from __future__ import annotations

import argparse
import sys

from jobqueue import control
from jobqueue.cli._common import FAILED, UsageError, add_job, command_line, for_each_job, open_queue
from jobqueue.cli._counting import counting, removing
from jobqueue.errors import JobStateError
from jobqueue.handle import JobHandle, reader_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser, several=True)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    queue = open_queue(arguments)
    for name in arguments.job:
        # A name that is no job's is told before anybody is asked.
        queue.findJob(name)
    if not arguments.yes and not _confirmed(arguments):
        print("Nothing is deleted.", file=sys.stderr)
        return FAILED

    def act(job: JobHandle) -> str:
        reader = reader_of(job)
        if reader.place:
            raise JobStateError(f"{job.name} is a sub-job; only whole hierarchies can be deleted")
        with counting() as show, removing(arguments, job, "is deleted", show) as removed:
            control.delete(reader.queue, reader.number, removed)
        return "is deleted"

    return for_each_job(arguments, act)


def _confirmed(arguments: argparse.Namespace) -> bool:
    """Asks; there has to be somebody who can answer."""
    if not sys.stdin.isatty():
        yes = command_line(arguments, "delete", "--yes", *arguments.job)
        raise UsageError(f"there is no terminal to ask at; `{yes}` deletes without asking")
    print(
        f"Delete {', '.join(arguments.job)} with all files in the job directories? [y/N] ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")
