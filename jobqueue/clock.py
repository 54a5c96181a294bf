"""The one clock through which everything waits, so that a simulation can stand in for it."""

from __future__ import annotations

import time


class Clock:
    """The machine's clock.

    ``now`` is for people (records, tables): clocks of two hosts may differ by hours, so no decision rests on it.
    ``monotonic`` is for this process's own intervals; while the machine is suspended it stands still. ``boottime`` goes
    on: by it one finds out that one was away.
    """

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never going back."""
        return time.monotonic()

    def boottime(self) -> float:
        """Seconds since an arbitrary start, suspended ones included. Source: clock_gettime(2), CLOCK_BOOTTIME."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
