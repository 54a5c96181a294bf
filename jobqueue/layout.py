"""Where everything lies in a queue, as paths. Pure: nothing here touches a file system."""

from __future__ import annotations

import re

from jobqueue.names import (
    FALSE_DEATH,
    HIERARCHY,
    INDEX_FOLDERS,
    ITEM_DIGITS,
    JOURNAL,
    NODE_DIGITS,
    OUTPUTS,
    SHARD_ITEMS,
    archive_name,
    base_name,
)

_ATTEMPT = ".attempt"
_CHUNKS = ".chunks"
_ATTEMPT_DIR = re.compile(r"(?:(.*)/)?\.attempt([0-9]+)\Z")
_CHUNK_DIR = re.compile(r"(?:(.*)/)?\.chunks/[0-9]{4}/[0-9]{8}\.([0-9]+)\Z")


class AttemptLayout:
    """The files of one attempt of one job.

    Args:
        dir: the attempt's directory, ``.../.attemptN``.
    """

    def __init__(self, dir: str) -> None:
        self.dir = dir
        self.stdout = f"{dir}/stdout"
        self.stderr = f"{dir}/stderr"
        self.status = f"{dir}/status.json"
        self.traceback = f"{dir}/traceback"
        # Beside whatever the job makes here, so it is hidden.
        self.outputs = f"{dir}/{OUTPUTS}"


class JobLayout:
    """The directory of one top-level job.

    Args:
        queue_dir: the queue's directory.
        number: the top-level job's number.
    """

    def __init__(self, queue_dir: str, number: int) -> None:
        self.number = number
        self.dir = f"{queue_dir}/job{number}"
        self.hierarchy = f"{self.dir}/{HIERARCHY}"
        self.tokens = f"{self.dir}/.tokens"
        self.blocked = f"{self.tokens}/blocked"
        self.ready = f"{self.tokens}/ready"
        self.finished = f"{self.tokens}/finished"
        self.failed = f"{self.tokens}/failed"
        self.cancelled = f"{self.tokens}/cancelled"
        self.waits = f"{self.dir}/.waits"
        self.journals = f"{self.dir}/.journal"

    def token_folder(self, folder: str) -> str:
        return f"{self.tokens}/{folder}"

    def latch(self, node: int) -> str:
        """The directory with one entry for each unfinished sub-job of ``node``."""
        return f"{self.waits}/{node:0{NODE_DIGITS}d}"

    def journal(self, worker: str, slot: int) -> str:
        return f"{self.journals}/{worker}.{slot}{JOURNAL}"

    def node_dir(self, place: str) -> str:
        """The directory of a job of this hierarchy; ``place`` is relative to the root's, ``""`` for the root itself."""
        return f"{self.dir}/{place}" if place else self.dir

    def holds_names_alone(self, place: str) -> bool:
        """Whether only names count in a directory of this one, and all files there are empty: of tokens, of latches."""
        return place.partition("/")[0] in (base_name(self.tokens), base_name(self.waits))

    def attempt(self, place: str, attempt: int) -> AttemptLayout:
        return AttemptLayout(f"{self.node_dir(place)}/{_ATTEMPT}{attempt}")

    def chunk(self, place: str, start: int, attempt: int) -> AttemptLayout:
        """The files of one attempt of a chunk of an array, whose first item is ``start``."""
        shard = f"{_CHUNKS}/{start // SHARD_ITEMS:04d}"
        return AttemptLayout(f"{self.node_dir(place)}/{shard}/{start:0{ITEM_DIGITS}d}.{attempt}")

    def shard(self, folder: str, node: int, start: int) -> str:
        """Where in finished/ or failed/ the tokens lie of an array's items near ``start``."""
        return f"{self.token_folder(folder)}/{node:0{NODE_DIGITS}d}-{start // SHARD_ITEMS:04d}"

    def items(self, node: int) -> str:
        """The file that holds the parameters of an array's items."""
        return f"{self.dir}/.items-{node:0{NODE_DIGITS}d}"

    def parse_attempt(self, directory: str) -> tuple[str, int] | None:
        """The place and the number of an attempt's directory in this one, or ``None``."""
        if not directory.startswith(f"{self.dir}/"):
            return None
        place = directory[len(self.dir) + 1 :]
        found = _ATTEMPT_DIR.match(place) or _CHUNK_DIR.match(place)
        return (found[1] or "", int(found[2])) if found else None


class WorkerLayout:
    """The directory of one worker, with all that it owes.

    Args:
        queue_dir: the queue's directory.
        worker: the worker's name.
    """

    def __init__(self, queue_dir: str, worker: str) -> None:
        self.worker = worker
        self.dir = f"{queue_dir}/workers/{worker}"
        # Beside its directory, which was swept: it was taken for dead, and was not.
        self.false_death = f"{self.dir}{FALSE_DEATH}"
        self.info = f"{self.dir}/info.json"
        self.beat = f"{self.dir}/beat"
        self.lock = f"{self.dir}/lock"
        self.fenced = f"{self.dir}/fenced"
        self.avoided = f"{self.dir}/avoided"
        self.inbox = f"{self.dir}/inbox"
        self.running = f"{self.dir}/running"
        self.won = f"{self.dir}/won"
        # What tokens of arrays that are split come from, and what they were split for (see `jobqueue.pieces`).
        self.spare = f"{self.dir}/spare"


class QueueLayout:
    """The directory of a queue.

    Args:
        dir: absolute path of the queue.
    """

    def __init__(self, dir: str) -> None:
        self.dir = dir
        self.config = f"{dir}/queue.cfg"
        self.procs = f"{dir}/procs"
        self.index = f"{dir}/index"
        self.last = f"{dir}/index/last"
        self.tmp = f"{dir}/tmp"
        self.trash = f"{dir}/trash"
        self.workers = f"{dir}/workers"
        # Made with the first archive.
        self.archives = f"{dir}/archive"
        # To put a dozen paths together for each move would be a tenth of what a short job costs.
        self._last_job = JobLayout(dir, 0)
        self._last_worker = WorkerLayout(dir, "")

    def directories(self) -> list[str]:
        """All that a queue without jobs and workers consists of, each after the one in which it lies."""
        folders = [*map(self.index_folder, INDEX_FOLDERS), self.last]
        return [self.trash, self.index, self.tmp, self.workers, self.procs, *folders]

    def index_folder(self, folder: str) -> str:
        return f"{self.index}/{folder}"

    def job(self, number: int) -> JobLayout:
        # RACE: another thread may ask for another one meanwhile.
        job = self._last_job
        if job.number != number:
            job = self._last_job = JobLayout(self.dir, number)
        return job

    def archive(self, number: int) -> str:
        """The file that holds all of a top-level job that was archived."""
        return f"{self.archives}/{archive_name(number)}"

    def worker(self, name: str) -> WorkerLayout:
        worker = self._last_worker
        if worker.worker != name:
            worker = self._last_worker = WorkerLayout(self.dir, name)
        return worker

    def proc(self, name: str) -> str:
        return f"{self.procs}/{name}.py"
