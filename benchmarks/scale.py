"""Says how many workers and jobs a file server carries, and plays farms of that size.

    python -m benchmarks.scale --calls-per-second 5000 [--server nfs3] [--simulate 10,100,1000] [--json FILE]

The first table is reckoned: from the calls that each operation was counted to make on a real server (the page "Costs"),
and from the pace that so many workers keep (`jobqueue.pace`). Jobs do nothing and print nothing.

With --simulate, farms are played on the model share: the real supervisors, slots and runners as coroutines, each worker
on a host of its own with one slot, and a server that answers one call after the other, so many a second, half a
millisecond away. They come within ten seconds, and have nothing to do for two minutes; then jobs are submitted, in
hierarchies of at most a thousand; and when all have finished, one host loses its power while it runs a job. What is
counted are calls and seconds of the play. What it leaves out: the caches of real clients, whose first look into a
directory costs more calls, and later ones fewer; and what jobs do themselves.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import costs
from jobqueue.config import QueueConfig
from jobqueue.errors import ConfigError
from jobqueue.pace import Pace
from tests.simulation.farm import Farm, new_farm

FARMS = (10, 50, 200, 500, 1_000, 2_000, 5_000, 10_000)
# How long jobs take, in seconds.
JOBS_S = (10, 60)
_POLL_S = 1.0
_WORKS = "tests.simulation.procedures:Works"
_HIERARCHY = 1_000
# Farms come, settle down, are counted, and never take longer than this for their jobs.
_COME_S, _SETTLE_S, _IDLE_S, _LONGEST_S = 10.0, 120.0, 60.0, 7_200.0
_STEP_S = 5.0


class Load(NamedTuple):
    """What a farm of one size asks of its server.

    Attributes:
        workers: how many.
        beat_s: seconds between two beats of each.
        poll_s: seconds between two looks of each, while it has nothing to do.
        idle_calls: calls a second of all, while none has anything to do.
        jobs: how many jobs a second they can begin and end besides.
    """

    workers: int
    beat_s: float
    poll_s: float
    idle_calls: float
    jobs: float


def load(workers: int, calls_per_s: float, server: str, limit: str = "auto") -> Load:
    """Reckons what a farm asks of a server that answers so many calls a second.

    Args:
        workers: how many.
        calls_per_s: that the server can spare for the queue.
        server: a key of `costs.SERVED`.
        limit: the queue's `maxCallsPerSecond`, as in queue.cfg.
    """
    pace = Pace(_config(limit))
    pace.seen(workers)
    table = costs.table(costs.SERVED[server])
    look, beat, job = (
        max(costs.number(cell) for column, cell in table[row].items() if column not in ("1", costs.BUDGET))
        for row in (
            "look for work, idle", "beat, with what each further worker adds", "claim, run, commit and settle a job",
        )
    )  # fmt: skip
    poll_s = pace.poll_s(_POLL_S)
    idle = workers * (beat / pace.beat_s + look / poll_s)
    return Load(workers, pace.beat_s, poll_s, idle, max(0.0, calls_per_s - idle) / job)


def _config(limit: str) -> QueueConfig:
    return QueueConfig("queue.cfg", f"[main]\nformatVersion = 1\nmaxCallsPerSecond = {limit}\n")


def reckoned(calls_per_s: float, server: str, limit: str = "auto") -> list[str]:
    """The table of what a server carries, as lines of Markdown."""
    heads = ["workers", "beat, s", "look, s", "calls/s, all idle", "jobs/s", *(f"slots, jobs of {s} s" for s in JOBS_S)]
    lines = [_row(heads), _row(["---"] * len(heads))]
    for workers in FARMS:
        found = load(workers, calls_per_s, server, limit)
        numbers = [found.workers, found.beat_s, found.poll_s, round(found.idle_calls), round(found.jobs)]
        numbers += [round(found.jobs * seconds, -1) for seconds in JOBS_S]
        lines.append(_row(map(costs.words, numbers)))
    return lines


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


# --- playing -----------------------------------------------------------------------------------------------------


class Played(NamedTuple):
    """What was counted in a play.

    Attributes:
        workers: how many.
        idle_calls: calls a second, while nobody had anything to do.
        jobs: how many were submitted.
        took_s: from their submission to the last end.
        least_s: what that would be with nothing but the jobs.
        jobs_per_s: how many ended in a second.
        calls_per_job: how often the server was asked more than by an idle farm, for each job.
        busy: the part of the time for which the server was busy then.
        found_s: how long it took until a dead host was found; ``None`` with nobody there to find it.
        false_deaths: how many workers were taken for dead that were not.
        real_s: how long the play took.
    """

    workers: int
    idle_calls: float
    jobs: int
    took_s: float
    least_s: float
    jobs_per_s: float
    calls_per_job: float
    busy: float
    found_s: float | None
    false_deaths: int
    real_s: float


def play(workers: int, calls_per_s: float, limit: str, job_s: float, jobs_each: int) -> Played:
    """Plays one farm.

    Args:
        workers: how many.
        calls_per_s: that its server answers.
        limit: the queue's `maxCallsPerSecond`, as in queue.cfg.
        job_s: how long a job takes.
        jobs_each: how many jobs there are for each worker.
    """
    began = time.perf_counter()
    with new_farm(calls_per_s, f"maxCallsPerSecond = {limit}") as farm:
        server = farm.server
        farm.start(workers, within_s=_COME_S)
        server.go_on(server.time + _SETTLE_S)
        idle = farm.calls_per_s(_IDLE_S)
        calls, busy_s, submitted = server.calls, server.busy_s, server.time
        jobs = workers * jobs_each
        _drain(farm, jobs, job_s)
        took_s = server.time - submitted
        extra = server.calls - calls - idle * took_s
        busy = (server.busy_s - busy_s) / took_s
        found_s = _until_found(farm) if workers > 1 else None
        false_deaths = sum(" is dead: " in words for words in server.said.warnings) - (found_s is not None)
    real_s = time.perf_counter() - began
    least_s = job_s * jobs_each
    return Played(
        workers, idle, jobs, took_s, least_s, jobs / took_s, extra / jobs, busy, found_s, false_deaths, real_s
    )


def _drain(farm: Farm, jobs: int, job_s: float) -> None:
    """Submits jobs, and lets the time pass until all have finished."""
    for first in range(0, jobs, _HIERARCHY):
        root = farm.queue.createJobRoot()
        for _ in range(min(_HIERARCHY, jobs - first)):
            root.createJob(_WORKS, seconds=job_s)
        root.activate()
    done_by = farm.server.time + _LONGEST_S
    while farm.names("index/runnable") or farm.names("index/waiting"):
        assert farm.server.time < done_by, "the jobs come to no end"
        farm.server.go_on(farm.server.time + _STEP_S)


def _until_found(farm: Farm) -> float:
    """Has a host die that runs a job; after how many seconds the others have swept its worker."""
    root = farm.queue.createJobRoot()
    root.createJob(_WORKS, seconds=_LONGEST_S)
    root.activate()
    running: list[str] = []
    while not running:
        farm.server.go_on(farm.server.time + _STEP_S)
        running = [name for name in farm.names("workers") if farm.names(f"workers/{name}/running")]
    died = farm.server.time
    farm.end(int(running[0].partition("-")[0].removeprefix("w")))
    while running[0] in farm.names("workers"):
        farm.server.go_on(farm.server.time + 1.0)
    return farm.server.time - died


def played(plays: Iterable[Played]) -> list[str]:
    """The table of what was played, as lines of Markdown."""
    heads = [
        "workers", "calls/s, all idle", "jobs", "took, s", "jobs alone, s", "jobs/s", "calls a job", "server busy",
        "dead host found, s", "false deaths", "real time, s",
    ]  # fmt: skip
    lines = [_row(heads), _row(["---"] * len(heads))]
    for one in plays:
        cells = [costs.words(one.workers), costs.words(one.idle_calls), costs.words(one.jobs)]
        cells += map(costs.words, (one.took_s, one.least_s, one.jobs_per_s, one.calls_per_job))
        found = "-" if one.found_s is None else costs.words(one.found_s)
        cells += [f"{one.busy:.0%}", found, str(one.false_deaths), f"{one.real_s:,.0f}"]
        lines.append(_row(cells))
    return lines


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


# --- the command line ------------------------------------------------------------------------------------------------


def _calls(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} has to be a number above 0")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} has to be a number of seconds, 0 or more")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has to be a whole number, 1 or more")
    return value


def _counts(text: str) -> list[int]:
    return [_count(size) for size in text.split(",")]


def _limit(text: str) -> str:
    try:
        _config(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.reason) from error
    return text


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description="How many workers and jobs a file server carries."
    )
    parser.add_argument("--calls-per-second", type=_calls, default=5_000.0, metavar="X", help="of the server")
    parser.add_argument(
        "--server", choices=sorted(costs.SERVED), default="nfs4.2", help="whose counts are reckoned with"
    )
    parser.add_argument("--limit", type=_limit, default="auto", help="maxCallsPerSecond of the queue")
    parser.add_argument(
        "--simulate", type=_counts, default=[], metavar="N,N,...", help="play farms of so many workers, too"
    )
    parser.add_argument("--job-seconds", type=_seconds, default=10.0, metavar="S", help="in the plays")
    parser.add_argument("--jobs-each", type=_count, default=3, metavar="N", help="jobs for each worker in the plays")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what was played to a file")
    given = parser.parse_args(argv)
    if given.job_seconds * given.jobs_each >= _LONGEST_S:
        parser.error(f"the jobs of one worker have to end within {_LONGEST_S:g} seconds")
    if given.json is not None:
        try:
            # Now, not when all has been played.
            given.json.open("a").close()
        except OSError as error:
            parser.error(f"argument --json: {error}")
    _say([f"A server with {given.calls_per_second:g} calls a second ({given.server}) carries:", ""])
    _say(reckoned(given.calls_per_second, given.server, given.limit))
    plays: list[Played] = []
    if given.simulate:
        _say(["", "Played on the model share:", "", *played(())])
    for workers in given.simulate:
        plays.append(play(workers, given.calls_per_second, given.limit, given.job_seconds, given.jobs_each))
        _say(played(plays[-1:])[2:])
    if given.json is not None:
        given.json.write_text(json.dumps([one._asdict() for one in plays], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
