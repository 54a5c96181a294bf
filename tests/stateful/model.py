"""A queue in memory: what the real one has to do, in as few words as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

OPEN = ("blocked", "ready")


@dataclass
class ModelJob:
    """One job: what it depends on by node, how many of its attempts fail, where it stands."""

    children: Sequence[int]
    fails: int
    state: str = ""
    attempts: int = 0


@dataclass
class ModelRoot:
    """A top-level job; its jobs are in post-order, the root is the last."""

    number: int
    jobs: list[ModelJob]
    priority: int = 0
    is_held: bool = False
    is_done: bool = False
    is_deleted: bool = False
    cancelled_while_running: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for job in self.jobs:
            job.state = "blocked" if job.children else "ready"

    @property
    def states(self) -> list[str]:
        return [job.state for job in self.jobs]

    def ready(self) -> list[int]:
        """The jobs that may begin, in their order."""
        if self.is_held or self.is_done or self.is_deleted:
            return []
        return [node for node, job in enumerate(self.jobs) if job.state == "ready"]

    def begin(self, node: int) -> int:
        """A job begins; the attempt's number."""
        job = self.jobs[node]
        assert job.state == "ready"
        job.state = "running"
        job.attempts += 1
        return job.attempts

    def end(self, node: int, *, ok: bool) -> None:
        """A job ends, and those that waited for it alone become ready."""
        self.jobs[node].state = "finished" if ok else "cancelled" if self.is_done else "failed"
        if not ok:
            return
        for job in self.jobs:
            if job.state == "blocked" and node in job.children and self._may_begin(job):
                job.state = "ready"
        if node == len(self.jobs) - 1:
            self.is_done = True

    def _may_begin(self, job: ModelJob) -> bool:
        return all(self.jobs[child].state == "finished" for child in job.children)

    def give_back(self, node: int) -> None:
        """A job has ended without a result."""
        self.jobs[node].state = "cancelled" if self.is_done else "ready"

    def set_error(self, node: int) -> bool:
        """Makes a waiting job fail; ``False`` if it does not wait."""
        if self.jobs[node].state not in OPEN:
            return False
        self.jobs[node].state = "failed"
        return True

    def retry(self, nodes: Sequence[int]) -> None:
        for node in nodes:
            self.jobs[node].state = "ready" if self._may_begin(self.jobs[node]) else "blocked"

    def failed(self) -> list[int]:
        return [node for node, job in enumerate(self.jobs) if job.state == "failed"]

    def can_be_cancelled(self) -> bool:
        return not self.is_done or any(state not in ("finished", "cancelled") for state in self.states)

    def cancel(self) -> None:
        self.is_done = True
        for job in self.jobs:
            if job.state in (*OPEN, "failed"):
                job.state = "cancelled"


class Model:
    """All top-level jobs that were ever published, by their numbers."""

    def __init__(self) -> None:
        self.roots: dict[int, ModelRoot] = {}

    def listed(self) -> list[ModelRoot]:
        """Those that are there, in processing order."""
        there = [root for root in self.roots.values() if not root.is_deleted]
        return sorted(there, key=lambda root: (-root.priority, root.number))

    def ready(self) -> list[tuple[int, int]]:
        """Everything that may begin, the next one first: number and node."""
        return [(root.number, node) for root in self.listed() for node in root.ready()]
