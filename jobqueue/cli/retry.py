"""Makes failed jobs ready again; of a top-level job, every failed job of the hierarchy.

Of an array some items alone, by their frames (or places, from 0, where there
are no frames):

  jobqueue retry job100/job3:17-25

With --json: an array of objects with the keys job, ok, text.
"""

from __future__ import annotations

import argparse

from jobqueue.cli._common import add_job, for_each_job
from jobqueue.cli._output import number_of
from jobqueue.errors import JobStateError
from jobqueue.handle import JobHandle
from jobqueue.item import Selection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser, several=True)


def run(arguments: argparse.Namespace) -> int:
    def act(job: JobHandle) -> str:
        count = job.retry()
        if not count:
            raise JobStateError("nothing of it has failed, so there is nothing to try again")
        return f"is tried again: {number_of(count, 'failed job')}"

    def act_on_items(items: Selection) -> str:
        return f"is tried again: {number_of(items.retry(), 'failed item')}"

    return for_each_job(arguments, act, act_on_items)
