"""The one clock through which everything waits, so that a simulation can stand in for it."""

from __future__ import annotations

import time


class Clock:
    """The machine's clock.

    ``now`` is for people (records, tables): clocks of two hosts may differ by hours, so no decision rests on it.
    ``monotonic`` is for this process's own intervals.
    """

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never going back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
