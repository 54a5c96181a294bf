"""The procedure of the stateful tests; runs in the tests' own process, so that something can happen while it runs."""

from __future__ import annotations

import os
from collections.abc import Callable

from jobqueue import JobProc

ran: list[tuple[str, int]] = []
"""The jobs that were run, with the attempts' numbers."""

during: list[Callable[[], None]] = []
"""What is to happen while the next job runs."""


class Step(JobProc):
    """Fails in its first attempts.

    Args:
        fails: in how many.
    """

    def __init__(self, fails: int = 0, label: str | None = None) -> None:
        super().__init__(label)
        self.fails = fails

    def run(self) -> int:
        """Tells that it runs, lets happen what is to happen, and fails or returns the attempt's number."""
        attempt = int(os.environ["JOBQUEUE_ATTEMPT"])
        ran.append((os.environ["JOBQUEUE_JOB"], attempt))
        while during:
            during.pop(0)()
        if attempt <= self.fails:
            raise RuntimeError(f"attempt {attempt} fails")
        return attempt
