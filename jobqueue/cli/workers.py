"""Lists the workers that have a directory in the queue.

Whether one is alive is told by its process, and only on its own host; `?`
elsewhere, where the age of its last beat is what there is to go by (by this
host's clock against the server's).

With --json: an array of objects with the keys worker, name, host, user, pid,
slots, running, since (seconds since the epoch by the worker's clock), beat_age
(seconds), alive (true, false, or null where that cannot be told), avoided_for
(jobs that failed there and that others have finished; it takes nothing new).
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

    rows = [_row(view) for view in workers(open_store(arguments))]
    if arguments.json:
        print_json(rows)
        return DONE
    if rows:
        cells = [_cells(row) for row in rows]
        head = ["NAME", "HOST", "PID", "SLOTS", "RUNNING", "SINCE", "LAST BEAT", "ALIVE"]
        print_table(head, cells, right={"PID", "SLOTS", "RUNNING", "LAST BEAT"})
    for row in rows:
        if row["avoided_for"]:
            jobs = ", ".join(row["avoided_for"])
            print(
                f"{row['name']} on {row['host']} takes nothing new: it has failed {jobs}, which others have finished."
            )
    running = sum(row["running"] for row in rows)
    print(f"{number_of(len(rows), 'worker')}, {number_of(running, 'job')} running")
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
        "avoided_for": view.avoided_for,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    alive = {True: "yes", False: "no", None: "?"}[row["alive"]]
    # One that is only coming, or going, has said nothing of itself; its whole name still tells who it is.
    said = [str(row[key] if row[key] is not None else "-") for key in ("host", "pid", "slots")]
    beat = "-" if row["beat_age"] is None else f"{how_long(row['beat_age'])} ago"
    return [row["name"] or row["worker"], *said, str(row["running"]), when(row["since"]), beat, alive]
