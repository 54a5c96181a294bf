"""Lists the top-level jobs in processing order.

States: ready (a worker may take something of it), running, waiting (a result
is being settled), stalled (something of it has failed, and nothing else can be
run), held, done (finished or cancelled). They are read off listings alone, so
a stalled job may show as ready until a worker has looked at it, or --long
looks.

With --json: an array of objects with the keys job, state, priority, running
(how many of its jobs run); with --long also label, total, finished, failed,
cancelled, progress (percent), submitted (seconds since the epoch). These are
null where a job's directory cannot be read.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from jobqueue.cli._common import DONE, open_store
from jobqueue.cli._output import number_of, print_json, print_table, when
from jobqueue.errors import BrokenJobError

if TYPE_CHECKING:
    from jobqueue.overview import TopJob
    from jobqueue.store import Store

_STATES = ("ready", "running", "waiting", "stalled", "held", "done")
_DETAILS = ("label", "total", "finished", "failed", "cancelled", "progress", "submitted")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-l", "--long", action="store_true", help="look into each job, too")
    parser.add_argument("--state", choices=_STATES, help="only those in this state")


def run(arguments: argparse.Namespace) -> int:
    from jobqueue.overview import top_jobs

    store = open_store(arguments)
    rows = [_row(job) for job in top_jobs(store)] if not arguments.long else _long_rows(store)
    chosen = [row for row in rows if arguments.state in (None, row["state"])]
    if arguments.json:
        print_json(chosen)
        return DONE
    _print(chosen, long=arguments.long)
    counts = Counter(row["state"] for row in rows)
    words = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state])
    print(f"{number_of(len(rows), 'job')}{': ' if words else ''}{words}")
    return DONE


def _row(job: TopJob) -> dict[str, Any]:
    return {"job": job.name, "state": job.state.value, "priority": job.entry.priority, "running": job.running}


def _long_rows(store: Store) -> list[dict[str, Any]]:
    from jobqueue.errors import JobNotFoundError
    from jobqueue.handle import JobHandle
    from jobqueue.overview import refined, top_jobs
    from jobqueue.state import JobState, summarize

    rows = []
    for job in top_jobs(store):
        handle = JobHandle(store, job.entry.number, None, "")
        try:
            summary = summarize(store, store.layout.job(job.entry.number))
            counts = summary.counts
            details = (
                handle.label, summary.total, counts[JobState.FINISHED], counts[JobState.FAILED],
                counts[JobState.CANCELLED], summary.progress, handle.submitTime,
            )  # fmt: skip
        except JobNotFoundError:
            # It was deleted after it had been listed.
            continue
        except BrokenJobError:
            rows.append({**_row(job), **dict.fromkeys(_DETAILS)})
        else:
            rows.append({**_row(refined(job, summary)), **dict(zip(_DETAILS, details, strict=True))})
    return rows


def _print(rows: list[dict[str, Any]], *, long: bool) -> None:
    if not rows:
        return
    head = ["JOB", "STATE", "PRIORITY", "RUNNING"]
    right = {"PRIORITY", "RUNNING", "DONE", "PROGRESS", "FAILED"}
    cells = [[row["job"], row["state"], str(row["priority"]), str(row["running"])] for row in rows]
    if not long:
        print_table(head, cells, right=right)
        return
    for row, line in zip(rows, cells, strict=True):
        if row["total"] is None:
            line += ["-", "-", "-", "-", "(its directory cannot be read)"]
            continue
        done, progress = f"{row['finished']}/{row['total']}", f"{row['progress']:.0f} %"
        line += [done, progress, str(row["failed"]), when(row["submitted"]), row["label"] or ""]
    print_table([*head, "DONE", "PROGRESS", "FAILED", "SUBMITTED", "LABEL"], cells, right=right, wide="LABEL")
