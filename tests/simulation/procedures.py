"""What the jobs of a simulation do."""

from __future__ import annotations

from typing import Any

from jobqueue.proc import JobProc


class Works(JobProc):
    """Takes its time."""

    def __init__(self, seconds: float = 1.0, label: str | None = None) -> None:
        super().__init__(label)
        self.seconds = seconds

    def run(self) -> Any:
        from tests.simulation.processes import world

        world().sleep(self.seconds)
        return None


class Fails(JobProc):
    """Has nothing but errors."""

    def run(self) -> Any:
        raise RuntimeError("told to fail")


class Item(JobProc):
    """An item of an array: takes its time, and one of them fails."""

    def __init__(self, seconds: float = 0.0, number: int = 0, fails: int = -1, label: str | None = None) -> None:
        super().__init__(label)
        self.seconds, self.number, self.fails = seconds, number, fails

    def run(self) -> Any:
        from tests.simulation.processes import world

        world().note(f"item {self.number}")
        world().sleep(self.seconds)
        if self.number == self.fails:
            raise RuntimeError("told to fail")
        return self.number
