"""What all commands share: the queue, the names of jobs, errors in one sentence, and exit codes."""

from __future__ import annotations

import argparse
import errno
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from jobqueue.errors import BrokenJobError, JobQueueError, LostRaceError, how_to_mend
from jobqueue.names import HIERARCHY, QUEUE_VARIABLE, base_name, parse_job_number

if TYPE_CHECKING:
    from jobqueue.handle import JobHandle
    from jobqueue.item import ItemHandle, Selection
    from jobqueue.queue import JobQueue
    from jobqueue.share import Share
    from jobqueue.store import Store

DONE = 0
FAILED = 1
REFUSED = 2
TIMED_OUT = 124
INTERRUPTED = 128 + 2  # SIGINT
CLOSED_PIPE = 128 + 13  # SIGPIPE


class UsageError(JobQueueError):
    """What was asked for makes no sense; nothing was done."""


# --- arguments -------------------------------------------------------------------------------------------------------


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that may stand before a subcommand as well as after it."""
    # Suppressed, so that what follows the subcommand does not set back what stood before it.
    queue = parser.add_argument(
        "-q", "--queue", metavar="DIR", default=argparse.SUPPRESS, help="the queue (default: $JOBQUEUE_QUEUE)"
    )
    queue.completer = _completer("directories")  # type: ignore[attr-defined]  # argcomplete's way
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON")


def add_job(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """The job, or jobs, that a command is about: ``arguments.job``."""
    argument = parser.add_argument(
        "job", metavar="JOB", nargs="+" if several else None, help="for example job100 or job100/job3"
    )
    argument.completer = _completer("jobs")  # type: ignore[attr-defined]


def _completer(name: str) -> Callable[..., list[str]]:
    def complete(**context: Any) -> list[str]:
        from jobqueue.cli import _complete

        found: list[str] = getattr(_complete, name)(**context)
        return found

    return complete


def end_of_parsing(prog: str, message: str) -> NoReturn:
    """Says what is wrong with the arguments, in one sentence, and ends."""
    sys.stderr.write(f"{prog}: {message}; `{prog} --help` tells more\n")
    raise SystemExit(REFUSED)


# --- the queue -------------------------------------------------------------------------------------------------------


def queue_location(named: str | None, how: str = "give one with --queue DIR") -> str:
    """The queue's directory: the one that was named, or else the environment's.

    Args:
        named: by the user, if he did.
        how: to name one, in words.

    Raises:
        UsageError: there is neither.
    """
    location = named or os.environ.get(QUEUE_VARIABLE)
    if not location:
        raise UsageError(f"no queue is named; {how}, or set JOBQUEUE_QUEUE")
    return location


def open_store(arguments: argparse.Namespace) -> Store:
    """The parts of the queue, for commands that list them."""
    from jobqueue.store import Store

    return Store(queue_location(arguments.queue))


def open_queue(arguments: argparse.Namespace) -> JobQueue:
    """The queue."""
    from jobqueue.queue import JobQueue

    return JobQueue(queue_location(arguments.queue))


def raise_if_no_directory(share: Share, path: str) -> None:
    """For commands that take any directory.

    Raises:
        UsageError: it is none; the message says what it is.
    """
    if share.is_dir(path):
        return
    try:
        is_file = share.is_file_instead(path)
    except OSError as error:
        raise UsageError(describe(error)) from error
    what = "this is a file; name a directory" if is_file else "there is no such directory; make it first"
    raise UsageError(f"{path}: {what}")


def command_line(arguments: argparse.Namespace, *words: str) -> str:
    """The next command to type, with the queue where it was typed this time."""
    queue = ["-q", arguments.queue] if arguments.queue else []
    return shlex.join(["jobqueue", *queue, *words])


# --- errors ----------------------------------------------------------------------------------------------------------


# What to do about an error of the share that does not say so itself.
_NEXT = {
    errno.ENOSPC: "make room there, then try again",
    errno.EDQUOT: "make room within the quota, then try again",
    errno.EISDIR: "it is in the place of a file; move it away, then try again",
    errno.EROFS: "mount it so that it can be written, then try again",
}


def complain(prog: str, text: str) -> None:
    """Says on the standard error what is wrong, in one line."""
    print(f"{prog}: {'; '.join(line.strip() for line in text.splitlines())}", file=sys.stderr)


def exit_code(error: JobQueueError | OSError) -> int:
    """2 for what cannot be asked for, 1 for what was asked for and went wrong."""
    if isinstance(error, JobQueueError):
        # The base class itself is raised where others moved the job at every try.
        went_wrong = isinstance(error, BrokenJobError | LostRaceError) or type(error) is JobQueueError
        return FAILED if went_wrong else REFUSED
    return FAILED


def describe(error: JobQueueError | OSError) -> str:
    """An error in one sentence."""
    if isinstance(error, BrokenJobError) and error.path and base_name(error.path) == HIERARCHY:
        number = parse_job_number(base_name(os.path.dirname(error.path)))
        return f"{error}; {how_to_mend(number)}"
    if isinstance(error, JobQueueError) or error.strerror is None:
        return str(error)
    reason = f"{error.strerror}; {_NEXT[error.errno]}" if error.errno in _NEXT else error.strerror
    return f"{error.filename}: {reason}" if error.filename else reason


def with_remedy(arguments: argparse.Namespace, error: JobQueueError | OSError) -> JobQueueError | OSError:
    """The error; or, where a file lies in the place of a directory of the queue, one that says which, and what helps.

    What the system says names whatever was looked for below it, or both sides of a rename.
    """
    location = arguments.queue or os.environ.get(QUEUE_VARIABLE)
    if not isinstance(error, NotADirectoryError) or not location:
        return error
    from jobqueue.layout import QueueLayout
    from jobqueue.share import Share

    layout, share = QueueLayout(os.path.abspath(location)), Share()
    with suppress(OSError):
        for path in layout.directories():
            if share.is_file_instead(path):
                remedy = command_line(arguments, "check", "--repair")
                return JobQueueError(f"it is not a directory; `{remedy}` mends it", path)
    return error


@contextmanager
def as_usage_errors() -> Iterator[None]:
    """What a procedure's constructor says of its parameters is said of the command's arguments."""
    try:
        yield
    except JobQueueError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error


def guarded(prog: str, call: Callable[[], int]) -> int:
    """Runs a command; whatever goes wrong becomes one sentence and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A label may hold what the terminal's encoding has no word for.
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            code = call()
        except SystemExit as end:
            # argparse has said what there was to say.
            code = end.code if isinstance(end.code, int) else DONE
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has seen enough. What is left in the buffer must not be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except (JobQueueError, OSError) as error:
        complain(prog, describe(error))
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED


# --- jobs ------------------------------------------------------------------------------------------------------------


def items_of(queue: JobQueue, name: str) -> Selection:
    """The items of a name such as ``job100/job3:17-25``."""
    from jobqueue.queue import items_named

    with as_usage_errors():
        return items_named(queue, name)


def one_item(queue: JobQueue, name: str) -> ItemHandle:
    """The item of a name such as ``job100/job3:17``.

    Raises:
        UsageError: it names several.
    """
    items = items_of(queue, name)
    if len(items) > 1:
        raise UsageError(f"{name} are {len(items)} items; name one")
    return items.handles()[0]


def for_each_job(
    arguments: argparse.Namespace,
    act: Callable[[JobHandle], str],
    act_on_items: Callable[[Selection], str] | None = None,
) -> int:
    """Does something to each job of ``arguments.job``; one that it cannot be done to does not keep it from the others.

    Args:
        arguments: the command's.
        act: does it, and returns what has become of the job, in words.
        act_on_items: does it to some items of an array; ``None``: it cannot be done to those.

    Returns:
        The exit code: the highest of all.

    Raises:
        JobNotFoundError: a name is no job's; nothing was done to any.
    """
    queue = open_queue(arguments)
    todo: list[tuple[str, Callable[[], str]]] = []
    for name in arguments.job:
        if act_on_items is not None and ":" in name:
            todo.append((name, partial(act_on_items, items_of(queue, name))))
        else:
            job = queue.findJob(name)
            todo.append((job.name, partial(act, job)))
    worst, told = DONE, []
    for name, do in todo:
        try:
            text = do()
        except (JobQueueError, OSError) as error:
            text = describe(with_remedy(arguments, error))
            worst = max(worst, exit_code(error))
            complain("jobqueue", f"{name}: {text}")
            told.append({"job": name, "ok": False, "text": text})
        else:
            told.append({"job": name, "ok": True, "text": text})
            if not arguments.json:
                print(f"{name} {text}")
    if arguments.json:
        from jobqueue.cli._output import print_json

        print_json(told)
    return worst
