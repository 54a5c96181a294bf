"""Measures everything: our own bars, and all peers side by side. `make bench` calls this.

    python -m benchmarks [--quick] [--only bars|peers] [--peers NAME[,NAME...]]

The raw figures are written to a file in `benchmarks/results/`, and the tables to the terminal, also when it is ended
with Ctrl-C. Once all was measured, `benchmarks.report` makes of that file what the documentation shows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import bars, machine, side_by_side
from benchmarks.arrays import a_million_items, arrays
from benchmarks.peers import PEERS
from benchmarks.peers.base import ROOT
from benchmarks.report import PAGE, RESULTS, as_text
from benchmarks.scaling import scaling


def _peers(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}; there are {', '.join(PEERS)}")
    return names


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures the queue, and its peers.")
    parser.add_argument("--quick", action="store_true", help="a part of it, each once: some minutes; for a look")
    parser.add_argument("--only", choices=("bars", "peers"), help="our own bars alone, or the peers alone")
    parser.add_argument("--peers", type=_peers, default=list(PEERS), metavar="NAME,...", help="these alone")
    return parser.parse_args(argv)


def _there(names: Sequence[str]) -> list[str]:
    """Those peers whose programs are there; the others are named."""
    found = []
    for name in names:
        if missing := PEERS[name].missing():
            sys.stderr.write(f"{name} is left out: {missing} is not there.\n")
        else:
            found.append(name)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    # Where nothing compiled is kept every start of ours would compile all of it; pip has compiled what the others are.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    peers = _there(arguments.peers)
    extent = side_by_side.QUICK if arguments.quick else side_by_side.FULL
    begun = time.strftime("%Y-%m-%dT%H%M%S")
    figures: dict[str, Any] = {
        "begun": begun,
        "machine": machine.describe(side_by_side.folders()),
        "versions": side_by_side.versions(peers),
        "extent": extent._asdict(),
        "load": [machine.load()],
        "bars": [],
        "runs": [],
    }
    RESULTS.mkdir(exist_ok=True)
    # What was measured is kept from run to run: whoever ends it early has the rounds that were made.
    path = RESULTS / f"{'quick-' if arguments.quick else ''}{begun}.json"
    is_over = False
    bar, done, passed, what = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with suppress(KeyboardInterrupt), Progress(bar, done, passed, what, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=None)

        def tell(at: int, total: int, description: str) -> None:
            progress.update(task, completed=at, total=total, description=description)

        if arguments.only != "peers":
            figures["bars"] = _bars(1 if arguments.quick else 5, tell)
        if arguments.only != "bars":
            for run in side_by_side.measure(extent, peers, tell):
                figures["runs"].append(run)
                path.write_text(as_file(figures))
        is_over = True
    figures["load"].append(machine.load())
    path.write_text(as_file(figures))
    sys.stdout.write(f"{as_text(figures)}\nThe raw figures are in {path}.\n")
    if is_over and extent == side_by_side.FULL and arguments.only is None and peers == list(PEERS):
        # Plots are drawn by what the peers' environment has for it.
        command = [side_by_side.python_of("jug"), "-m", "benchmarks.report", str(path)]
        subprocess.run(command, cwd=ROOT, check=True)
        sys.stdout.write(f"{PAGE} and its plots show them.\n")
    return 0


def as_file(figures: dict[str, Any]) -> str:
    """JSON with a line for each run."""
    runs = ",\n".join(json.dumps(run) for run in figures["runs"])
    rest = json.dumps({key: value for key, value in figures.items() if key != "runs"}, indent=1)
    return f'{rest[:-2]},\n "runs": [\n{runs}\n ]\n}}\n'


def _bars(repeats: int, tell: side_by_side.Progress) -> list[dict[str, Any]]:
    """Our own bars; those that rest on the peers are made of the runs."""
    parts = [*bars.PARTS, arrays, a_million_items, scaling]
    found: list[bars.Bar] = []
    for at, part in enumerate(parts):
        tell(at, len(parts), f"our own bars: {part.__name__}")
        found += part(Path(side_by_side.folders()[side_by_side.TMPFS]), repeats)
    return [{**bar._asdict(), "verdict": bar.verdict} for bar in found]


if __name__ == "__main__":
    sys.exit(main())
