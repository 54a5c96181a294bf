"""JobHandle: a queued job, as scripts see it (public)."""

from __future__ import annotations

import json
from typing import Any

from jobqueue import control
from jobqueue import params as codec
from jobqueue.errors import JobStateError
from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.journal import events, read_record
from jobqueue.layout import AttemptLayout, ClosedToken, JobLayout, RunningToken, WonToken, job_name, parse_job_number
from jobqueue.state import JobState, Sighting, look_up, scan
from jobqueue.store import Store

_WAITING = (JobState.BLOCKED, JobState.READY)


class JobHandle:
    """A job in a queue. Handles are made by `JobQueue.listJobs`, `JobRoot.activate` and `listSubJobs`.

    A handle holds no state: each answer is read from the queue when it is asked for. Two answers can therefore differ
    from one another; `state` gives one that is consistent in itself.

    Raises:
        JobNotFoundError: the job was deleted (from everything but `name`, `number` and the paths of directories).
    """

    def __init__(self, store: Store, number: int, node: int | None, place: str) -> None:
        self._store = store
        self._number = number
        self._node_number = node
        self._place = place
        self._read: Hierarchy | None = None

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The path of its directory in the queue, ``job100``, or ``job100/job3`` for a sub-job."""
        return job_name(self._number, self._place)

    @property
    def location(self) -> str:
        """The job's directory, absolute; that of a sub-job may come into being with its first attempt."""
        return self._job.node_dir(self._place)

    @property
    def number(self) -> int:
        """The number in the last part of its name."""
        return parse_job_number(self.name.rpartition("/")[2]) or 0

    @property
    def label(self) -> str | None:
        """The text that its procedure gave it."""
        return self._node().label

    @property
    def submitTime(self) -> float:
        """When it was submitted, in seconds since the epoch, by the submitter's clock."""
        return self._hierarchy().submitted

    # --- where it stands -----------------------------------------------------------------------------------------

    @property
    def state(self) -> JobState:
        """Where it stands."""
        return self._look().state

    def isWaiting(self) -> bool:
        """Whether it has not begun."""
        return self._look().state in _WAITING

    def isRunning(self) -> bool:
        """Whether a slot runs it, or has just run it."""
        return self._look().state is JobState.RUNNING

    def isFinished(self) -> bool:
        """Whether it has ended, well or not."""
        return self._look().has_ended

    def hasError(self, recursive: bool = False) -> bool:
        """Whether it has failed or was cancelled.

        Args:
            recursive: whether the same of any job that it depends on, directly or not, counts as well.
        """
        bad = (JobState.FAILED, JobState.CANCELLED)
        if not recursive:
            return self._look().state in bad
        seen = scan(self._store, self._job, self._hierarchy().count)
        return any(seen[node].state in bad for node in self._with_descendants())

    @property
    def startTime(self) -> float | None:
        """When its latest attempt began, in seconds since the epoch, by the worker's clock; ``None`` before."""
        seen = self._look()
        record = self._record(seen)
        if record is not None:
            return record.get("start")
        begun = self._start_event(seen)
        return begun["time"] if begun else None

    @property
    def endTime(self) -> float | None:
        """When it ended, in seconds since the epoch, by the worker's clock; ``None`` before."""
        record = self._record(self._look())
        return record.get("end") if record else None

    @property
    def progress(self) -> float | None:
        """How far it is in percent, 0 before the start, 100 after success; ``None`` if it cannot be read."""
        seen = self._look()
        if seen.state is JobState.FINISHED:
            return 100.0
        if seen.state in _WAITING:
            return 0.0
        value = (self._record(seen) or self._status(seen)).get("progress")
        return float(value) if isinstance(value, int | float) else None

    @property
    def statusLine(self) -> str:
        """What it is doing, or did last, in one line; ``""`` before the start."""
        seen = self._look()
        if seen.state in _WAITING:
            return ""
        return str((self._record(seen) or self._status(seen)).get("status", ""))

    @property
    def worker(self) -> str | None:
        """The name of the worker that runs it or has run it; ``None`` before."""
        return self._look().worker

    @property
    def attempt(self) -> int:
        """The number of its latest attempt, 0 before the first."""
        return self._look().attempt

    @property
    def error(self) -> str | None:
        """What went wrong, in one line; ``None`` if nothing did."""
        seen = self._look()
        if seen.state is JobState.CANCELLED:
            return "cancelled"
        if seen.state is not JobState.FAILED:
            return None
        record = self._record(seen)
        return str(record.get("error")) if record else "record lost"

    @property
    def result(self) -> Any:
        """The value that its procedure's ``run`` returned.

        Raises:
            JobStateError: it has not ended, or has failed; the message holds the job's own error and where its log
                lies.
        """
        seen = self._look()
        if seen.state is JobState.FINISHED:
            record = self._record(seen)
            if record is None:
                raise JobStateError(f"the record of {self.name} is lost, and its result with it", self.journalFile)
            return codec.decode(record.get("result"))
        if seen.has_ended:
            record = self._record(seen) or {}
            trace = f"\n{record['traceback']}" if record.get("traceback") else ""
            raise JobStateError(
                f"{self.name} has no result, it is {seen.state.value}: {self.error}; "
                f"`jobqueue log {self.name}` shows what it printed{trace}",
                self.runningDir,
            )
        raise JobStateError(f"{self.name} has no result yet, it is {seen.state.value}; wait for it", self.location)

    def listSubJobs(self) -> list[JobHandle]:
        """The jobs that this one depends on directly, in their order."""
        hierarchy = self._hierarchy()
        found = []
        for child in self._node().children:
            handle = JobHandle(self._store, self._number, child, hierarchy.node(child).place)
            handle._read = hierarchy
            found.append(handle)
        return found

    # --- what can be done to it ----------------------------------------------------------------------------------

    def setError(self) -> None:
        """Makes it fail: at once if it waits, by telling its worker if it runs (that takes up to one beat).

        Raises:
            JobStateError: it has ended.
        """
        control.fail(self._store, self._number, self._node().node, self.name)

    def retry(self) -> int:
        """Makes it ready again if it has failed; of a top-level job, every failed job of the hierarchy.

        Returns:
            How many jobs are to be run again.
        """
        nodes = None if not self._place else [self._node().node]
        return control.retry(self._store, self._number, nodes)

    def cancel(self) -> None:
        """Cancels the whole hierarchy: nothing of it begins any more, what runs is ended.

        Raises:
            JobStateError: it is a sub-job, or has ended already.
        """
        self._only_top_level("cancelled")
        control.cancel(self._store, self._number)

    def hold(self) -> None:
        """Keeps workers from beginning anything more of the hierarchy, until `release`. What runs goes on.

        Raises:
            JobStateError: it is a sub-job, or has ended already.
        """
        self._only_top_level("held")
        control.hold(self._store, self._number)

    def release(self) -> None:
        """Takes a `hold` back.

        Raises:
            JobStateError: it is a sub-job, or has ended already.
        """
        self._only_top_level("released")
        control.release(self._store, self._number)

    def setPriority(self, priority: int) -> None:
        """Gives the hierarchy another priority.

        Args:
            priority: -499..500, higher first.

        Raises:
            OptionError: it is out of its range.
            JobStateError: it is a sub-job.
        """
        self._only_top_level("given a priority")
        control.set_priority(self._store, self._number, priority)

    def _only_top_level(self, what: str) -> None:
        if self._place:
            raise JobStateError(f"{self.name} is a sub-job; only a whole hierarchy can be {what}: job{self._number}")

    # --- what lies on disk ---------------------------------------------------------------------------------------

    @property
    def runningDir(self) -> str:
        """The directory of its latest attempt, or of the first one to come."""
        return self._attempt().dir

    @property
    def finishedDir(self) -> str:
        """Where the tokens of the hierarchy's finished jobs lie."""
        return self._job.finished

    @property
    def procDefFile(self) -> str:
        """The file that says what each job of the hierarchy is to do."""
        return self._job.hierarchy

    @property
    def labelFile(self) -> str:
        """The file that holds the label."""
        return self._job.hierarchy

    @property
    def journalFile(self) -> str | None:
        """The file that holds its record, or will; ``None`` before the start."""
        seen = self._look()
        if seen.worker is None or not isinstance(seen.token, ClosedToken | WonToken | RunningToken):
            return None
        return self._job.journal(seen.worker, seen.token.slot)

    @property
    def pidFile(self) -> str | None:
        """The file that names the process of the worker that runs it; ``None`` if it does not run."""
        seen = self._look()
        runs = seen.state is JobState.RUNNING and seen.worker is not None
        return self._store.layout.worker(seen.worker).info if runs and seen.worker else None

    @property
    def hostFile(self) -> str | None:
        """The file that names the host of the worker that runs it; ``None`` if it does not run."""
        return self.pidFile

    @property
    def progressFile(self) -> str:
        """The file that says how far its latest attempt is; it is there once progress or status was set."""
        return self._attempt().status

    @property
    def statusLineFile(self) -> str:
        """The file that says what its latest attempt is doing."""
        return self._attempt().status

    @property
    def errorMarkerFile(self) -> str | None:
        """The token that says that it has failed; ``None`` if it has not."""
        seen = self._look()
        if seen.state is not JobState.FAILED or seen.token is None:
            return None
        return f"{self._job.failed}/{seen.token.name}"

    @property
    def procTracebackFile(self) -> str:
        """The traceback of its latest attempt, if that raised an exception."""
        return self._attempt().traceback

    @property
    def stdoutFile(self) -> str:
        """What its latest attempt printed; the file is there once it has printed something."""
        return self._attempt().stdout

    @property
    def stderrFile(self) -> str:
        """What its latest attempt printed to the standard error."""
        return self._attempt().stderr

    # --- inside --------------------------------------------------------------------------------------------------

    @property
    def _job(self) -> JobLayout:
        return self._store.layout.job(self._number)

    def _hierarchy(self) -> Hierarchy:
        if self._read is None:
            control.raise_if_deleted(self._store, self._number)
            self._read = Hierarchy(self._store.share, self._job.hierarchy)
        return self._read

    def _node(self) -> Node:
        hierarchy = self._hierarchy()
        return hierarchy.node(hierarchy.root if self._node_number is None else self._node_number)

    def _look(self) -> Sighting:
        node = self._hierarchy().root if self._node_number is None else self._node_number
        return look_up(self._store, self._job, node)

    def _attempt(self) -> AttemptLayout:
        return self._job.attempt(self._place, max(1, self._look().attempt))

    def _record(self, seen: Sighting) -> dict[str, Any] | None:
        token = seen.token
        if seen.worker is None or not isinstance(token, ClosedToken | WonToken):
            return None
        path = self._job.journal(seen.worker, token.slot)
        return read_record(self._store.share, path, token.offset, token.node, token.attempt)

    def _start_event(self, seen: Sighting) -> dict[str, Any] | None:
        token = seen.token
        if seen.worker is None or not isinstance(token, RunningToken):
            return None
        # A slot whose journal went bad goes on in another one, so all of the worker's are looked through.
        for name in sorted(self._store.share.names_or_none(self._job.journals) or (), reverse=True):
            if name.startswith(f"{seen.worker}."):
                for _, event in events(self._store.share, f"{self._job.journals}/{name}"):
                    if (event.get("event"), event.get("node"), event.get("attempt")) == (
                        "start",
                        token.node,
                        token.attempt,
                    ):
                        return event
        return None

    def _status(self, seen: Sighting) -> dict[str, Any]:
        """What a running attempt says of itself; it says nothing before its procedure does."""
        if seen.token is None:
            return {}
        path = self._job.attempt(self._place, seen.attempt).status
        try:
            stored = json.loads(self._store.share.read(path))
        except FileNotFoundError:
            return {"progress": 0.0, "status": ""}
        except ValueError:
            return {}
        return stored if isinstance(stored, dict) else {}

    def _with_descendants(self) -> set[int]:
        children = [node.children for node in self._hierarchy().nodes()]
        found: set[int] = set()
        pending = [self._node().node]
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending.extend(children[node])
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JobHandle):
            return NotImplemented
        return self.location == other.location

    def __hash__(self) -> int:
        return hash(self.location)

    def __repr__(self) -> str:
        return f"<JobHandle {self.name}>"

    def __str__(self) -> str:
        state = self._look().state
        word = "waiting" if state in _WAITING else "running" if state is JobState.RUNNING else "finished"
        return f"{self.name} ({word})"
