"""Which fault begins and ends when: a list that a seed makes, without looking at anything."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

# Fault -> the shortest and the longest time until it is over, in seconds. The longest are longer than a death takes.
LASTS_S = {
    "cut": (1.0, 25.0),
    "slow": (1.0, 10.0),
    "server": (0.5, 15.0),
    "lost": (1.0, 3.0),
    "stop": (1.0, 25.0),
    "slot": (0.1, 0.1),
    "kill": (0.1, 8.0),
}
_GAP_S = (0.0, 4.0)


class Fault(NamedTuple):
    """One fault: from ``at_s`` to ``until_s`` after the start, on one host (the server's are everybody's)."""

    at_s: float
    until_s: float
    kind: str
    host: str

    def __str__(self) -> str:
        return f"{self.at_s:.1f}-{self.until_s:.1f} s {self.kind} {self.host}"


def make_schedule(seed: int, hosts: Sequence[str], kinds: Sequence[str], faults: int) -> list[Fault]:
    """Faults in the order in which they begin.

    A host has one fault at a time; several hosts, and the server, can have theirs at once.

    Args:
        seed: the same seed makes the same schedule.
        hosts: the hosts' names.
        kinds: names out of `LASTS_S`.
        faults: how many.
    """
    chance = random.Random(seed)
    free_at = dict.fromkeys([*hosts, "server"], 0.0)
    found = []
    at = 1.0
    for _ in range(faults):
        at += chance.uniform(*_GAP_S)
        kind = chance.choice(kinds)
        host = chance.choice(hosts)
        # A lost reply needs the server to be restarted; that is a fault of both.
        busy = ["server"] if kind == "server" else [host, "server"] if kind == "lost" else [host]
        begin = max(at, *(free_at[one] for one in busy))
        end = begin + chance.uniform(*LASTS_S[kind])
        for one in busy:
            free_at[one] = end
        found.append(Fault(begin, end, kind, host))
    return sorted(found)


def clock_offsets(seed: int, hosts: Sequence[str]) -> dict[str, int]:
    """By how many seconds each host's clock is off: nothing, an hour ahead, or an hour behind."""
    chance = random.Random(seed)
    return {host: chance.choice([0, 3600, -3600]) for host in hosts}
