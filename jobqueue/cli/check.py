"""Looks whether a queue is sound, at rest or while workers are busy in it, and repairs it.

Says what is wrong, where, and what a repair would do. A plain look changes
nothing; --repair does what it says, may be broken off at any time, and may be
run beside living workers. What is set aside goes to trash/.

Notes are no findings: something is left over from a crash, or the record of a
result is lost. What is left over is removed by --repair when it is a day old.

Of an archive the index is read, and not the files in it: `unzip -t` does that.

Exit code 0: the queue is sound; 1: something is wrong with it, or still is
after --repair; 2: this is no queue, or one of another format.

With --json: an array of objects, one for each finding and note, with the keys
kind, job (null: the queue itself), path, says, repair (in words; null: there is
none), repaired (true, false; null without --repair), note (true or false).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobqueue.cli._common import DONE, FAILED, command_line, open_store
from jobqueue.cli._output import number_of, plain, print_json

if TYPE_CHECKING:
    from jobqueue.check.audit import Report

_Progress = Callable[[int, int], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repair", action="store_true", help="repair what can be repaired")


def run(arguments: argparse.Namespace) -> int:
    from jobqueue.check.audit import audit, repair

    store = open_store(arguments)
    with _bar() as progress:
        report = repair(store, progress) if arguments.repair else audit(store, progress)
    rows = _rows(report, is_repair=arguments.repair)
    if arguments.json:
        print_json(rows)
    else:
        for row in rows:
            print("\n  ".join(_lines(row)))
        print(_summary(arguments, report, rows))
    return DONE if report.is_sound else FAILED


def _rows(report: Report, *, is_repair: bool) -> list[dict[str, Any]]:
    left = {finding.key for finding in report.left}
    return [
        {
            "kind": finding.kind,
            "job": finding.job,
            "path": finding.path,
            "says": finding.says,
            "repair": finding.cure.words if finding.cure else None,
            "repaired": finding.key not in left if is_repair else None,
            "note": finding.is_note,
        }
        for finding in report.found
    ]


def _lines(row: dict[str, Any]) -> Iterator[str]:
    note = "note: " if row["note"] else ""
    yield f"{note}{row['job'] or 'queue'}: {plain(row['says'])} ({row['kind']})"
    yield plain(row["path"])
    if row["repair"]:
        yield f"{'repaired' if row['repaired'] else 'repair'}: {plain(row['repair'])}"


def _summary(arguments: argparse.Namespace, report: Report, rows: list[dict[str, Any]]) -> str:
    notes = sum(row["note"] for row in rows)
    said = [number_of(len(rows) - notes, "finding")] if len(rows) > notes else []
    said += [number_of(notes, "note")] if notes else []
    if arguments.repair and said:
        said.append(f"{sum(row['repaired'] for row in rows)} repaired")
    text = f"{number_of(report.jobs, 'job')}: {', '.join(['sound' if report.is_sound else 'not sound', *said])}"
    if not arguments.repair and any(row["repair"] for row in rows):
        text += f"; `{command_line(arguments, 'check', '--repair')}` does what it says under repair"
    return text


@contextmanager
def _bar() -> Iterator[_Progress]:
    """A progress bar on the standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(40), MofNCompleteColumn(), TextColumn("jobs"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
