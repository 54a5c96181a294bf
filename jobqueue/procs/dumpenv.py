"""The procedure ``dumpenv``: prints where and how a job runs."""

from __future__ import annotations

import os
import platform
import sys

from jobqueue.proc import JobProc
from jobqueue.procs._check import choose_label


class dumpenv(JobProc):
    """Prints user, host, Python, working directory, sys.path and the environment to the job's standard output.

    The environment is printed as it is: a worker that holds secrets in its environment shows them to whoever may read
    the queue.

    Args:
        label: see `JobProc`.

    Raises:
        TypeError: ``label`` is no text.
    """

    def __init__(self, *, label: str | None = None) -> None:
        super().__init__(choose_label(label, "the worker's environment"))

    def run(self) -> None:
        """Prints it."""
        lines = [
            f"user: {_user()}",
            f"host: {platform.node()}",
            f"system: {platform.platform()}",
            f"python: {platform.python_version()} ({sys.executable})",
            f"working directory: {os.getcwd()}",
            "sys.path:",
            *(f"    {folder}" for folder in sys.path),
            "environment:",
            *(f"    {name}={value}" for name, value in sorted(os.environ.items())),
        ]
        # A name that is not valid UTF-8 comes from the system with surrogates in it, which a stream may refuse.
        text = "\n".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")
        self.stdout.write(f"{text}\n")


def _user() -> str:
    # Late: only needed here, and it imports the modules that know the system's users.
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown (it has no name on this host)"
