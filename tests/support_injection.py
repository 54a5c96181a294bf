"""Real programs with an error, or their death, at any call that changes something: strace puts it there.

So that each call can be found again by its path, chance is the same in all runs, and times have the same length.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests import support_strace
from tests.acceptance.worker.driver import end_processes, lines

_ERRORS = ("EIO", "ENOSPC", "EDQUOT", "ESTALE", "EACCES", "EROFS", "EBUSY")
FATES = ("signal=KILL", *(f"error={error}" for error in _ERRORS))
_PATIENCE_S = 60.0
_CHANGES = frozenset(
    {
        "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "symlink", "symlinkat",
        "write", "pwrite64", "writev", "fsync", "fdatasync", "syncfs", "utimensat", "ftruncate",
    }
)  # fmt: skip
# Where a record lies, which stands in names, must not depend on how many digits the time has either.
_SAME_CHANCE = """
import os, sys, time
os.urandom = lambda size: bytes([{seed}]) * size
real = time.time
time.time = lambda: int(real()) + 0.5
"""


def program(module: str, seed: int, *arguments: str) -> list[str]:
    """Arguments of Python that run a program's ``main`` with the chance that a seed makes."""
    start = f"from {module} import main\nsys.exit(main(sys.argv[1:]))\n"
    return ["-c", _SAME_CHANCE.format(seed=seed) + start, *arguments]


class Point(NamedTuple):
    """One call that is to go wrong, and how.

    Attributes:
        call: its name.
        path: that it is about.
        nth: of the calls of this name about this path by one process, from 1.
        fate: what strace has to do then.
    """

    call: str
    path: str
    nth: int
    fate: str

    @property
    def is_death(self) -> bool:
        return self.fate == "signal=KILL"


def points(trace: Path, base: Path) -> list[Point]:
    """All that can befall the calls of a run in which nothing failed."""
    seen: Counter[tuple[int, str, str]] = Counter()
    calls: dict[tuple[str, str, int], None] = {}
    for call in support_strace.read(trace):
        paths = [path for path in call.paths if f"{path}/".startswith(f"{base}/")]
        makes = call.name == "openat" and any(flag in call.text for flag in ("O_CREAT", "O_WRONLY", "O_RDWR"))
        if not paths:
            continue
        # Where it only looks it is counted all the same, since strace does so, too.
        seen[call.pid, call.name, paths[0]] += 1
        if call.name in _CHANGES or makes:
            calls[call.name, paths[0], seen[call.pid, call.name, paths[0]]] = None
    return [Point(*call, fate) for call in calls for fate in FATES]


def run(arguments: list[str], trace: Path, point: Point | None) -> tuple[int, str]:
    """Runs a program of ours to its end; its exit code, and what it said."""
    options = ["-f", "-qq", "-y", "-s", "0", "-o", str(trace)]
    if point is None:
        options += ["-e", "trace=%file,%desc,%process"]
    else:
        options += [f"--trace={point.call}", "-P", point.path, f"--inject={point.call}:{point.fate}:when={point.nth}"]
    process = subprocess.Popen(
        ["strace", *options, sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=support_strace.environment(),
    )
    try:
        _, said = process.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        # What strace runs does not end with it.
        end_processes({int(line.split()[0]) for line in lines(trace)})
        process.kill()
        process.communicate()
        raise
    return process.returncode, said


def was_hit(trace: Path) -> bool:
    """Whether what was to befall has befallen."""
    text = trace.read_text()
    return "(INJECTED)" in text or "killed by SIGKILL" in text


def assert_all_end_well(chosen: Sequence[Point], act: Callable[[Point], None]) -> None:
    """Tries one after the other; fails with all that went wrong."""
    failures = []
    for point in chosen:
        try:
            act(point)
        except Exception as error:
            failures.append(f"{point}: {error!r}")
    assert not failures, "\n".join(["", f"{len(failures)} of {len(chosen)}", *failures])
