"""JobHandle: a queued job, as scripts see it (public)."""

from __future__ import annotations

from typing import Any

from jobqueue import control
from jobqueue import params as codec
from jobqueue.archiving import archive
from jobqueue.errors import JobStateError
from jobqueue.item import ItemHandle
from jobqueue.itemreader import ItemReader
from jobqueue.layout import AttemptLayout
from jobqueue.names import ClosedToken, RunningToken, WonToken, job_name, parse_job_number
from jobqueue.reader import JobReader
from jobqueue.state import JobState
from jobqueue.store import Store

_WAITING = (JobState.BLOCKED, JobState.READY)


class JobHandle:
    """A job in a queue. Handles are made by `JobQueue.listJobs`, `JobRoot.activate` and `listSubJobs`.

    A handle holds no state: each answer is read from the queue when it is asked for. Two answers can therefore differ
    from one another; `state` gives one that is consistent in itself.

    Raises:
        JobNotFoundError: the job was deleted (from everything but `name`, `number` and the paths of directories).
        JobStateError: it is an array, which has no attempts of its own (from the paths of an attempt and its files).
    """

    def __init__(self, store: Store, number: int, node: int | None, place: str) -> None:
        self._reader = JobReader(store, number, node, place)

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The path of its directory in the queue, ``job100``, or ``job100/job3`` for a sub-job."""
        return job_name(self._reader.number, self._reader.place)

    @property
    def location(self) -> str:
        """The job's directory, absolute; that of a sub-job may come into being with its first attempt."""
        return self._reader.job.node_dir(self._reader.place)

    @property
    def number(self) -> int:
        """The number in the last part of its name."""
        return parse_job_number(self.name.rpartition("/")[2]) or 0

    @property
    def label(self) -> str | None:
        """The text that its procedure gave it."""
        return self._reader.node().label

    @property
    def submitTime(self) -> float:
        """When it was submitted, in seconds since the epoch, by the submitter's clock."""
        return self._reader.hierarchy().submitted

    # --- where it stands -----------------------------------------------------------------------------------------

    @property
    def state(self) -> JobState:
        """Where it stands."""
        return self._reader.look().state

    def isWaiting(self) -> bool:
        """Whether it has not begun."""
        return self._reader.look().state in _WAITING

    def isRunning(self) -> bool:
        """Whether a slot runs it, or has just run it."""
        return self._reader.look().state is JobState.RUNNING

    def isFinished(self) -> bool:
        """Whether it has ended, well or not."""
        return self._reader.look().has_ended

    def hasError(self, recursive: bool = False) -> bool:
        """Whether it has failed or was cancelled.

        Args:
            recursive: whether the same of any job that it depends on, directly or not, counts as well.
        """
        bad = (JobState.FAILED, JobState.CANCELLED)
        if not recursive:
            return self._reader.look().state in bad
        seen = self._reader.scan()
        return any(seen[node].state in bad for node in self._reader.with_descendants())

    @property
    def startTime(self) -> float | None:
        """When its latest attempt began, in seconds since the epoch, by the worker's clock.

        ``None`` before, and of an array, whose items have attempts of their own.
        """
        seen = self._reader.look()
        start: float | None = (self._reader.record(seen) or {}).get("start")
        if start is None:
            # Whoever writes a record for an attempt that could not does not know when it began.
            start = (self._reader.start_event(seen) or {}).get("time")
        return start

    @property
    def endTime(self) -> float | None:
        """When it ended, in seconds since the epoch, by the worker's clock; ``None`` before, and of an array."""
        return (self._reader.record(self._reader.look()) or {}).get("end")

    @property
    def progress(self) -> float | None:
        """How far it is in percent, of an array by the items that have finished; ``None`` if it cannot be read."""
        seen = self._reader.look()
        if seen.state is JobState.FINISHED:
            return 100.0
        if seen.items is not None or seen.state in _WAITING:
            return seen.percent
        value = (self._reader.record(seen) or {}).get("progress")
        if value is None:
            value = self._reader.status(seen).get("progress")
        return float(value) if isinstance(value, int | float) else None

    @property
    def statusLine(self) -> str:
        """What it is doing, or did last, in one line; ``""`` before the start."""
        seen = self._reader.look()
        if seen.state in _WAITING:
            return ""
        return str((self._reader.record(seen) or self._reader.status(seen)).get("status", ""))

    @property
    def worker(self) -> str | None:
        """The name of the worker that runs it or has run it; ``None`` before, and of an array."""
        return self._reader.look().worker

    @property
    def attempt(self) -> int:
        """The number of its latest attempt, 0 before the first, and of an array."""
        return self._reader.look().attempt

    @property
    def error(self) -> str | None:
        """What went wrong, in one line; ``None`` if nothing did."""
        seen = self._reader.look()
        if seen.state is JobState.CANCELLED:
            return "cancelled"
        if seen.state is not JobState.FAILED:
            return None
        if seen.items is not None:
            return f"{dict(seen.items)[JobState.FAILED]} of its items have failed"
        record = self._reader.record(seen)
        return str(record.get("error")) if record else "record lost"

    @property
    def result(self) -> Any:
        """The value that its procedure's ``run`` returned.

        Raises:
            JobStateError: it has not ended, or is an array, or has failed; the message holds the job's own error and
                where its log lies.
        """
        seen = self._reader.look()
        if seen.items is not None:
            raise JobStateError(f"{self.name} is an array, whose items have results: item(NAME).result", self.location)
        if seen.state is JobState.FINISHED:
            record = self._reader.record(seen)
            if record is None:
                raise JobStateError(f"the record of {self.name} is lost, and its result with it", self.journalFile)
            return codec.decode(record.get("result"))
        if seen.has_ended:
            record = self._reader.record(seen) or {}
            trace = f"\n{record['traceback']}" if record.get("traceback") else ""
            raise JobStateError(
                f"{self.name} has no result, it is {seen.state.value}: {self.error}; "
                f"`jobqueue log {self.name}` shows what it printed{trace}",
                self.runningDir,
            )
        raise JobStateError(f"{self.name} has no result yet, it is {seen.state.value}; wait for it", self.location)

    @property
    def outputs(self) -> list[str]:
        """The files that it has published, by their final paths; none before it has succeeded."""
        seen = self._reader.look()
        record = self._reader.record(seen) if seen.state is JobState.FINISHED else None
        return [output["path"] for output in (record or {}).get("outputs", ())]

    def listSubJobs(self) -> list[JobHandle]:
        """The jobs that this one depends on directly, in their order."""
        found = []
        for reader in self._reader.children():
            handle = JobHandle(reader.queue, reader.number, reader.node().node, reader.place)
            # They share the hierarchy that was read.
            handle._reader = reader
            found.append(handle)
        return found

    # --- the items of an array -----------------------------------------------------------------------------------

    def countItems(self) -> int:
        """How many items it has, if it is an array; 0 for any other job."""
        array = self._reader.node().array
        return array.length if array else 0

    def countItemsByState(self) -> dict[JobState, int]:
        """How many of its items are in each state; from listings alone, however many there are.

        Raises:
            JobStateError: it is no array.
        """
        items = self._reader.look().items
        if items is None:
            raise JobStateError(f"{self.name} is no array, so it has no items", self.location)
        return dict(items)

    def item(self, name: int) -> ItemHandle:
        """One of an array's items.

        Args:
            name: its frame, or its place from 0 where it is an array of parameters' values.

        Raises:
            JobNotFoundError: there is none of this name.
            JobStateError: it is no array.
            TypeError: it is no int.
        """
        reader = ItemReader(self._reader)
        return ItemHandle(reader, reader.index(name))

    def listResults(self) -> list[Any]:
        """What an array's items have returned, in their order; ``None`` for one that has returned nothing.

        Reads the journals once, where `ItemHandle.result` looks for each item anew.

        Raises:
            JobStateError: it is no array, or some of its items have not finished.
        """
        return ItemReader(self._reader).results()

    def listItems(self, state: JobState | None = None) -> list[ItemHandle]:
        """The items of an array in their order.

        Args:
            state: only those in this state; by default all. What a slot has taken is running, as in `ItemHandle.state`.

        Raises:
            JobStateError: it is no array.
            TypeError: ``state`` is no `JobState`.
        """
        if state is not None and not isinstance(state, JobState):
            raise TypeError(f"state has to be a JobState, not {type(state).__name__}")
        reader = ItemReader(self._reader)
        if state is None:
            return [ItemHandle(reader, index) for index in range(reader.count)]
        spans = [piece.span for piece in reader.pieces(state)]
        # RACE: what moves while it is listed is there twice.
        indexes = dict.fromkeys(index for span in spans for index in range(span.start, span.end))
        return [ItemHandle(reader, index) for index in indexes]

    # --- what can be done to it ----------------------------------------------------------------------------------

    def setError(self) -> None:
        """Makes it fail: at once if it waits, by telling its worker if it runs (that takes up to two beats).

        Raises:
            JobStateError: it has ended, or is an array.
        """
        node = self._reader.node()
        if node.array is not None:
            raise JobStateError(f"{self.name} is an array, which cannot be made to fail as a whole; cancel it instead")
        control.fail(self._reader.queue, self._reader.number, node.node, self.name)

    def retry(self) -> int:
        """Makes it ready again if it has failed; of a top-level job, every failed job of the hierarchy.

        Returns:
            How many jobs are to be run again.
        """
        nodes = None if not self._reader.place else [self._reader.node().node]
        return control.retry(self._reader.queue, self._reader.number, nodes)

    def cancel(self) -> None:
        """Cancels the whole hierarchy: nothing of it begins any more, what runs is ended.

        Raises:
            JobStateError: it is a sub-job, or has ended already.
        """
        self._only_top_level("cancelled")
        control.cancel(self._reader.queue, self._reader.number)

    def hold(self) -> None:
        """Keeps workers from beginning anything more of the hierarchy, until `release`. What runs goes on.

        A worker that is busy with the hierarchy sees it within about a second; one that runs a chunk of it at its next
        beats, and goes on to the end of the item.

        Raises:
            JobStateError: it is a sub-job, or has ended already.
        """
        self._only_top_level("held")
        control.hold(self._reader.queue, self._reader.number)

    def release(self) -> None:
        """Takes a `hold` back.

        Raises:
            JobStateError: it is a sub-job, or has ended already.
        """
        self._only_top_level("released")
        control.release(self._reader.queue, self._reader.number)

    def archive(self) -> None:
        """Puts the whole hierarchy, which has ended, into one file, and removes its directory.

        It can be looked at as before, and takes part in nothing any more. Where this fails the job is as it was, or it
        is archived and something of its directory is left; calling it again goes on.

        Raises:
            JobStateError: it is a sub-job, has not ended, or is archived already.
            OSError: the share is full or in trouble.

        Files:
            Writes archive/jobN.zip in the queue.
        """
        self._only_top_level("archived")
        archive(self._reader.queue, self._reader.number)

    def setPriority(self, priority: int) -> None:
        """Gives the hierarchy another priority.

        Args:
            priority: -499..500, higher first.

        Raises:
            OptionError: it is out of its range.
            JobStateError: it is a sub-job.
        """
        self._only_top_level("given a priority")
        control.set_priority(self._reader.queue, self._reader.number, priority)

    def _only_top_level(self, what: str) -> None:
        if self._reader.place:
            raise JobStateError(
                f"{self.name} is a sub-job; only a whole hierarchy can be {what}: job{self._reader.number}"
            )

    # --- what lies on disk ---------------------------------------------------------------------------------------

    def _attempt(self) -> AttemptLayout:
        if self._reader.node().array is not None:
            reason = f"{self.name} is an array, whose items run in directories of their chunks"
            raise JobStateError(f"{reason}: item(NAME).stdout is what one has printed", self.location)
        return self._reader.attempt()

    @property
    def archiveFile(self) -> str | None:
        """The file that holds the hierarchy once it is archived; then there is nothing at any of the paths below."""
        self._reader.look()
        return self._reader.packed.path if self._reader.packed else None

    @property
    def runningDir(self) -> str:
        """The directory of its latest attempt, or of the first one to come."""
        return self._attempt().dir

    @property
    def finishedDir(self) -> str:
        """Where the tokens of the hierarchy's finished jobs lie."""
        return self._reader.job.finished

    @property
    def procDefFile(self) -> str:
        """The file that says what each job of the hierarchy is to do."""
        return self._reader.job.hierarchy

    @property
    def labelFile(self) -> str:
        """The file that holds the label."""
        return self._reader.job.hierarchy

    @property
    def journalFile(self) -> str | None:
        """The file that holds its record, or will; ``None`` before the start."""
        seen = self._reader.look()
        if seen.worker is None or not isinstance(seen.token, ClosedToken | WonToken | RunningToken):
            return None
        return self._reader.job.journal(seen.worker, seen.token.slot)

    @property
    def pidFile(self) -> str | None:
        """The file that names the process of the worker that runs it; ``None`` if it does not run."""
        seen = self._reader.look()
        runs = seen.state is JobState.RUNNING and seen.worker is not None
        return self._reader.store.layout.worker(seen.worker).info if runs and seen.worker else None

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
        seen = self._reader.look()
        if seen.state is not JobState.FAILED or seen.token is None:
            return None
        return f"{self._reader.job.failed}/{seen.token.name}"

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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JobHandle):
            return NotImplemented
        return self.location == other.location

    def __hash__(self) -> int:
        return hash(self.location)

    def __repr__(self) -> str:
        return f"<JobHandle {self.name}>"

    def __str__(self) -> str:
        state = self._reader.look().state
        word = "waiting" if state in _WAITING else "running" if state is JobState.RUNNING else "finished"
        return f"{self.name} ({word})"


def reader_of(job: JobHandle) -> JobReader:
    """What a handle reads with, for the other modules of this package."""
    return job._reader
