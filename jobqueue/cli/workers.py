"""Lists the workers that have a directory in the queue.

Whether one is alive is told by its process, and only on its own host; `?`
elsewhere, where the age of its last beat is what there is to go by (by this
host's clock against the server's).

CALLS/S is how often a worker and its jobs have asked the share in the last
minutes, by their own count; the last line has the sum, and how much of it
looking for work and beating may take (maxCallsPerSecond in queue.cfg).

With --json: an array of objects with the keys worker, name, host, user, pid,
slots, running, since (seconds since the epoch by the worker's clock), beat_age
(seconds), alive (true, false, or null where that cannot be told),
calls_per_second (null before it has said so), avoided_for (jobs that failed
there and that others have finished; it takes nothing new).
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from jobqueue.cli._common import DONE, open_store
from jobqueue.cli._output import how_long, number_of, print_json, print_table, when

if TYPE_CHECKING:
    from jobqueue.overview import WorkerView

_SAID = ("name", "host", "user", "pid", "slots")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Takes no arguments of its own."""


def run(arguments: argparse.Namespace) -> int:
    from jobqueue.overview import workers

    store = open_store(arguments)
    rows = [_row(view) for view in workers(store)]
    if arguments.json:
        print_json(rows)
        return DONE
    if rows:
        cells = [_cells(row) for row in rows]
        head = ["NAME", "HOST", "PID", "SLOTS", "RUNNING", "CALLS/S", "SINCE", "LAST BEAT", "ALIVE"]
        print_table(head, cells, right={"PID", "SLOTS", "RUNNING", "CALLS/S", "LAST BEAT"})
    for row in rows:
        if row["avoided_for"]:
            jobs = ", ".join(row["avoided_for"])
            print(
                f"{row['name']} on {row['host']} takes nothing new: it has failed {jobs}, which others have finished."
            )
    running = sum(row["running"] for row in rows)
    calls = sum(row["calls_per_second"] or 0.0 for row in rows)
    limit = store.config.calls_per_s(len(rows))
    note = "" if limit is None else f"; looking for work and beating may take {limit:g} of them"
    print(f"{number_of(len(rows), 'worker')}, {number_of(running, 'job')} running, {calls:.1f} calls a second{note}")
    return DONE


def _row(view: WorkerView) -> dict[str, Any]:
    said = {key: view.info.get(key) for key in _SAID}
    since, age_s = view.info.get("since"), view.beat_age_s
    return {
        "worker": view.worker,
        **said,
        "running": view.running,
        "since": since,
        "beat_age": age_s,
        "alive": view.is_alive,
        "calls_per_second": view.calls_per_s,
        "avoided_for": view.avoided_for,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    alive = {True: "yes", False: "no", None: "?"}[row["alive"]]
    # One that is only coming, or going, has said nothing of itself; its whole name still tells who it is.
    said = [str(row[key] if row[key] is not None else "-") for key in ("host", "pid", "slots")]
    beat = "-" if row["beat_age"] is None else f"{how_long(row['beat_age'])} ago"
    calls = "-" if row["calls_per_second"] is None else f"{row['calls_per_second']:.1f}"
    return [row["name"] or row["worker"], *said, str(row["running"]), calls, when(row["since"]), beat, alive]
