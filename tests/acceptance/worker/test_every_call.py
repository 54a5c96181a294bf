"""The real programs, with an error or their death at every call that changes something: strace puts it there.

So that each call can be found again by its path, chance is the same in all of them; everything else is as it always is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import jobqueue
from jobqueue.registry import worker_names
from jobqueue.worker.sweep import sweep
from tests import support_strace
from tests.soundness import assert_sound
from tests.support_points import PART, part_of
from tests.support_worker import new_queue, worker_on

pytestmark = [pytest.mark.needs_program("strace"), pytest.mark.timeout(7200)]

_ERRORS = ("EIO", "ENOSPC", "EDQUOT", "ESTALE", "EACCES", "EROFS", "EBUSY")
_FATES = ("signal=KILL", *(f"error={error}" for error in _ERRORS))
# So many days until all points had their turn.
_PARTS = 30
_PATIENCE_S = 60.0
_CHANGES = frozenset(
    {
        "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "symlink", "symlinkat",
        "write", "pwrite64", "writev", "fsync", "fdatasync", "syncfs", "utimensat", "ftruncate",
    }
)  # fmt: skip
_SAME_CHANCE = "import os, sys\nos.urandom = lambda size: bytes([{seed}]) * size\n"
_RUNJOBS = "from jobqueue.cli.runjobs import main\nsys.exit(main(sys.argv[1:]))\n"
_JOBQUEUE = "from jobqueue.cli import main\nsys.exit(main(sys.argv[1:]))\n"
_MAKES = "print('printed')\nopen(proc.output({path!r}), 'w').write('whole')\nresult = 1"


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


class Scene:
    """A queue at the same place each time, with the directory of an output beside it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.queue_dir = base / "queue"
        self.final = base / "out" / "file"
        new_queue(self.queue_dir)
        (self.queue_dir / "queue.cfg").write_text(
            (self.queue_dir / "queue.cfg").read_text().replace("[queue]", "[queue]\nbeat = 0.2", 1)
        )
        self.final.parent.mkdir()
        self.queue = jobqueue.JobQueue(str(self.queue_dir))

    def submit(self) -> jobqueue.JobHandle:
        root = self.queue.createJobRoot("noop")
        root.createJob("code", text=_MAKES.format(path=str(self.final)))
        return root.activate()

    def runjobs(self) -> list[str]:
        code = _SAME_CHANCE.format(seed=7) + _RUNJOBS
        return ["-c", code, str(self.queue_dir), "--slots", "1", "--exit-when-empty", "--poll", "0.1"]

    def submit_command(self) -> list[str]:
        return ["-c", _SAME_CHANCE.format(seed=9) + _JOBQUEUE, "-q", str(self.queue_dir), "submit", "noop"]

    def repair(self) -> None:
        """Another worker, when nothing else runs: sweeps whoever is left, and runs everything."""
        with worker_on(self.queue_dir) as worker:
            for name in set(worker_names(worker.store)) - {worker.name}:
                assert sweep(worker.store, worker.aftermath, name, "killed")
            for entry in worker.store.index.folder("waiting"):
                worker.store.tokens.resume(worker.store.layout.job(entry.number))
            worker.run_all()
