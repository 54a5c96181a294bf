"""Where a burn-in lies, and its queue: below the user's directory, all in one directory that goes when it is over."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any

from jobqueue.burnin.plan import BEAT_S, DEAD_S, Plan, Shape
from jobqueue.config import change_settings
from jobqueue.errors import JobQueueError
from jobqueue.job import Job
from jobqueue.layout import QueueLayout
from jobqueue.names import parse_job_number
from jobqueue.queue import JobQueue, createJobQueue
from jobqueue.share import Share

# Each job looks whether what it waits for has been published, whole, and publishes a file that says which attempt wrote
# it: the directory that an attempt writes in is named after it, and is no other's.
_PROCEDURE = '''\
import os
import time

from jobqueue import JobProc


class burn(JobProc):
    """Reads what its sub-jobs have published, works for a while, and publishes a file of its own."""

    def __init__(self, path, below=(), work_s=0.0, label=None):
        super().__init__(label)
        self.path, self.below, self.work_s = path, list(below), work_s

    def run(self):
        for path in self.below:
            with open(path) as file:
                if not file.read().endswith("\\n"):
                    raise RuntimeError(f"{path} is not whole")
        target = self.output(self.path)
        with open(target, "w") as file:
            file.write(os.path.basename(os.path.dirname(target)))
            file.flush()
            time.sleep(self.work_s)
            file.write("\\n")
'''


class CampError(JobQueueError, ValueError):
    """A burn-in cannot be begun or joined here."""


class Camp:
    """The directory of one burn-in.

    Args:
        share: to call with.
        base: the user's directory, absolute.
    """

    def __init__(self, share: Share, base: str) -> None:
        self.share = share
        self.dir = f"{base}/burnin"
        self.queue = f"{self.dir}/queue"
        self.files = f"{self.dir}/files"
        self.logs = f"{self.dir}/logs"

    def pitch(self, plan: Plan) -> None:
        """Makes it, with a queue whose dead time is short.

        Raises:
            CampError: there is one already.
            OSError: it cannot be made.
        """
        if not self.share.try_make_dir(self.dir):
            workers = shlex.quote(f"jobqueue.cli.runjobs {self.queue}")
            raise CampError(
                "another burn-in is here, or what one has left; `--join` takes part in it. One that was killed may "
                f"have left workers: `pgrep -af {workers}` on each of its hosts shows them, `pkill -KILL -f {workers}` "
                "ends them. Removing the directory then lets a new one begin",
                self.dir,
            )
        for directory in (self.files, self.logs):
            self.share.make_dir(directory)
        createJobQueue(self.queue)
        layout = QueueLayout(self.queue)
        # Deaths are what this is about: no job fails for them.
        change_settings(self.share, layout, {"beat": BEAT_S, "deadAfter": DEAD_S, "maxAttempts": 1_000_000})
        # Workers run no code that others may write.
        before = os.umask(0o022)
        try:
            self.share.write_whole(layout.proc("burn"), _PROCEDURE.encode("ascii"))
        finally:
            os.umask(before)
        self.tell("plan", plan.to_json())

    def plan(self) -> Plan:
        """The plan of a burn-in that is under way.

        Raises:
            CampError: there is none.
        """
        if "plan" not in (self.share.names_or_none(self.dir) or ()):
            raise CampError("there is no burn-in to join; `jobqueue burnin DIR` on another host begins one", self.dir)
        return Plan(**self.told("plan"))

    def tell(self, what: str, value: Any = None) -> None:
        """Leaves a note for the other hosts."""
        self.share.write_whole(f"{self.dir}/{what}", json.dumps(value).encode("ascii"), sync=False)

    def told(self, what: str) -> Any:
        return json.loads(self.share.read(f"{self.dir}/{what}"))

    def notes(self) -> set[str] | None:
        """What has been told; ``None`` if the camp is gone."""
        names = self.share.names_or_none(self.dir)
        return None if names is None else set(names)

    def submit(self, queue: JobQueue, shape: Shape, nth: int) -> int:
        """Submits a hierarchy; the number of its top-level job, from where on it must not be lost."""
        paths = [f"{self.files}/{nth}.{group}" for group in range(len(shape.groups))]
        root = queue.createJobRoot("burn", path=f"{self.files}/{nth}", below=paths)
        for path, leaves in zip(paths, shape.groups, strict=True):
            below = [f"{path}.{leaf}" for leaf in range(len(leaves))]
            group: Job = root.createJob("burn", path=path, below=below)
            for leaf, work_s in zip(below, leaves, strict=True):
                group.createJob("burn", path=leaf, work_s=work_s)
        number = parse_job_number(root.activate().name)
        assert number is not None
        return number

    def strike(self) -> None:
        """Removes it."""
        self.share.remove_tree(self.dir)
