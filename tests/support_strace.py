"""Runs programs under `strace` and tells which of their system calls went to a directory.

A call counts if one of its paths, or of its file descriptors, lies in the directory. Paths are taken as the kernel took
them: relative ones from the process's working directory, which is followed from ``chdir`` to ``chdir`` and from fork to
fork.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(r"(?P<pid>\d+) +(?P<rest>.*)\Z")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(?P<rest>.*)\Z")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>.*)\Z")
_UNFINISHED = " <unfinished ...>"
# A string with the directory that it is relative to, if one is given; or a file descriptor alone. A descriptor's own
# path stands in <>.
_PATH = re.compile(
    r'(?:(?P<base>AT_FDCWD|\d+)(?:<(?P<at>[^>]*)>)?, )?"(?P<path>(?:[^"\\]|\\.)*)"|\b\d+<(?P<fd>/[^>]*)>'
)
_FORKS = ("clone", "clone3", "fork", "vfork")


class Call(NamedTuple):
    """One system call.

    Attributes:
        pid: the process or thread.
        name: of the call.
        paths: absolute paths of what it was about.
        text: the call as `strace` wrote it.
    """

    pid: int
    name: str
    paths: tuple[str, ...]
    text: str

    def is_in(self, directory: str) -> bool:
        return any(f"{path}/".startswith(f"{directory}/") for path in self.paths)


def command(trace: Path, *arguments: str) -> list[str]:
    """The command line that runs Python with ``arguments`` and writes its system calls to a file.

    ``-s 0`` leaves out what is read and written, so that each string that is not empty is a path.
    """
    options = ["-f", "-y", "-s", "0", "--seccomp-bpf", "-e", "trace=%file,%desc,%process", "-o", str(trace)]
    return ["strace", *options, sys.executable, *arguments]


def environment() -> dict[str, str]:
    """For programs that make no calls but their own: Python would keep what it compiles, coverage its data."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**ours, "PYTHONDONTWRITEBYTECODE": "1"}


def run(trace: Path, *arguments: str) -> list[Call]:
    """Runs Python with ``arguments`` to its end; the system calls of it and all its children."""
    done = subprocess.run(command(trace, *arguments), capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    return read(trace)


def read(trace: Path) -> list[Call]:
    """The calls in a file that `strace` has written, or is writing."""
    return list(parse(trace.read_text().splitlines(), os.getcwd()))


def parse(lines: Iterable[str], cwd: str) -> Iterator[Call]:
    """The calls in the lines of `strace -f -y -s 0`.

    Args:
        lines: of its output.
        cwd: working directory that the first process began in.
    """
    begun: dict[int, str] = {}
    cwds: dict[int, str] = {}
    forked_in = cwd
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            # The last line of a file that is being written.
            continue
        pid, rest = int(found["pid"]), found["rest"]
        # A child can be heard of before the call that made it has returned.
        here = cwds.setdefault(pid, forked_in)
        if resumed := _RESUMED.match(rest):
            rest = begun.pop(pid, "") + resumed["rest"]
        if rest.partition("(")[0] in _FORKS:
            forked_in = here
        if rest.endswith(_UNFINISHED):
            begun[pid] = rest.removesuffix(_UNFINISHED)
            continue
        call = _CALL.match(rest)
        if call is None:
            # Signals and ends of processes.
            continue
        paths = tuple(_paths(call["arguments"], here))
        if call["name"] in ("chdir", "fchdir") and call["result"] == "0" and paths:
            cwds[pid] = paths[0]
        yield Call(pid, call["name"], paths, rest)


def _paths(arguments: str, cwd: str) -> Iterator[str]:
    for found in _PATH.finditer(arguments):
        if found["fd"]:
            yield found["fd"]
        elif found["path"]:
            base = found["at"] or cwd
            yield os.path.normpath(os.path.join(base, found["path"]))
        elif found["base"] and found["base"] != "AT_FDCWD" and (found["at"] or "").startswith("/"):
            # What is written to a descriptor, or a call on the descriptor itself (AT_EMPTY_PATH).
            yield found["at"]
