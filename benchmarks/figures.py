"""What the raw figures of a run say: medians, and which of our bars they meet. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks.peers import PEERS
from benchmarks.side_by_side import BARE, DISK, OUR_ARRAY, OURS, TMPFS

# Those that keep no account of what became of a job: that they are quicker is no loss.
MESSAGES = tuple(name for name, peer in PEERS.items() if peer.is_queue_alone)
# What is measured of no-ops.
WORDS = {"total": "submission to end", "drain": "draining"}


class Cell(NamedTuple):
    """One entry of a table.

    Attributes:
        value: the median; ``None`` if there is none.
        word: what there is instead, or a mark beside the value.
    """

    value: float | None
    word: str = ""


NOTHING = Cell(None)


class Figures:
    """The figures of one run of `python -m benchmarks`.

    Args:
        raw: what its file holds.

    Attributes:
        raw: the same.
        peers: their names, ours first, in the order of the run.
        sizes: the numbers of no-ops that all were measured with.
        workers: the numbers of workers.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.peers: list[str] = [name for name in raw["versions"] if name != BARE]
        self.sizes: list[int] = list(raw["extent"]["sizes"])
        self.large: int | None = raw["extent"]["large"]
        self.workers: list[int] = list(raw["extent"]["workers"])

    def runs(self, work: str, peer: str, **fields: Any) -> list[dict[str, Any]]:
        """The runs of a kind that came to their end; ``fields`` as in the file."""
        wanted = {"work": work, "peer": peer, **fields}
        runs = [run for run in self.raw["runs"] if "error" not in run]
        return [run for run in runs if all(run.get(key) == value for key, value in wanted.items())]

    def noops(self, peer: str, place: str, workers: int, size: int, what: str) -> Cell:
        """Milliseconds for each no-op.

        Args:
            peer: its name.
            place: `TMPFS` or `DISK`.
            workers: how many.
            size: how many jobs.
            what: ``submit``, ``drain``, or ``total`` from the first submission to the last job done. The latter is
                submitting and then draining, marked with ``*``, where jobs were not run while others were submitted.
        """
        seen = [
            run["sizes"][str(size)]
            for run in self.runs("noops", peer, place=place, workers=workers)
            if str(size) in run["sizes"]
        ]
        if not seen:
            return NOTHING
        for each in seen:
            if "late_s" in each:
                return Cell(None, f"> {each['late_s']:g} s")
        times_s, mark = [each.get(f"{what}_s") for each in seen], ""
        if what == "total":
            times_s = [each.get("free_s") for each in seen]
            if None in times_s:
                times_s, mark = [each["submit_s"] + each["drain_s"] for each in seen], "*"
        return Cell(1e3 * statistics.median(times_s) / size, mark)

    def each(self, work: str, peer: str, workers: int, **fields: Any) -> Cell:
        """Milliseconds for each job of another piece of work, drained."""
        seen = self.runs(work, peer, workers=workers, **fields)
        if not seen:
            return NOTHING
        if any("late_s" in run for run in seen):
            return Cell(None, f"> {seen[0]['late_s'] if 'late_s' in seen[0] else self.raw['extent']['limit_s']:g} s")
        return Cell(1e3 * statistics.median(run["drain_s"] / run["size"] for run in seen))

    def start_s(self, peer: str, workers: int) -> float | None:
        """Seconds until all workers have had a job."""
        seen = [run["start_s"] for run in self.runs("noops", peer, workers=workers, place=TMPFS)]
        return statistics.median(seen) if seen else None

    def counts(self, peer: str) -> dict[str, int]:
        """The executions of no-ops in all runs: asked for, done, jobs done more than once, jobs never done."""
        seen = [
            (int(size), found)
            for run in self.runs("noops", peer)
            for size, found in run["sizes"].items()
            if "executed" in found
        ] + [(run["size"], run) for run in self.runs("counted", peer)]
        asked = sum(size * (2 if "free_s" in found else 1) for size, found in seen)
        return {"asked": asked, **{key: sum(found[key] for _, found in seen) for key in _COUNTS}}

    # --- bars ----------------------------------------------------------------------------------------------------

    def duels(self) -> Iterator[Duel]:
        """Ours against each peer in no-ops, for everything that both have a figure of."""
        for place, what in itertools.product((TMPFS, DISK), WORDS):
            for size in self.sizes:
                for workers in self.workers:
                    ours = self.noops(OURS, place, workers, size, what).value
                    for peer in self.peers:
                        theirs = self.noops(peer, place, workers, size, what)
                        if (
                            peer not in (OURS, OUR_ARRAY)
                            and ours is not None
                            and (theirs.value is not None or theirs.word)
                        ):
                            yield Duel(peer, place, what, size, workers, ours, theirs.value)

    def verdicts(self) -> list[Verdict]:
        """The bars that rest on peers."""
        return [*self._faster_than_all(), *self._four_times(), *self._commands()]

    def _faster_than_all(self) -> Iterator[Verdict]:
        for place, what in itertools.product((TMPFS, DISK), WORDS):
            duels = [
                duel for duel in self.duels() if (duel.place, duel.what) == (place, what) and duel.peer not in MESSAGES
            ]
            if duels:
                won, all_of_them = sum(not duel.is_lost for duel in duels), len(duels)
                about = f"no-ops, {WORDS[what]}, {place}: less time than each peer"
                yield Verdict(about, f"{all_of_them} times", f"{won} times", won == all_of_them)

    def _four_times(self) -> Iterator[Verdict]:
        size = self.sizes[-1]
        for peer, what in itertools.product(("jug", "dask.distributed"), WORDS):
            ratios = [
                duel.theirs / duel.ours
                for duel in self.duels()
                if (duel.peer, duel.place, duel.what, duel.size) == (peer, TMPFS, what, size) and duel.theirs
            ]
            if ratios:
                seen = ", ".join(f"{ratio:.1f}" for ratio in ratios)
                about = f"no-ops, {WORDS[what]}, N = {size:,}: times as fast as {peer}"
                yield Verdict(about, "4", seen, min(ratios) >= 4)

    def _commands(self) -> Iterator[Verdict]:
        for workers in self.workers:
            ours, theirs, bare = (self.each("commands", peer, workers).value for peer in (OURS, "HyperQueue", BARE))
            if ours and theirs and bare:
                told = f"{1e3 / ours:,.0f} (bare processes {1e3 / bare:,.0f})"
                is_met = ours <= theirs or bare / ours > 0.85
                yield Verdict(f"commands a second, {plural(workers)}", f"HyperQueue {1e3 / theirs:,.0f}", told, is_met)


_COUNTS = ("executed", "repeated", "missing")


class Duel(NamedTuple):
    """Milliseconds a no-op, ours and a peer's; ``theirs`` is ``None`` if it was not done in the time given."""

    peer: str
    place: str
    what: str
    size: int
    workers: int
    ours: float
    theirs: float | None

    @property
    def is_lost(self) -> bool:
        return self.theirs is not None and self.theirs < self.ours


class Verdict(NamedTuple):
    """One bar."""

    what: str
    limit: str
    measured: str
    is_met: bool


def plural(workers: int) -> str:
    return f"{workers} worker{'s' * (workers > 1)}"


def shown(value: float) -> str:
    """A number with as many digits as are of use."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown, aligned so that its source can be read."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    filled = [
        "| " + " | ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in each) + " |"
        for line in lines
        for each in [list(enumerate(zip(line, widths, strict=True)))]
    ]
    rule = (
        "| "
        + " | ".join(
            "-" * max(3, width) if at == 0 else "-" * max(2, width - 1) + ":" for at, width in enumerate(widths)
        )
        + " |"
    )
    return "\n".join([filled[0], rule, *filled[1:]])
