"""Which of very many points a run of the tests tries: a part that goes on from day to day, or all of them.

``FAULTS=all`` in the environment tries all (`make faults`). A number there repeats the part of a run whose tests had it
in their names; without it the number is that of the day, so that so many days in a row as there are parts try all.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import zlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_WANTED = os.environ.get("FAULTS") or str(dt.datetime.now(dt.timezone.utc).date().toordinal())
ALL = _WANTED == "all"
# Stands in the names of the tests.
PART = "all" if ALL else f"part{int(_WANTED)}"


def part_of(points: Sequence[T], what: str, parts: int) -> list[T]:
    """Those of ``points`` that are this run's: all, or one of so many parts.

    Args:
        points: in an order that is the same at every run.
        what: they are points of; each has an order of its own.
        parts: how many there are.
    """
    if ALL:
        return list(points)
    own = zlib.crc32(what.encode())
    mixed = random.Random(own).sample(points, len(points))
    return mixed[(int(_WANTED) + own) % parts :: parts]
