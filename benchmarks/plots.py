"""Draws the plots of the documentation, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.figures import Figures, plural
from benchmarks.side_by_side import BARE, DISK, OUR_ARRAY, OURS, TMPFS

# Ours is drawn over all others, and in a colour of its own.
_COLOURS = {
    OURS: "#d62728",
    OUR_ARRAY: "#ff9896",
    "jug": "#1f77b4",
    "huey": "#2ca02c",
    "persist-queue": "#9467bd",
    "dirq": "#8c564b",
}
_MORE_COLOURS = {"RQ": "#e377c2", "dask.distributed": "#ff7f0e", "HyperQueue": "#17becf", "luigi": "#7f7f7f"}
_MARKS = {OURS: "o", OUR_ARRAY: "o", "jug": "s", "huey": "^", "persist-queue": "v", "dirq": "D"}


def draw(figures: Figures, folder: Path) -> None:
    """Draws all plots.

    Files:
        Writes ``benchmarks-*.svg`` in ``folder``, always the same for the same figures.
    """
    import matplotlib as mpl

    mpl.rcParams.update({"svg.hashsalt": "jobqueue", "svg.fonttype": "none", "font.size": 9, "axes.grid": True})
    for place in (TMPFS, DISK):
        _draw_noops(figures, place, folder / f"benchmarks-noops-{place}.svg")
    _draw_commands(figures, folder / "benchmarks-commands.svg")


def _draw_noops(figures: Figures, place: str, path: Path) -> None:
    """For each number of jobs, milliseconds a job by the number of workers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots(1, len(figures.sizes), sharey=True)
    lines: dict[str, Any] = {}
    for axis, size in zip(axes, figures.sizes, strict=True):
        for peer in reversed(figures.peers):
            cells = [(workers, figures.noops(peer, place, workers, size, "total")) for workers in figures.workers]
            points = [(workers, cell.value) for workers, cell in cells if cell.value is not None]
            if points:
                (lines[peer],) = axis.plot(
                    *zip(*points, strict=True),
                    color={**_COLOURS, **_MORE_COLOURS}[peer],
                    marker=_MARKS.get(peer, "x"),
                    linewidth=2.5 if peer == OURS else 1.2,
                )
        axis.set_yscale("log")
        axis.set_xticks(figures.workers)
        axis.set_xlabel("workers")
        axis.set_title(f"{size:,} jobs")
    axes[0].set_ylabel(f"ms a job, {place}")
    shown = [peer for peer in figures.peers if peer in lines]
    figure.legend([lines[peer] for peer in shown], shown, loc="outside lower center", ncols=5, frameon=False)
    _save(figure, path)


def _draw_commands(figures: Figures, path: Path) -> None:
    """Commands a second, by the number of workers."""
    from matplotlib.figure import Figure

    peers = [*figures.peers, BARE]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axis = figure.subplots()
    height = 0.8 / len(figures.workers)
    for at, workers in enumerate(figures.workers):
        cells = [figures.each("commands", peer, workers) for peer in peers]
        rates = [1e3 / cell.value if cell.value else 0.0 for cell in cells]
        places = [len(peers) - number - at * height for number in range(len(peers))]
        axis.barh(places, rates, height=height, label=plural(workers), color=f"C{at}")
    axis.set_yticks([len(peers) - number - 0.4 + height / 2 for number in range(len(peers))], peers)
    axis.set_xlabel("commands (`true`) a second")
    axis.legend(frameon=False)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    # Neither a date nor a version: the same figures make the same file.
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n")
