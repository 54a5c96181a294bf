"""What is shown of long work whose end nobody knows: how much is done, and for how long it goes on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobqueue.cli._common import command_line, complain
from jobqueue.clock import Clock

if TYPE_CHECKING:
    from jobqueue.handle import JobHandle

# What is over before this is shown nothing of.
_QUIET_S = 1.0


@contextmanager
def counting() -> Iterator[Callable[[str], None]]:
    """A line on the standard error, where that is a terminal, that says how much is done."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    clock = Clock()
    begins = clock.monotonic() + _QUIET_S
    columns = (TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("", total=None)

    def show(text: str) -> None:
        progress.update(task, description=text)
        if not progress.live.is_started and clock.monotonic() >= begins:
            progress.start()

    try:
        yield show
    finally:
        progress.stop()


@contextmanager
def removing(
    arguments: argparse.Namespace, job: JobHandle, done: str, show: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """Shows how the directory of a job is removed that has no entry any more.

    Whoever does not want to wait for that breaks it off: it is left to a worker then.

    Args:
        arguments: the command's.
        job: a top-level job.
        done: what has been done to it, in words, as soon as the first name is removed.
        show: as `counting` gives it.
    """
    count = 0

    def removed() -> None:
        nonlocal count
        count += 1
        show(f"{job.name} {done}; removing its files (Ctrl-C leaves that to a worker): {count}")

    try:
        yield removed
    except KeyboardInterrupt:
        if count:
            complain("jobqueue", f"{job.name} {done}; {_who_goes_on(arguments, job)} removes the rest of its files")
        raise


def _who_goes_on(arguments: argparse.Namespace, job: JobHandle) -> str:
    from jobqueue import control
    from jobqueue.handle import reader_of

    worker = control.hand_on(reader_of(job).queue, reader_of(job).number)
    return f"worker {worker}" if worker else f"`{command_line(arguments, arguments.command, job.name)}`"
