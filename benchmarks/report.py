"""Makes the tables of the documentation, and its plots, of the raw figures of a run.

    .venv/bench/bin/python -m benchmarks.report benchmarks/results/FILE

The page is written by people; what stands between ``<!-- NAME -->`` and ``<!-- end -->`` is replaced.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.figures import MESSAGES, WORDS, Cell, Duel, Figures, plural, shown, table
from benchmarks.peers import PEERS
from benchmarks.side_by_side import BARE, DISK, OUR_ARRAY, OURS, TMPFS

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "design" / "benchmarks.md"
_BLOCK = re.compile(r"<!-- ([a-z0-9-]+) -->\n.*?<!-- end -->", re.DOTALL)


def _noops(figures: Figures, place: str, what: str) -> str:
    columns = [(size, workers) for size in figures.sizes for workers in figures.workers]
    if figures.large and place == TMPFS:
        columns += [(figures.large, workers) for workers in figures.workers]
    head = ["ms a job", *(f"{_short(size)}/{workers}" for size, workers in columns)]
    rows = []
    for peer in figures.peers:
        cells = [figures.noops(peer, place, workers, size, what) for size, workers in columns]
        if any(cell.value is not None or cell.word for cell in cells):
            rows.append([peer, *map(_entry, cells)])
    return table(head, rows)


def _short(size: int) -> str:
    return f"{size // 1000}k" if size >= 1_000 else str(size)


def _entry(cell: Cell) -> str:
    return f"{shown(cell.value)}{cell.word}" if cell.value is not None else cell.word or "-"


def _starting(figures: Figures) -> str:
    head = ["seconds", *(plural(workers) for workers in figures.workers)]
    rows = []
    for peer in figures.peers:
        times = [figures.start_s(peer, workers) for workers in figures.workers]
        rows.append([peer, *(shown(time) if time is not None else "-" for time in times)])
    return table(head, rows)


def _hierarchy(figures: Figures) -> str:
    leaves = figures.raw["extent"]["leaves"]
    rows = []
    for peer in figures.peers:
        if why := PEERS[peer].lacks.get("hierarchy"):
            rows.append([peer, f"cannot: {why}", ""])
            continue
        runs = figures.runs("hierarchy", peer)
        submit = [1e3 * run["submit_s"] / leaves for run in runs if "submit_s" in run]
        rows.append(
            [peer, _entry(figures.each("hierarchy", peer, 2)), shown(statistics.median(submit)) if submit else "-"]
        )
    return table(["", "draining, ms a job", "submitting, ms a job"], rows)


def _commands(figures: Figures) -> str:
    head = ["commands a second", *(plural(workers) for workers in figures.workers)]
    rows = []
    for peer in [*figures.peers, BARE]:
        cells = [figures.each("commands", peer, workers) for workers in figures.workers]
        rows.append([peer, *(shown(1e3 / cell.value) if cell.value else _entry(cell) for cell in cells)])
    return table(head, rows)


def _kill(figures: Figures) -> str:
    rows = []
    for peer in [name for name in figures.peers if name != OUR_ARRAY]:
        if why := PEERS[peer].lacks.get("kill"):
            rows.append([peer, "cannot be tried", why])
            continue
        runs = figures.runs("kill", peer)
        late = next((run for run in runs if "late_s" in run), None)
        words = []
        if late is None:
            seen = f"{statistics.median(run['again_s'] for run in runs):.1f} s" if runs else "-"
        else:
            seen = f"not within {late['late_s']:g} s"
            words = [late["fate"], f"{'' if late['with_new_worker'] else 'not '}run by a new worker"]
        if any(run["twice_before"] for run in runs):
            words.append("two had it before")
        rows.append([peer, seen, "; ".join(words)])
    return table(["", "run again after", "and"], rows)


def _counts(figures: Figures) -> str:
    rows = []
    for peer in figures.peers:
        counts = figures.counts(peer)
        rows.append([peer, *(f"{counts[key]:,}" for key in ("asked", "executed", "repeated", "missing"))])
    return table(["", "jobs submitted", "executions", "jobs run twice or more", "jobs never run"], rows)


def _bars(figures: Figures) -> str:
    rows = []
    for bar in figures.raw["bars"]:
        limit = "" if bar["limit"] is None else f"{bar['limit']:,g} {bar['unit']}".strip()
        rows.append([bar["what"], limit, f"{shown(bar['measured'])} {bar['unit']}".strip(), bar["verdict"]])
    rows += [[each.what, each.limit, each.measured, "met" if each.is_met else "missed"] for each in figures.verdicts()]
    return table(["bar", "at least, or at most", "measured", ""], rows)


def _losses(figures: Figures) -> str:
    groups: dict[tuple[str, str, str], list[Duel]] = {}
    for duel in figures.duels():
        groups.setdefault((duel.peer, duel.place, duel.what), []).append(duel)
    lines = []
    for (peer, place, what), duels in groups.items():
        lost = [duel for duel in duels if duel.is_lost]
        where = ", ".join(
            f"{_short(duel.size)}/{duel.workers} {shown(duel.theirs or 0)} (ours {shown(duel.ours)})" for duel in lost
        )
        kind = ", a message queue" if peer in MESSAGES else ""
        if lost:
            lines.append(f"{peer}{kind}: {WORDS[what]}, {place}, {len(lost)} of {len(duels)}: {where}")
    lines += _other_losses(figures)
    ours = [run["again_s"] for run in figures.runs("kill", OURS) if "again_s" in run]
    for peer in figures.peers:
        again = [run["again_s"] for run in figures.runs("kill", peer) if "again_s" in run]
        if again and ours and statistics.median(again) < statistics.median(ours):
            told = f"{statistics.median(again):.2g} s (ours {statistics.median(ours):.2g} s)"
            lines.append(f"{peer}: a job whose worker was killed runs again after {told}")
    return "\n".join(_wrapped(f"{line}.", "- ") for line in lines) or "Nowhere."


def _other_losses(figures: Figures) -> Iterator[str]:
    """The same of what no bar compares but for commands: submitting, a hierarchy, commands, starting."""
    workers, leaves = figures.workers, figures.raw["extent"]["leaves"]
    of_noops = [(f"{_short(size)}/{count}", size, count) for size in figures.sizes for count in workers]
    pieces: dict[str, Callable[[str], list[tuple[str, float | None]]]] = {
        f"submitting, {TMPFS}": lambda peer: [
            (where, figures.noops(peer, TMPFS, count, size, "submit").value) for where, size, count in of_noops
        ],
        f"a hierarchy, draining, {TMPFS}": lambda peer: [(f"{leaves:,}/2", figures.each("hierarchy", peer, 2).value)],
        f"commands, {TMPFS}": lambda peer: [
            (plural(count), figures.each("commands", peer, count).value) for count in workers
        ],
        "starting, in seconds": lambda peer: [(plural(count), figures.start_s(peer, count)) for count in workers],
    }
    for what, of in pieces.items():
        for peer in figures.peers:
            cases = [
                (where, theirs, ours)
                for (where, theirs), (_, ours) in zip(of(peer), of(OURS), strict=True)
                if theirs is not None and ours is not None and peer not in (OURS, OUR_ARRAY)
            ]
            lost = [f"{where} {shown(theirs)} (ours {shown(ours)})" for where, theirs, ours in cases if theirs < ours]
            if lost:
                kind = ", a message queue" if peer in MESSAGES else ""
                yield f"{peer}{kind}: {what}, {len(lost)} of {len(cases)}: {', '.join(lost)}"


def _settings(figures: Figures) -> str:
    lines = []
    for peer in [*figures.peers, BARE]:
        version = "" if peer == BARE else f" {figures.raw['versions'][peer]}"
        lines.append(f"{peer}{version}\n{_wrapped(PEERS[peer].settings, ': ')}\n")
    return "\n".join(lines).rstrip()


def _machine(figures: Figures) -> str:
    raw = figures.raw
    told = "; ".join(f"{key}: {value}" for key, value in raw["machine"].items())
    loads = [run["load"] for run in raw["runs"]]
    rounds = 1 + max(run["round"] for run in raw["runs"])
    return _wrapped(
        f"{raw['begun'][:10]}; {told}. Each figure is the median of {rounds}. The load of a minute "
        f"before each run was {statistics.median(loads):.1f} in the median and {max(loads):.1f} at most, up to 3 of it "
        f"from the benchmark itself. The raw figures are in `benchmarks/results/{raw['begun']}.json`.",
        "",
    )


def _errors(figures: Figures) -> str:
    failed = [run for run in figures.raw["runs"] if "error" in run]
    lines = [
        f"- {run['peer']}: {run['work']}, {plural(run['workers'])}, {run['place']}, round {run['round'] + 1}: "
        f"`{run['error'][:80]}`"
        for run in failed
    ]
    return "\n".join(lines) or f"None: all {len(figures.raw['runs'])} runs came to their end."


def _wrapped(text: str, begin: str) -> str:
    """A paragraph of Markdown whose lines are short enough to be read."""
    return textwrap.fill(
        text, 118, initial_indent=begin, subsequent_indent=" " * len(begin), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


BLOCKS: dict[str, Callable[[Figures], str]] = {
    "machine": _machine,
    "bars": _bars,
    "losses": _losses,
    "total-tmpfs": lambda figures: _noops(figures, TMPFS, "total"),
    "drain-tmpfs": lambda figures: _noops(figures, TMPFS, "drain"),
    "submit-tmpfs": lambda figures: _noops(figures, TMPFS, "submit"),
    "total-disk": lambda figures: _noops(figures, DISK, "total"),
    "drain-disk": lambda figures: _noops(figures, DISK, "drain"),
    "starting": _starting,
    "hierarchy": _hierarchy,
    "commands": _commands,
    "kill": _kill,
    "counts": _counts,
    "errors": _errors,
    "settings": _settings,
}


def as_text(raw: dict[str, object]) -> str:
    """All tables, for a terminal."""
    figures = Figures(raw)
    # Without the peers there is nothing to say of them.
    names = [name for name in BLOCKS if name != "settings"] if raw["runs"] else ["bars"]
    return "\n\n".join(f"{name}\n\n{BLOCKS[name](figures)}" for name in names)


def filled(page: str, raw: dict[str, object]) -> str:
    """The page with the blocks that these figures make."""
    figures = Figures(raw)
    return _BLOCK.sub(lambda block: f"<!-- {block[1]} -->\n{BLOCKS[block[1]](figures)}\n<!-- end -->", page)


def main(argv: Sequence[str]) -> int:
    from benchmarks.plots import draw

    raw = json.loads(Path(argv[0]).read_text())
    PAGE.write_text(filled(PAGE.read_text(), raw))
    draw(Figures(raw), PAGE.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
