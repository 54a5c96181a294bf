"""How late a process sees what another one does: a new entry, and a beat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from jobqueue.doctor.meeting import Meeting
from jobqueue.mounts import Level, Remark
from jobqueue.share import TICK_S

# Two processes that only wait for a processor may need so long.
_LATE_S = 3.0


class Delays(NamedTuple):
    """What one watcher has seen, in seconds; the longest of all rounds.

    Attributes:
        round_trip_s: from the making of an entry until its maker has seen the watcher's own; twice the delay, then.
        entry_s: how much later than one that was made after it an entry was seen, asked for afresh.
        beat_s: how much later than an entry that was made after it a beat was seen.
    """

    round_trip_s: float
    entry_s: float
    beat_s: float


def watch_each_other(meeting: Meeting, rounds: int) -> Delays:
    """The first two processes make entries and beats for one another, each in turn; the others look on.

    What is seen of one thing must hold for all that was made before it: the order needs no clock.

    Returns:
        The longest delays of all.
    """
    for party in range(min(2, meeting.parties)):
        if meeting.me == party:
            meeting.share.make_dir(_place(meeting, party))
            meeting.share.create(_beat(meeting, party))
    meeting.all_say("sight-begin")
    found = Delays(0.0, 0.0, 0.0)
    for maker, watcher in ((0, 1), (1, 0)):
        for nth in range(rounds):
            mine = Delays(0.0, 0.0, 0.0)
            if meeting.me == maker:
                mine = mine._replace(round_trip_s=_make(meeting, watcher, nth))
            elif meeting.me == watcher:
                mine = _watch(meeting, maker, nth)
            said = meeting.all_say(f"sight-{maker}-{nth}", mine)
            found = Delays(*map(max, zip(found, *said, strict=True)))
            if max(found.entry_s, found.beat_s) >= longest_s(meeting.patience_s):
                # More rounds would only take more time.
                return found
    return found


def longest_s(patience_s: float) -> float:
    """How long one looks for a thing that does not show. Those who wait for whoever looks have to wait longer."""
    return patience_s / 4


def _place(meeting: Meeting, maker: int) -> str:
    return f"{meeting.directory}/entries-{maker}"


def _beat(meeting: Meeting, maker: int) -> str:
    return f"{meeting.directory}/beat-{maker}"


def _make(meeting: Meeting, watcher: int, nth: int) -> float:
    """Makes an entry and a beat; how long it took until the watcher's answer was seen."""
    share = meeting.share
    meeting.hear(f"look-{nth}", watcher)
    # Two beats in one tick of the server's clock would be the same.
    share.clock.sleep(TICK_S)
    share.create(f"{_place(meeting, meeting.me)}/{nth}")
    share.touch(_beat(meeting, meeting.me))
    begin = share.clock.monotonic()
    meeting.say(f"made-{nth}")
    meeting.hear(f"seen-{nth}", watcher)
    return share.clock.monotonic() - begin


def _watch(meeting: Meeting, maker: int, nth: int) -> Delays:
    """Looks for what another one makes, after having looked before it was there, as that makes a cache lie."""
    share = meeting.share
    share.names(_place(meeting, maker))
    before = share.changed_at(_beat(meeting, maker))
    meeting.say(f"look-{nth}")
    meeting.hear(f"made-{nth}", maker)
    meeting.say(f"seen-{nth}")
    entry_s = _until(meeting, lambda: str(nth) in share.names_afresh(_place(meeting, maker)))
    beat_s = _until(meeting, lambda: share.changed_at(_beat(meeting, maker)) != before)
    return Delays(0.0, entry_s, beat_s)


def _until(meeting: Meeting, holds: Callable[[], bool]) -> float:
    """How long it takes until something holds: 0 if it does at once, `longest_s` if it never does."""
    clock = meeting.share.clock
    longest = longest_s(meeting.patience_s)
    begin = clock.monotonic()
    if holds():
        return 0.0
    while not holds():
        if clock.monotonic() - begin >= longest:
            return longest
        clock.sleep(TICK_S)
    return min(longest, clock.monotonic() - begin)


def judge_delays(delays: Delays, longest: float) -> Iterator[Remark]:
    """What the delays mean for a queue.

    Args:
        delays: the longest ones.
        longest: after how many seconds one has looked no more.
    """
    if delays.entry_s > 0:
        never = delays.entry_s >= longest
        when = f"not within {longest:g} s" if never else f"only after {delays.entry_s:.1f} s"
        yield Remark(
            Level.REFUSED, "listing",
            f"a listing that is asked for afresh lacks an entry that was there before: it was seen {when}, so that "
            "jobs would be overlooked",
        )  # fmt: skip
    elif delays.round_trip_s > _LATE_S:
        yield Remark(
            Level.WARNING,
            "listing",
            f"a new entry was seen and answered only after {delays.round_trip_s:.1f} s; workers see late what is ready",
        )
    else:
        yield Remark(Level.FULL, "listing", f"a new entry was seen and answered within {delays.round_trip_s:.2f} s")
    if delays.beat_s >= longest:
        yield Remark(
            Level.REFUSED, "beat",
            f"a changed time of a file was not seen within {longest:g} s by `open` and `fstat`, so that living "
            "workers would be taken for dead",
        )  # fmt: skip
    elif delays.beat_s > 0:
        yield Remark(
            Level.WARNING, "beat",
            f"a changed time of a file was seen only after {delays.beat_s:.1f} s by `open` and `fstat`; a longer "
            "`deadAfter` keeps living workers from being taken for dead",
        )  # fmt: skip
    else:
        yield Remark(Level.FULL, "beat", "a changed time of a file was seen at once by `open` and `fstat`")
