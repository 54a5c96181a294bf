"""Puts hierarchies that have ended into one file each, and removes their directories.

`jobqueue list --state archived` lists them. `show`, `tree`, `log` and `wait`
look into the archive as they look into the queue, and `delete` deletes it. No
other command changes anything of what is archived.

It may be broken off at any time: a job is where it was, or archived. The same
command goes on.

With --json: an array of objects with the keys job, ok, text.
"""

from __future__ import annotations

import argparse

from jobqueue.cli._common import add_job, for_each_job
from jobqueue.cli._counting import counting, removing
from jobqueue.cli._output import number_of
from jobqueue.errors import JobStateError
from jobqueue.handle import JobHandle, reader_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser, several=True)


def run(arguments: argparse.Namespace) -> int:
    from jobqueue.archiving import archive

    def act(job: JobHandle) -> str:
        reader = reader_of(job)
        if reader.place:
            raise JobStateError(f"{job.name} is a sub-job; only a whole hierarchy can be archived: job{reader.number}")
        with counting() as show, removing(arguments, job, "is archived", show) as removed:

            def packed(directories: int, size: int) -> None:
                show(f"packing {job.name}: {number_of(directories, 'folder')}, {size / 1e6:.0f} MB")

            archive(reader.queue, reader.number, packed, removed)
        return f"is archived: {job.archiveFile}"

    return for_each_job(arguments, act)
