"""Shows what a job has printed: standard output, standard error, traceback.

Of an item of an array with its frame, or its place from 0 where there are none:

  jobqueue log job100/job3:17

With --follow what it prints is shown as it comes, until the job has ended; a
new attempt is followed, too. An item cannot be followed; without --follow it is
shown what it has printed so far.

What is printed is copied to the share twice a second. Of an item that has ended
it is known how much it was: what a worker has taken with it is named.

With --json: an object with the keys job, state, attempt, stdout, stderr,
traceback (texts, or null where there is none); of an item also missing, how many
bytes more it has printed. With --follow it comes when the job has ended.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from jobqueue.cli._common import DONE, UsageError, add_job, complain, one_item, open_queue
from jobqueue.cli._output import number_of, print_json
from jobqueue.handle import reader_of

if TYPE_CHECKING:
    from jobqueue.handle import JobHandle
    from jobqueue.layout import AttemptLayout
    from jobqueue.share import Share
    from jobqueue.state import Sighting

_BLOCK_BYTES = 1 << 20
_FIRST_S = 0.2
_LONGEST_S = 2.0
_GROWTH = 1.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")
    parser.add_argument("--attempt", type=int, metavar="N", help="of this attempt (default: the latest)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--stdout", action="store_true", help="the standard output alone")
    which.add_argument("--stderr", action="store_true", help="the standard error alone")


def run(arguments: argparse.Namespace) -> int:
    if arguments.follow and arguments.attempt is not None:
        raise UsageError("--follow shows the latest attempt, so it takes no --attempt")
    wanted = [name for name in ("stdout", "stderr") if getattr(arguments, name)] or ["stdout", "stderr", "traceback"]
    if ":" in arguments.job:
        return _run_item(arguments, wanted)
    job = open_queue(arguments).findJob(arguments.job)
    if reader_of(job).node().array is not None:
        raise UsageError(f"{job.name} is an array, whose items have printed; name one: `jobqueue log {job.name}:FRAME`")
    if arguments.follow:
        _follow(job, wanted, quiet=arguments.json)
    if not arguments.follow or arguments.json:
        _show(job, arguments, wanted)
    return DONE


def _run_item(arguments: argparse.Namespace, wanted: list[str]) -> int:
    """The same for an item of an array, which shares its files with others of its chunk."""
    if arguments.follow:
        raise UsageError("--follow is for jobs, not for items; without it is shown what the item has printed so far")
    from jobqueue.itemreader import Printed

    item = one_item(open_queue(arguments), arguments.job)
    texts = item.reader.printed(item.index, arguments.attempt)
    if texts is None:
        if arguments.attempt is not None:
            raise UsageError(f"{item.name} has no attempt {arguments.attempt}; `jobqueue show {item.name}` lists them")
        texts = Printed(0, {})
    if arguments.json:
        shown = {name: text.decode("utf-8", "replace") for name, text in texts.texts.items()}
        whole = {name: shown.get(name) if name in wanted else None for name in ("stdout", "stderr", "traceback")}
        told = {"job": item.name, "state": item.state.value, "attempt": texts.attempt, **whole}
        print_json({**told, "missing": texts.missing})
        return DONE
    some = {name: texts.texts[name] for name in wanted if texts.texts.get(name)}
    for name, text in some.items():
        if len(some) > 1:
            _heading(name)
        _write(text)
    if texts.missing:
        with_it = f"were lost with the worker {texts.lost_with}" if texts.lost_with else "have not been copied yet"
        complain("jobqueue", f"{number_of(texts.missing, 'byte')} that {item.name} has printed {with_it}")
    elif not some:
        complain("jobqueue", f"{item.name} is {item.state.value} and has printed nothing")
    return DONE


class _Text:
    """What one attempt has printed, as far as it has been read.

    Args:
        share: to read with.
        files: of the attempt.
        wanted: the names of its files.
    """

    def __init__(self, share: Share, files: AttemptLayout, wanted: list[str]) -> None:
        self._share = share
        self._files = files
        self._read = dict.fromkeys(wanted, 0)

    def exists(self) -> bool:
        return self._share.names_or_none(self._files.dir) is not None

    def new(self, name: str, *, limit: int = _BLOCK_BYTES) -> bytes:
        """The next piece of one of the files; empty if there is none yet.

        NFS: a name that was missing once may stay missing, so what a listing does not show is not opened.
        """
        if not self._share.has(self._files.dir, name):
            return b""
        piece = self._share.read_part(f"{self._files.dir}/{name}", self._read[name], limit)
        self._read[name] += len(piece)
        return piece

    def all(self, name: str) -> str | None:
        """The whole of one of the files; ``None`` if it is not wanted or not there."""
        if name not in self._read or not self._share.has(self._files.dir, name):
            return None
        return b"".join(iter(lambda: self.new(name), b"")).decode("utf-8", "replace")


def _text(job: JobHandle, attempt: int, wanted: list[str]) -> _Text:
    reader = reader_of(job)
    return _Text(reader.store.share, reader.job.attempt(reader.place, attempt), wanted)


# --- once ------------------------------------------------------------------------------------------------------------


def _show(job: JobHandle, arguments: argparse.Namespace, wanted: list[str]) -> None:
    seen = reader_of(job).look()
    attempt = seen.attempt if arguments.attempt is None else arguments.attempt
    text = _text(job, attempt, wanted)
    if arguments.attempt is not None and not text.exists():
        raise UsageError(f"{job.name} has no attempt {attempt}; `jobqueue show {job.name}` lists those that it has")
    if arguments.json:
        texts = {name: text.all(name) for name in ("stdout", "stderr", "traceback")}
        print_json({"job": job.name, "state": seen.state.value, "attempt": attempt, **texts})
        return
    first = {name: text.new(name) for name in wanted}
    with_heading = sum(map(bool, first.values())) > 1
    for name, begin in first.items():
        if begin and with_heading:
            _heading(name)
        piece = begin
        while piece:
            _write(piece)
            piece = text.new(name)
    if not any(first.values()):
        complain("jobqueue", f"{job.name} is {seen.state.value} and has printed nothing")


def _heading(name: str) -> None:
    print(f"==> {name} <==", flush=True)


def _write(piece: bytes) -> None:
    """As it was printed, in whatever encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


# --- as it comes -----------------------------------------------------------------------------------------------------


def _follow(job: JobHandle, wanted: list[str], *, quiet: bool) -> None:
    """Writes what comes until the job has ended; with ``quiet`` only waits for that."""
    clock = reader_of(job).store.share.clock
    attempt, text, last, pause_s = 0, None, "", _FIRST_S
    while True:
        # Order matters: what is read after the job was seen ended is all that there is.
        seen: Sighting = reader_of(job).look()
        came = False
        if seen.attempt > attempt:
            if attempt and not quiet:
                print(f"==> attempt {seen.attempt} <==", flush=True)
            attempt, last = seen.attempt, ""
            text = _text(job, attempt, wanted)
        if text is not None and not quiet:
            for name in wanted:
                while piece := text.new(name):
                    came = True
                    if last not in ("", name):
                        _heading(name)
                    last = name
                    _write(piece)
        if seen.has_ended:
            return
        pause_s = _FIRST_S if came else min(_LONGEST_S, pause_s * _GROWTH)
        clock.sleep(pause_s)
