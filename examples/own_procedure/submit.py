#!/usr/bin/env python3
"""Puts the procedure `manifest` into a queue and submits a job that uses it.

python examples/own_procedure/submit.py QUEUE FOLDER [SUFFIX]
"""

from __future__ import annotations

import os
import sys

from jobqueue import JobQueue

HERE = os.path.dirname(os.path.abspath(__file__))


def install(queue: JobQueue, name: str) -> None:
    """Copies procs/NAME.py into the queue, whole or not at all, so that nobody but its owner may write it.

    Workers run this code as their own user. They refuse a procedure that others may write, in a file or a folder.
    """
    with open(os.path.join(HERE, "procs", f"{name}.py"), "rb") as file:
        source = file.read()
    target = os.path.join(queue.location or "", "procs", f"{name}.py")
    part = f"{target}.{os.getpid()}"
    # The mode is given when the file is made, not after: in between it could be written by others.
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
        file.write(source)
        os.fchmod(file.fileno(), 0o644)
    os.replace(part, target)


def main(location: str, folder: str, suffix: str = "") -> int:
    queue = JobQueue(location)
    install(queue, "manifest")
    handle = queue.createJobRoot("manifest", folder=os.path.abspath(folder), suffix=suffix).activate()
    print(handle.name)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
