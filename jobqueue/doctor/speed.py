"""How fast a share is, how far its clock is off, and what settings follow from all that was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from jobqueue.doctor.sight import Delays
from jobqueue.mounts import Level, Remark
from jobqueue.share import TICK_S, Share

_CLOCK_TRIES = 5
# Above this, times in lists and logs mislead people.
_CLOCK_S = 60.0
# What a worker may spend on its beats and its polls: a beat is at most 6 calls, a poll one listing.
_BEAT_CALLS, _BEAT_SHARE, _POLL_SHARE = 6, 0.05, 0.05
# The rule that takes a worker for dead counts so many beats.
_DEAD_BEATS = 24
_DEFAULTS = {"poll": 1.0, "beat": 5.0, "deadAfter": 120.0}


def clock_offset(share: Share, path: str) -> float:
    """By how much the clock that stamps files is ahead of this host's, in seconds; of some tries the quickest one.

    Args:
        share: to call with.
        path: of a file, which is made and removed.
    """
    share.create(path)
    tries = []
    for _ in range(_CLOCK_TRIES):
        share.clock.sleep(TICK_S)
        before = share.clock.now()
        share.touch(path)
        after = share.clock.now()
        stamped = share.changed_at(path)
        if stamped is not None:
            tries.append((after - before, stamped - (before + after) / 2))
    share.try_unlink(path)
    return min(tries)[1] if tries else math.nan


def judge_offset(offset_s: float) -> Remark:
    """What an offset of the clocks means: no decision rests on it."""
    if not abs(offset_s) > _CLOCK_S:
        return Remark(Level.FULL, "clock", f"this host's clock and the server's are {abs(offset_s):.2f} s apart")
    ahead = "behind" if offset_s > 0 else "ahead of"
    return Remark(
        Level.WARNING, "clock",
        f"this host's clock is {abs(offset_s):.0f} s {ahead} the server's; the queue does not mind, but times in lists "
        "and logs mislead",
    )  # fmt: skip


def calls_per_second(share: Share, directory: str, count: int, limit_s: float) -> dict[str, float]:
    """How many calls of each kind one process makes in a second.

    Args:
        share: to call with.
        directory: where; made and removed.
        count: how many calls of each kind are made at most.
        limit_s: how long each kind is measured at most, in seconds.
    """
    share.make_dir(directory)
    found: dict[str, float] = {}

    def measure(name: str, call: Callable[[int], object], most: int) -> int:
        begin = share.clock.monotonic()
        done = 0
        while done < most and (not done or share.clock.monotonic() - begin < limit_s):
            call(done)
            done += 1
        found[name] = done / max(share.clock.monotonic() - begin, 1e-6)
        return done

    # While it is empty, as runnable/ nearly is whenever an idle worker polls it.
    measure("list", lambda _nth: share.names(directory), count)
    made = measure("create", lambda nth: share.create(f"{directory}/{nth}"), count)
    moved = measure("rename", lambda nth: share.swap(f"{directory}/{nth}", f"{directory}/{nth}.moved"), made)
    measure("fsync", _write_and_sync(share, f"{directory}/journal"), count)
    measure("unlink", lambda nth: share.try_unlink(f"{directory}/{nth}.moved"), moved)
    share.remove_tree(directory)
    return found


def _write_and_sync(share: Share, path: str) -> Callable[[int], None]:
    def write(_nth: int) -> None:
        file = share.append_to(path)
        try:
            file.append(b"a line of a journal\n")
            file.sync()
        finally:
            file.close()

    return write


class Measured(NamedTuple):
    """All that was measured.

    Attributes:
        delays: how late others see what one does.
        clock_s: by how much the server's clock is ahead of this host's, in seconds.
        calls: how many calls of each kind a second.
    """

    delays: Delays
    clock_s: float
    calls: Mapping[str, float]


def settings_for(measured: Measured) -> dict[str, float]:
    """Settings of queue.cfg that suit what was measured, in seconds; never less than the defaults.

    - An idle worker spends at most a twentieth of its time on its polls, and polls no oftener than an entry travels.
    - A worker spends at most a twentieth of its time on its beats.
    - A beat may be seen late by a quarter of the dead time without harm.
    """
    slowest_s = 1 / min(measured.calls.values())
    delays = measured.delays
    poll_s = max(_DEFAULTS["poll"], delays.round_trip_s, slowest_s / _POLL_SHARE)
    beat_s = max(_DEFAULTS["beat"], _BEAT_CALLS * slowest_s / _BEAT_SHARE, 2 * delays.entry_s)
    # Sums of tenths are a little more than they should be.
    beat_s = float(math.ceil(round(beat_s, 6)))
    dead_s = max(_DEFAULTS["deadAfter"], _DEAD_BEATS * beat_s, 4 * delays.beat_s)
    return {"poll": round(poll_s, 1), "beat": beat_s, "deadAfter": float(math.ceil(dead_s))}
