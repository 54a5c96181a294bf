"""A clock that a test turns itself."""

from __future__ import annotations

from jobqueue.clock import Clock


class FakeClock(Clock):
    """Time that passes only where somebody waits.

    Attributes:
        passed: seconds that were waited through so far.
    """

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> float:
        return 1_000_000.0 + self.passed

    def monotonic(self) -> float:
        return self.passed

    def boottime(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
