"""What a burn-in does, from a seed: the hierarchies that it submits, and what it does to the workers. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, NamedTuple

# Short, so that a death is noticed within seconds. A dead time is 24 beats at least.
BEAT_S = 0.25
DEAD_S = 6.0
_GROUPS = (2, 4)
_LEAVES = (2, 7)
_LONGEST_JOB_S = 0.4
_PAUSE_S = (0.4, 1.6)
_SHORT_S = (0.2, 2.0)
_LONG_S = (1.3 * DEAD_S, 2.0 * DEAD_S)
_REST_S = (0.0, 1.0)


@dataclass(frozen=True)
class Plan:
    """How a burn-in is run.

    Attributes:
        seed: of all that is left to chance.
        minutes: how long workers are tormented.
        jobs: how many are submitted at least, or ``None`` for as many as the time allows.
        workers: how many each host starts.
        slots: of each worker.
    """

    seed: int
    minutes: float = 2.0
    jobs: int | None = None
    workers: int = 3
    slots: int = 2

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Action(Enum):
    """What is done to a worker."""

    KILL = "kill"
    """SIGKILL to its supervisor; the guard ends its slots."""
    STOP = "stop"
    """SIGSTOP to all its processes, as when a host is suspended."""
    STOP_SUPERVISOR = "stop supervisor"
    """SIGSTOP to its supervisor alone: it gives no sign of life, and its slots work on."""


class Blow(NamedTuple):
    """One thing that is done to a worker.

    Attributes:
        pause_s: how long after the one before.
        victim: which worker, from 0.
        action: what is done.
        lasts_s: after how long it is continued or replaced.
    """

    pause_s: float
    victim: int
    action: Action
    lasts_s: float


def blows(seed: object, workers: int) -> Iterator[Blow]:
    """What is done to the workers of one host, one thing after another, without end.

    Each action comes once at the beginning, so that a short burn-in has seen all of them.

    Args:
        seed: the same one gives the same blows.
        workers: how many there are, 1 or more.
    """
    chance = random.Random(f"blows {seed}")
    first = [Action.KILL, Action.STOP, Action.STOP_SUPERVISOR]
    nth = 0
    while True:
        action = first[nth] if nth < len(first) else chance.choice(list(Action))
        # Half of the stops outlast the dead time, so that workers are taken for dead that are not.
        span = _REST_S if action is Action.KILL else _LONG_S if nth < len(first) else chance.choice([_SHORT_S, _LONG_S])
        yield Blow(
            chance.uniform(*_PAUSE_S), (nth + chance.randrange(workers)) % workers, action, chance.uniform(*span)
        )
        nth += 1


@dataclass(frozen=True)
class Shape:
    """One hierarchy: a root, groups, and leaves.

    Attributes:
        groups: for each group how long each of its leaves works, in seconds.
    """

    groups: list[list[float]]

    @property
    def count(self) -> int:
        """How many jobs that is."""
        return 1 + sum(1 + len(leaves) for leaves in self.groups)


def shapes(seed: object) -> Iterator[Shape]:
    """The hierarchies of a burn-in, without end."""
    chance = random.Random(f"shapes {seed}")
    while True:
        groups = chance.randint(*_GROUPS)
        yield Shape(
            [[chance.uniform(0, _LONGEST_JOB_S) for _ in range(chance.randint(*_LEAVES))] for _ in range(groups)]
        )
