"""Runs the jobs of a queue: a worker, until it is ended.

SIGTERM or Ctrl-C once: what runs is finished, nothing new is begun. Twice:
what runs is ended and given back.

On a terminal it shows what each slot does; elsewhere it writes a line for each
event.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from jobqueue import __version__
from jobqueue.cli._common import UsageError, _completer, end_of_parsing, guarded, queue_location

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        end_of_parsing(self.prog, message)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = _Parser(
        prog="runjobs", description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    queue = parser.add_argument("queue", metavar="QUEUE", nargs="?", help="the queue (default: $JOBQUEUE_QUEUE)")
    queue.completer = _completer("directories")  # type: ignore[attr-defined]
    parser.add_argument("--slots", type=_count, metavar="N", help="jobs at once (default: the number of usable cores)")
    parser.add_argument("--exit-when-empty", action="store_true", help="end when nothing is runnable or running")
    parser.add_argument("--max-jobs", type=_count, metavar="N", help="end after so many jobs, or chunks of arrays")
    parser.add_argument(
        "--poll", type=_seconds, metavar="SECONDS", help="between looks when idle (default: the queue's setting, 1)"
    )
    parser.add_argument("--name", default="runjobs", help="what people call this worker (default: %(default)s)")
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quiet", action="store_true", help="only warnings and errors")
    how_much.add_argument("--verbose", action="store_true", help="also what is of use when something is odd")
    parser.add_argument("--log", metavar="FILE", help="append the lines to a file")
    parser.add_argument("--version", action="version", version=f"runjobs {__version__}")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has to be a whole number, 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} has to be a number of seconds above 0")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; its exit code."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(build_parser(), always_complete_options=False)
    return guarded("runjobs", lambda: _work(build_parser().parse_args(argv)))


def _work(arguments: argparse.Namespace) -> int:
    from jobqueue.mounts import warning_about
    from jobqueue.store import Store
    from jobqueue.worker.crew import WorkerSettings
    from jobqueue.worker.supervisor import Supervisor, usable_cores

    location = queue_location(arguments.queue, "give it after runjobs")
    with _log(arguments) as log:
        store = Store(location, log=log)
        store.procedures.check_built_in()
        settings = WorkerSettings(
            slots=arguments.slots or usable_cores(),
            poll_s=arguments.poll or store.config.poll_s,
            exit_when_empty=arguments.exit_when_empty,
            max_jobs=arguments.max_jobs,
        )
        if warning := warning_about(store.share.mount(store.layout.dir), store.layout.dir):
            log.warning("%s", warning)
        if not sys.stderr.isatty() or arguments.quiet:
            return Supervisor(store, arguments.name, settings).run()
        from jobqueue.cli._slots import SlotsView

        with SlotsView(store.share.clock, log, has_log_file=arguments.log is not None) as show:
            return Supervisor(store, arguments.name, settings, show).run()


@contextmanager
def _log(arguments: argparse.Namespace) -> Iterator[logging.Logger]:
    """A log of this worker's own, to the standard error or a file."""
    level = logging.WARNING if arguments.quiet else logging.DEBUG if arguments.verbose else logging.INFO
    # Not a registered one: what libraries log is not this worker's.
    log = logging.Logger("runjobs", level)  # noqa: LOG001
    handler: logging.Handler
    if arguments.log is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        try:
            handler = logging.FileHandler(arguments.log, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise UsageError(f"--log {arguments.log}: {error.strerror}") from error
    handler.setFormatter(logging.Formatter(_FORMAT))
    log.addHandler(handler)
    try:
        yield log
    finally:
        handler.close()


if __name__ == "__main__":
    sys.exit(main())
