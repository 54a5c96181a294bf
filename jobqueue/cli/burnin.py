"""Torments a queue on a share for some minutes, and looks whether it keeps its promise there.

Makes a queue of its own in DIR/burnin, submits hierarchies, starts real workers,
and kills them (SIGKILL), stops and continues them (SIGSTOP, SIGCONT) by a plan
that the seed gives. In that queue a worker counts as dead after seconds, so that
workers are also taken for dead that are not. At the end it waits until everything
has finished, and reports what was committed twice, what was lost, and how long it
took until a job that was hit was begun again. Then it removes DIR/burnin, unless
something was found.

Start the same with --join on further hosts while it runs: each adds workers of
its own, and torments them, too.

SIGTERM, SIGHUP and Ctrl-C end it in order: its workers are ended, and DIR/burnin
is removed. If it is killed, its workers are ended, too, and DIR/burnin stays.

Exit code 0: sound; 1: something was found; 2: there is a burn-in already, or
none to join, wrong arguments; 130, 143, 129: ended by Ctrl-C, SIGTERM, SIGHUP.

With --json: an object with the keys dir, seed, seconds, hosts (an array),
hierarchies, jobs, executions, finished, kills, stops, false_deaths (workers that
were taken for dead and were not), committed_twice, lost, failed, other (arrays
of texts), ended_badly (workers that ended by themselves, or did not when they
were told to), recovery (an object: for kill, stop and stop supervisor an object
with jobs, median and longest, in seconds; null where none was hit), sound, left
(the directory; null if it was removed). With --join: an object with the keys dir,
kills, stops.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobqueue.cli._common import DONE, FAILED, UsageError, raise_if_no_directory
from jobqueue.cli._output import how_long, number_of, plain, print_json

if TYPE_CHECKING:
    from jobqueue.burnin.run import Look, Report
    from jobqueue.burnin.victims import Struck

_MANY = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", help="a directory on the share, in which burnin/ is made")
    parser.add_argument("--minutes", type=_minutes, metavar="N", help="how long to torment workers (default: 2)")
    parser.add_argument("--jobs", type=_count, metavar="N", help="end when so many jobs are done, if that is earlier")
    parser.add_argument("--workers", type=_count, metavar="N", help="how many each host starts (default: 3)")
    parser.add_argument("--slots", type=_count, metavar="N", help="jobs that each worker runs at once (default: 2)")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of all that is left to chance (default: another each time)"
    )
    parser.add_argument("--join", action="store_true", help="take part in a burn-in that another host has begun in DIR")
    parser.add_argument("--keep", action="store_true", help="leave DIR/burnin there")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has to be a whole number, 1 or more")
    return int(text)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} has to be a number of minutes above 0")
    return value


def run(arguments: argparse.Namespace) -> int:
    import os

    from jobqueue.burnin.run import join, lead
    from jobqueue.share import Share

    share, directory = Share(), os.path.abspath(arguments.dir)
    raise_if_no_directory(share, directory)
    given = {name: value for name in ("minutes", "jobs", "workers", "slots", "seed")
             if (value := getattr(arguments, name)) is not None}  # fmt: skip
    if arguments.join:
        if given or arguments.keep:
            raise UsageError(
                "with --join everything is as the host says that has begun the burn-in; give no other option"
            )
        with _ending_in_order(), _bar() as on_look:
            struck = join(share, directory, on_look)
        return _tell_joined(arguments, directory, struck)
    plan = _plan(share.chance.getrandbits(32), given)
    with _ending_in_order(), _bar() as on_look:
        report = lead(share, directory, plan, on_look, is_kept=arguments.keep)
    if arguments.json:
        print_json(_told(directory, report))
    else:
        _print(directory, report)
    return DONE if report.is_sound else FAILED


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Has SIGTERM and SIGHUP end what runs meanwhile as Ctrl-C does, with an exit code of their own."""
    # What was ignored for us (nohup) stays ignored.
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    came: list[int] = []

    def end(number: int, _frame: object) -> None:
        # Once is enough: another one would break off the clearing up.
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        came.append(number)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    except OSError:
        if came:
            # A terminal that was closed takes no last picture of the bar.
            raise SystemExit(128 + came[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _plan(seed: int, given: dict[str, Any]) -> Any:
    from jobqueue.burnin.plan import Plan

    return Plan(**{"seed": seed, **given})


def _kills_and_stops(struck: Sequence[Struck]) -> tuple[int, int]:
    kills = sum(blow.action == "kill" for blow in struck)
    return kills, len(struck) - kills


def _tell_joined(arguments: argparse.Namespace, directory: str, struck: Sequence[Struck]) -> int:
    kills, stops = _kills_and_stops(struck)
    if arguments.json:
        print_json({"dir": directory, "kills": kills, "stops": stops})
    else:
        print(f"{number_of(kills, 'kill')} and {number_of(stops, 'stop')} here; the host that has begun it reports")
    return DONE


def _told(directory: str, report: Report) -> dict[str, Any]:
    from jobqueue.burnin.findings import median_and_longest

    kills, stops = _kills_and_stops(report.blows)
    tally = report.tally
    recovery = {}
    for action, times_s in tally.recoveries_s.items():
        spans = median_and_longest(times_s)
        recovery[action] = spans and {"jobs": len(times_s), "median": spans[0], "longest": spans[1]}
    return {
        "dir": directory, "seed": report.plan.seed, "seconds": report.seconds, "hosts": report.hosts,
        "hierarchies": tally.hierarchies, "jobs": tally.jobs, "executions": tally.executions,
        "finished": tally.finished, "kills": kills, "stops": stops, "false_deaths": report.false_deaths,
        "committed_twice": tally.twice, "lost": tally.lost, "failed": tally.failed, "other": tally.other,
        "ended_badly": report.ended_badly, "recovery": recovery, "sound": report.is_sound, "left": report.place,
    }  # fmt: skip


def _print(directory: str, report: Report) -> None:
    from jobqueue.burnin.findings import median_and_longest

    tally, plan = report.tally, report.plan
    kills, stops = _kills_and_stops(report.blows)
    print(
        f"{plain(directory)}: {how_long(report.seconds)} with {number_of(plan.workers, 'worker')} on each of "
        f"{number_of(len(report.hosts), 'host')} ({', '.join(report.hosts)}), seed {plan.seed}"
    )
    print(
        f"  {number_of(tally.jobs, 'job')} in {number_of(tally.hierarchies, 'top-level job')}, "
        f"{tally.finished} finished, {number_of(tally.executions, 'execution')}"
    )
    print(
        f"  {number_of(kills, 'kill')}, {number_of(stops, 'stop')}, "
        f"{number_of(report.false_deaths, 'worker')} taken for dead that lived"
    )
    for action, times_s in tally.recoveries_s.items():
        if spans := median_and_longest(times_s):
            median, longest = map(how_long, spans)
            print(
                f"  begun again after a {action}: {number_of(len(times_s), 'job')}, median {median}, longest {longest}"
            )
    found_in = {
        "committed twice": tally.twice, "lost": tally.lost, "failed": tally.failed, "found by check": tally.other,
    }  # fmt: skip
    for word, found in found_in.items():
        print(f"  {word}: {len(found)}")
        for text in found[:_MANY]:
            print(f"    {plain(text)}")
    if report.ended_badly:
        print(f"  {number_of(report.ended_badly, 'worker')} ended badly; their logs tell why")
    left = f"; it is left in {report.place}" if report.place else ""
    print(f"verdict: {'sound' if report.is_sound else 'not sound'}{left}")


@contextmanager
def _bar() -> Iterator[Callable[[Look], None]]:
    """A progress bar on the standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _look: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(40), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda look: progress.update(task, completed=look.part, description=look.words)
