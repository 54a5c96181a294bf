"""Waiting for jobs with something to look at, and what is said at the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobqueue.cli._common import DONE, FAILED, TIMED_OUT, command_line, complain
from jobqueue.cli._output import number_of, plain, print_json
from jobqueue.handle import reader_of
from jobqueue.waiting import Outcome, View, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobqueue.handle import JobHandle
    from jobqueue.state import Sighting

_STEP = 10  # percent between two lines where there is no terminal
_MANY = 10

_Show = Callable[[list[View]], None]


def watch(
    arguments: argparse.Namespace,
    jobs: list[JobHandle],
    timeout_s: float | None,
    *,
    extra: dict[str, Any] | None = None,
) -> int:
    """Waits, shows how far all is on the standard error, and names what has failed.

    Args:
        arguments: the command's.
        jobs: one or more.
        timeout_s: seconds, or ``None`` for ever.
        extra: with --json: answer for the one job with an object that has these keys, too.

    Returns:
        The exit code.
    """
    try:
        with _bar() if sys.stderr.isatty() else _lines() as show:
            views = wait_for(jobs, timeout_s=timeout_s, on_look=show)
    except KeyboardInterrupt:
        again = command_line(arguments, "wait", *(job.name for job in jobs))
        complain("jobqueue", f"not waiting any more; the jobs go on, `{again}` waits again")
        raise
    if arguments.json:
        told = [_told(arguments, view) for view in views]
        print_json(told if extra is None else {**extra, **told[0]})
    for view in views:
        _say_end(arguments, view)
    if any(view.outcome in (Outcome.STALLED, Outcome.CANCELLED, Outcome.DELETED) for view in views):
        return FAILED
    return TIMED_OUT if any(view.outcome is Outcome.OPEN for view in views) else DONE


def _say_end(arguments: argparse.Namespace, view: View) -> None:
    name, failed = view.job.name, view.failures
    if view.outcome is Outcome.FINISHED:
        return
    if view.outcome is Outcome.OPEN:
        complain(
            "jobqueue", f"the time is up; {name} goes on: {view.finished} of {number_of(view.total, 'job')} finished"
        )
        return
    if view.outcome is not Outcome.STALLED:
        complain("jobqueue", f"{name} was {view.outcome.value}")
        return
    verb = "has" if failed == 1 else "have"
    complain("jobqueue", f"{name} is stalled: {failed} of {number_of(view.total, 'job')} {verb} failed")
    for told in _failures(arguments, view, _MANY):
        label = f" ({told['label']})" if told["label"] else ""
        print(f"  {told['job']}{plain(label)}: {plain(told['error'])}\n    {told['log']}", file=sys.stderr)
    if len(view.failed) > _MANY:
        more = command_line(arguments, "tree", name)
        print(f"  and {len(view.failed) - _MANY} more; `{more}` shows all", file=sys.stderr)
    again = command_line(arguments, "retry", name.partition("/")[0])
    print(f"`{again}` runs what has failed again.", file=sys.stderr)


def _told(arguments: argparse.Namespace, view: View) -> dict[str, Any]:
    return {
        "job": view.job.name, "outcome": view.outcome.value, "total": view.total, "finished": view.finished,
        "running": view.running, "failed": _failures(arguments, view, None),
    }  # fmt: skip


def _error(job: JobHandle, seen: Sighting) -> tuple[str, str]:
    """What went wrong with a failed job, in one line, and whose log tells more: of an array its first such item's."""
    from jobqueue.state import JobState

    if seen.items is None:
        return str((reader_of(job).record(seen) or {}).get("error", "record lost")), job.name
    count = dict(seen.items)[JobState.FAILED]
    first = next(iter(job.listItems(JobState.FAILED)), None)
    if first is None:
        return "tried again just now", job.name
    return f"{number_of(count, 'item')} failed, {first.name} with {first.error}", first.name


def _failures(arguments: argparse.Namespace, view: View, limit: int | None) -> list[dict[str, Any]]:
    """What is said of the first failed jobs."""
    from jobqueue.handle import JobHandle

    if not view.failed:
        return []
    top = view.job
    reader = reader_of(top)
    hierarchy = reader.hierarchy()
    seen = reader.scan()
    found = []
    for number in view.failed[:limit]:
        node = hierarchy.node(number)
        job = JobHandle(reader.queue, reader.number, number, node.place)
        error, name = _error(job, seen[number])
        log = command_line(arguments, "log", name)
        found.append({"job": job.name, "label": node.label, "error": error, "log": log})
    return found


# --- while it goes on ------------------------------------------------------------------------------------------------


def _counts(views: list[View]) -> tuple[int, int, int, int]:
    """How many jobs there are, have finished, run, and have failed."""
    return (
        sum(view.total for view in views),
        sum(view.finished for view in views),
        sum(view.running for view in views),
        sum(view.failures for view in views),
    )


@contextmanager
def _lines() -> Iterator[_Show]:
    """A line now and then."""
    told = -1

    def show(views: list[View]) -> None:
        nonlocal told
        total, finished, running, failed = _counts(views)
        step = 100 * finished // max(1, total) // _STEP
        if step != told:
            told = step
            bad = f", {failed} failed" if failed else ""
            print(
                f"{finished} of {number_of(total, 'job')} finished, {running} running{bad}", file=sys.stderr, flush=True
            )

    yield show


@contextmanager
def _bar() -> Iterator[_Show]:
    """A progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(40), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        task = progress.add_task("", total=None)

        def show(views: list[View]) -> None:
            total, finished, running, failed = _counts(views)
            bad = f", {failed} failed" if failed else ""
            progress.update(task, total=total, completed=finished, description=f"{running} running{bad}", refresh=True)

        yield show
