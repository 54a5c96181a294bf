"""Measures a directory on a share before one trusts it with a queue.

Looks at the mount and its options, lets several processes race for the same
files, directories and locks, and measures how late one sees what another does,
how far the server's clock is off, and how many calls a second it takes. DIR may
be a queue or any other directory that can be written; nothing is left there.

What two hosts see of each other only two hosts can tell: start the command with
--peer on both, on the same directory. Whichever comes first waits.

The verdict is one of

  full      the queue keeps all that it promises here
  warning   it does, and something is worse than it could be: it says which
  refused   something that the promise rests on does not hold: no place for a
            queue

A mount that is refused by itself is not measured, except with --peer.

Exit code 0: full or warning; 1: refused, or nobody came; 2: no verdict, since it
could not be examined (no such directory, no leave to write there, no room,
trouble of the share), or wrong arguments.

With --json: an object with the keys dir, mount (an object with point, kind,
source, options; null: unknown), host, peer (the other host; null without
--peer), verdict, remarks (an array of objects with level, about, says),
measured (an object with round_trip, entry_delay, beat_delay and clock_offset in
seconds and calls, an object of calls per second; null where it was refused
before that),
settings (poll, beat and deadAfter that suit what was measured, in seconds; null
likewise), written (the path of queue.cfg; null without --write).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobqueue.cli._common import DONE, FAILED, REFUSED, complain, describe, raise_if_no_directory
from jobqueue.cli._output import plain, print_json

if TYPE_CHECKING:
    from jobqueue.doctor.examine import Report
    from jobqueue.share import Share

_WAIT_S = 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", help="a queue, or any directory that can be written")
    parser.add_argument(
        "--peer", action="store_true", help="test this host and another one, where the same was started, together"
    )
    parser.add_argument(
        "--wait", type=_seconds, default=_WAIT_S, metavar="SECONDS",
        help="with --peer: how long to wait for the other (default: 300)",
    )  # fmt: skip
    parser.add_argument(
        "--write", action="store_true",
        help="DIR is a queue: write what suits it into its queue.cfg, unless it is refused, and remove the notes that "
        "have made its dead time longer",
    )  # fmt: skip


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} has to be a number of seconds above 0")
    return value


def run(arguments: argparse.Namespace) -> int:
    import os

    from jobqueue.doctor.examine import STEPS, Extent, NobodyCameError, examine, examine_with_peer
    from jobqueue.mounts import Level
    from jobqueue.share import Share

    share, directory = Share(), os.path.abspath(arguments.dir)
    raise_if_no_directory(share, directory)
    if arguments.write:
        _raise_if_no_queue(share, directory)
    with _bar(len(STEPS)) as on_step:
        try:
            if arguments.peer:
                report = examine_with_peer(
                    share, directory, Extent(), on_step, wait_s=arguments.wait,
                    on_wait=lambda: on_step(0, "waiting for the other host"),
                )  # fmt: skip
            else:
                report = examine(share, directory, Extent(), on_step)
        except NobodyCameError as error:
            complain("jobqueue", error.reason)
            return FAILED
        except OSError as error:
            leave = "; give this user leave to write there, then try again" * isinstance(error, PermissionError)
            complain("jobqueue", f"{describe(error)}{leave}. {directory} was not examined, so there is no verdict")
            return REFUSED
    is_refused = report.verdict is Level.REFUSED
    written = _write(share, directory, report) if arguments.write and not is_refused else None
    if arguments.json:
        print_json(_told(directory, report, written))
    else:
        _print(directory, report, written)
    return FAILED if is_refused else DONE


def _raise_if_no_queue(share: Share, directory: str) -> None:
    from jobqueue.config import read_config
    from jobqueue.layout import QueueLayout

    read_config(share, QueueLayout(directory))


def _write(share: Share, directory: str, report: Report) -> str | None:
    """Writes the settings; the file's path."""
    from jobqueue.config import change_settings
    from jobqueue.layout import QueueLayout
    from jobqueue.names import FALSE_DEATH

    if report.settings is None:
        return None
    layout = QueueLayout(directory)
    change_settings(share, layout, report.settings)
    # They double the dead time for each worker that was taken for dead and was not; it is a measured one from here on.
    for name in share.names(layout.workers):
        if name.endswith(FALSE_DEATH):
            share.try_unlink(f"{layout.workers}/{name}")
    return layout.config


def _told(directory: str, report: Report, written: str | None) -> dict[str, Any]:
    from jobqueue.identity import host_name

    found = report.measured
    mount = report.mount
    return {
        "dir": directory,
        "mount": {**mount._asdict(), "options": list(mount.options)} if mount else None,
        "host": host_name(),
        "peer": report.peer,
        "verdict": report.verdict.name.lower(),
        "remarks": [{**remark._asdict(), "level": remark.level.name.lower()} for remark in report.remarks],
        "measured": found
        and {
            "round_trip": found.delays.round_trip_s,
            "entry_delay": found.delays.entry_s,
            "beat_delay": found.delays.beat_s,
            "clock_offset": found.clock_s,
            "calls": dict(found.calls),
        },
        "settings": report.settings,
        "written": written,
    }


_WORDS = {
    "full": "full: the queue keeps all that it promises here",
    "warning": "supported with a warning: the queue keeps what it promises; what could be better stands above",
    "refused": "refused: this is no place for a queue",
}


def _print(directory: str, report: Report, written: str | None) -> None:
    mount = report.mount
    what = f"{mount.kind} from {mount.source} on {mount.point}" if mount else "an unknown mount"
    print(plain(f"{directory}: {what}"))
    for remark in report.remarks:
        mark = {"full": "ok", "warning": "warning", "refused": "refused"}[remark.level.name.lower()]
        print(f"  {remark.about:<9}  {mark:<7}  {plain(remark.says)}")
    if report.measured:
        calls = ", ".join(f"{name} {number:,.0f}" for name, number in report.measured.calls.items())
        print(f"  calls a second: {calls}")
    if report.settings:
        settings = ", ".join(f"{name} = {value:g}" for name, value in report.settings.items())
        print(f"  settings that suit it: {settings}{f'; written to {written}' if written else ''}")
    print(f"verdict: {_WORDS[report.verdict.name.lower()]}")


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int, str], None]]:
    """A progress bar on the standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _nth, _name: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(40), TextColumn("{task.description}"), TimeElapsedColumn())
    # Nothing is drawn by a thread, since processes are forked meanwhile.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=total)
        yield lambda nth, name: progress.update(task, completed=nth, description=name, refresh=True)
