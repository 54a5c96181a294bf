"""Lists the top-level jobs in processing order, but for those that are archived.

States: ready (a worker may take something of it), running, waiting (a result
is being settled), stalled (something of it has failed, and nothing else can be
run), held, done (finished or cancelled). They are read off listings alone, so
a stalled job may show as ready until a worker has looked at it, or --long
looks. With --state archived those are listed that are in the archive, the oldest
first, and no others.

With --json: an array of objects with the keys job, state, priority, running
(how many of its jobs run); with --long also label, total, finished, failed,
cancelled, progress (percent), submitted (seconds since the epoch). These are
null where a job's directory or archive cannot be read. The priority of an
archived job is null.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from jobqueue.cli._common import DONE, open_store
from jobqueue.cli._output import number_of, print_json, print_table, when
from jobqueue.errors import BrokenJobError

if TYPE_CHECKING:
    from jobqueue.overview import TopJob
    from jobqueue.store import Store

_ARCHIVED = "archived"
_STATES = ("ready", "running", "waiting", "stalled", "held", "done", _ARCHIVED)
_DETAILS = ("label", "total", "finished", "failed", "cancelled", "progress", "submitted")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-l", "--long", action="store_true", help="look into each job, too")
    parser.add_argument("--state", choices=_STATES, help="only those in this state")


def run(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    found = _archived(store) if arguments.state == _ARCHIVED else _queued(store)
    rows = [row for job in found if (row := job.long_row(store) if arguments.long else job.row()) is not None]
    chosen = [row for row in rows if arguments.state in (None, row["state"])]
    if arguments.json:
        print_json(chosen)
        return DONE
    _print(chosen, long=arguments.long)
    counts = Counter(row["state"] for row in rows)
    words = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state])
    print(f"{number_of(len(rows), 'job')}{': ' if words else ''}{words}")
    return DONE


class _Listed(NamedTuple):
    """One job of the list.

    Attributes:
        number: of the top-level job.
        top: how it stands in the queue; ``None``: it is archived.
    """

    number: int
    top: TopJob | None

    def row(self) -> dict[str, Any]:
        from jobqueue.names import job_name

        name = job_name(self.number, "")
        if self.top is None:
            return {"job": name, "state": _ARCHIVED, "priority": None, "running": 0}
        top = self.top
        return {"job": name, "state": top.state.value, "priority": top.entry.priority, "running": top.running}

    def long_row(self, store: Store) -> dict[str, Any] | None:
        """The same with what only a look into it can tell; ``None``: it was deleted after it had been listed."""
        from jobqueue.errors import JobNotFoundError
        from jobqueue.overview import refined
        from jobqueue.reader import JobReader
        from jobqueue.state import JobState

        reader = JobReader(store, self.number, None, "")
        try:
            summary = reader.summary()
            counts = summary.counts
            details = (
                reader.node().label, summary.total, counts[JobState.FINISHED], counts[JobState.FAILED],
                counts[JobState.CANCELLED], summary.progress, reader.hierarchy().submitted,
            )  # fmt: skip
        except JobNotFoundError:
            return None
        except BrokenJobError:
            return {**self.row(), **dict.fromkeys(_DETAILS)}
        seen = self._replace(top=refined(self.top, summary)) if self.top else self
        return {**seen.row(), **dict(zip(_DETAILS, details, strict=True))}


def _queued(store: Store) -> list[_Listed]:
    from jobqueue.overview import top_jobs

    return [_Listed(top.entry.number, top) for top in top_jobs(store)]


def _archived(store: Store) -> list[_Listed]:
    return [_Listed(number, None) for number in store.archives.numbers()]


def _print(rows: list[dict[str, Any]], *, long: bool) -> None:
    if not rows:
        return
    head = ["JOB", "STATE", "PRIORITY", "RUNNING"]
    right = {"PRIORITY", "RUNNING", "DONE", "PROGRESS", "FAILED"}
    cells = [[row["job"], row["state"], _priority(row), str(row["running"])] for row in rows]
    if not long:
        print_table(head, cells, right=right)
        return
    for row, line in zip(rows, cells, strict=True):
        if row["total"] is None:
            what = "archive" if row["state"] == _ARCHIVED else "directory"
            line += ["-", "-", "-", "-", f"(its {what} cannot be read)"]
            continue
        done, progress = f"{row['finished']}/{row['total']}", f"{row['progress']:.0f} %"
        line += [done, progress, str(row["failed"]), when(row["submitted"]), row["label"] or ""]
    print_table([*head, "DONE", "PROGRESS", "FAILED", "SUBMITTED", "LABEL"], cells, right=right, wide="LABEL")


def _priority(row: dict[str, Any]) -> str:
    return "-" if row["priority"] is None else str(row["priority"])
