"""What the jobs do: the same for every peer, imported by the workers of each.

Each job appends its number to a file on tmpfs, 8 bytes in one `write`: about a microsecond, so it is done in the runs
that are timed as well, and every execution is counted in all of them.

Files:
    In the directory that the environment variable names: ``tally``, a line for each execution; ``arrived``, a line for
    each job at the gate; ``begun``, a line for each start of a job that is killed; ``loaded``, see `stamp`; ``gate``,
    locked by whoever keeps it shut.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "JOBQUEUE_BENCH_FOLDER"
LINE_BYTES = 8

_open: dict[str, int] = {}


def _append(name: str, line: bytes) -> None:
    """Appends to a file that stays open; one `write`, so that lines of several processes do not mix."""
    if name not in _open:
        _open[name] = os.open(Path(os.environ[VARIABLE]) / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(_open[name], line)


def noop(number: int) -> None:
    """Does nothing but being counted."""
    _append("tally", b"%07d\n" % number)


def true(number: int) -> None:
    """Runs the command `true`, where a peer has no jobs that are commands."""
    subprocess.run(["true"], check=True)
    noop(number)


def busy(number: int, turns: int) -> None:
    """Keeps a processor busy, always with the same work."""
    for _ in range(turns):
        pass
    noop(number)


def parent(number: int, leaves: int) -> None:
    """A no-op that fails if one of the jobs that it depends on, numbered just below it, was not executed before."""
    found = set((Path(os.environ[VARIABLE]) / "tally").read_bytes().split())
    missing = [leaf for leaf in range(number - leaves, number) if b"%07d" % leaf not in found]
    if missing:
        raise AssertionError(f"{len(missing)} sub-jobs have not run, {missing[0]} for one")
    noop(number)


def gate(number: int) -> None:
    """Keeps its worker until the gate is opened: then all workers are there, and have nothing to do."""
    with _gate() as wait:
        _append("arrived", b"%07d\n" % number)
        wait()


def victim(number: int) -> None:
    """Says which process runs it and since when, and stays until the gate is opened."""
    with _gate() as wait:
        _append("begun", b"%d %f\n" % (os.getpid(), time.monotonic()))
        wait()
    noop(number)


@contextmanager
def _gate() -> Iterator[Callable[[], None]]:
    """Gives what waits until the gate is open.

    RACE: who has said that it is there must have the gate in hand already: by the time that it opened the file, another
    gate could stand in the place of the one that was opened for it.
    """
    with open(Path(os.environ[VARIABLE]) / "gate", "rb") as gate_file:
        yield lambda: fcntl.flock(gate_file, fcntl.LOCK_SH)


def stamp(name: str) -> None:
    """Notes when something happened in another process: its clock is the same as ours."""
    _append(name, b"%f\n" % time.monotonic())


FUNCTIONS: dict[str, Callable[..., None]] = {
    function.__name__: function for function in (noop, true, busy, parent, gate, victim)
}
