"""Makes a job queue in an empty or missing directory, whose parent exists.

With --json: an object with the key queue, the directory's absolute path.
"""

from __future__ import annotations

import argparse
import shlex

from jobqueue.cli._common import DONE
from jobqueue.cli._output import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", help="the new queue's directory")
    parser.add_argument(
        "--keep-jobs-in-repository", action="store_true",
        help="sub-job directories lie flat under the top-level job's .jobs/ instead of nested",
    )  # fmt: skip
    parser.add_argument(
        "--use-symlinks", action="store_true",
        help="a sub-job that several jobs depend on appears in the others as a symbolic link, to browse by",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    from jobqueue.queue import JobQueue, createJobQueue

    createJobQueue(arguments.dir, arguments.keep_jobs_in_repository, arguments.use_symlinks)
    location = JobQueue(arguments.dir).location or ""
    if arguments.json:
        print_json({"queue": location})
        return DONE
    name = shlex.quote(arguments.dir)
    print(
        f"The queue is made. `jobqueue -q {name} submit -- COMMAND` gives it a job, `runjobs {name}` runs what it has."
    )
    return DONE
