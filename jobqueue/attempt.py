"""One attempt of one job: its directory, streams, environment and record."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO, TypeVar

from jobqueue import params
from jobqueue.errors import ConfigError, JobQueueError, OutputError
from jobqueue.hierarchy import Node
from jobqueue.layout import JobLayout
from jobqueue.names import QUEUE_VARIABLE, RunningToken, job_name, temporary_name
from jobqueue.outputs import Outputs
from jobqueue.procedures import describe
from jobqueue.share import UnsyncedError
from jobqueue.store import Store
from jobqueue.streams import Spool, save_in_the_way
from jobqueue.trouble import insist, is_trouble

T = TypeVar("T")

# Where a job finds its name.
JOB_VARIABLE = "JOBQUEUE_JOB"
# A traceback in the record is for a look; the whole of it lies in the attempt's directory.
_MAX_TRACEBACK = 16_000
_STATUS_PERIOD_S = 1.0
# So often more, within 15 seconds, a directory has to refuse an output until it is believed.
_REFUSALS = 6


class Attempt:
    """Runs one claimed job in this process; what the procedure sees of it is `jobqueue.proc.AttemptSeam`.

    Args:
        store: the queue.
        job: the top-level job.
        node: the job.
        token: its token in running/.
        worker: the name of the worker in whose running/ it lies.
        spool: takes what it prints.

    Attributes:
        on_wait: told when the procedure begins to wait for a share that is in trouble, and when it goes on.

    Files:
        Makes the attempt's directory; writes ``stdout``, ``stderr``, ``status.json``, ``traceback`` and ``.outputs`` in
        it where there is something to write.
    """

    def __init__(
        self, store: Store, job: JobLayout, node: Node, token: RunningToken, worker: str, spool: Spool
    ) -> None:
        self.name = job_name(token.job, node.place)
        self.token = token
        self.files = job.attempt(node.place, token.attempt)
        self.running_dir = self.files.dir
        self.progress = 0.0
        self.status = ""
        self._store = store
        self._job = job
        self._node = node
        self._spool = spool
        self._failed = False
        # What made it end, other than the procedure itself, as the record has it.
        self.ending: str | None = None
        self._shown = (0.0, "")
        self._shown_at = 0.0
        self._trace = ""
        self._is_over = False
        self._lock = threading.Lock()
        self.outputs = Outputs(store.share, store.layout.dir, temporary_name(worker, token), self.files.outputs)
        self.started = store.share.clock.now()
        self.on_wait: Callable[[bool], None] = lambda _is_waiting: None

    def covers(self, token: RunningToken) -> bool:
        """Whether a token in running/ is that of this attempt."""
        return token == self.token

    # --- what the procedure sees ---------------------------------------------------------------------------------

    @property
    def stdout(self) -> TextIO:
        return self._spool.stdout

    @property
    def stderr(self) -> TextIO:
        return self._spool.stderr

    def show_progress(self, progress: float) -> None:
        self.progress = progress

    def show_status(self, line: str) -> None:
        self.status = str(line)

    def mark_error(self) -> None:
        self._failed = True

    def output(self, path: str) -> str:
        return self._patiently(path, lambda outputs: outputs.declare(path))

    def output_folder(self, directory: str) -> str:
        return self._patiently(directory, lambda outputs: outputs.open_folder(directory))

    def adopt_outputs(self, directory: str) -> list[str]:
        return self._patiently(directory, lambda outputs: outputs.adopt(directory))

    def _patiently(self, path: str, declare: Callable[[Outputs], T]) -> T:
        """Declares while the procedure waits: a share that is full or away is not its fault."""
        what = f"{self.name}, which declares an output,"
        try:
            return declare(self.outputs)
        except OSError as error:
            if isinstance(error, JobQueueError) or not is_trouble(error):
                raise
        self.on_wait(True)
        try:
            return insist(self._store, what, lambda: declare(self.outputs), refusals=_REFUSALS)
        except PermissionError as error:
            reason = f"this worker's user may not write beside it ({error}); give it leave"
            raise OutputError(f"{reason}, then `jobqueue retry {self.name}`", path) from error
        finally:
            self.on_wait(False)

    # --- running -------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Makes the directory and enters it.

        Raises:
            OSError: that cannot be done; the job can be given back, nothing of it has run.
        """
        share = self._store.share
        place = self._node.place
        # Order matters: where the directory is there, the spool holds what this attempt has printed.
        self._spool.begin()
        try:
            if place and self.token.attempt == 1:
                share.try_make_dir(self._job.node_dir(place))
            share.try_make_dir(self.files.dir)
        except FileNotFoundError:
            # The directories of the jobs above come into being with their own first attempts, later than ours.
            share.make_dirs_below(self._job.dir, self.files.dir[len(self._job.dir) + 1 :])
        share.enter(self.files.dir)

    def start_event(self) -> dict[str, Any]:
        """The journal's line that says that the attempt begins."""
        return {"event": "start", "node": self._node.node, "attempt": self.token.attempt, "time": self.started}

    def run(self, *, is_interruptible: bool) -> dict[str, Any]:
        """Runs the procedure and returns the attempt's record.

        Args:
            is_interruptible: whether a KeyboardInterrupt is the user's; else it is the job's own, which has failed.

        Raises:
            KeyboardInterrupt: the user wants this process to end; the job has no result.
            OSError: the share does not give the procedure's file; nothing of the job has run.
            ConfigError: queue.cfg gives the procedure a parameter that it does not have; the same.
        """
        result, error, trace = self._call(self._parameters, is_interruptible=is_interruptible)
        return self._told(result, error, trace)

    def _call(
        self, parameters: Callable[[], dict[str, Any]], *, is_interruptible: bool
    ) -> tuple[Any, BaseException | None, str]:
        """Makes the procedure and runs it; its encoded result, or what it raised and the traceback."""
        process = os.getpid()
        is_loaded = False
        result: Any = None
        error: BaseException | None = None
        trace = ""
        try:
            if self._node.type is not None:
                self._store.procedures.check(self._node.type)
            is_loaded = True
            proc = self._store.procedures.make(self._node.type, parameters())
            proc._attach(self)
            result = params.encode("the result", proc.run())
        # SystemExit too: a job that calls sys.exit has failed, and the worker goes on.
        except BaseException as caught:
            if is_interruptible and isinstance(caught, KeyboardInterrupt) and os.getpid() == process:
                raise
            if not is_loaded and _is_nobodys_fault(caught):
                raise
            error, trace = caught, traceback.format_exc()
        if os.getpid() != process:
            # A child that the job has forked returns from it, too. It is not the slot, and must not act as one.
            os.write(2, trace.encode("utf-8", "backslashreplace"))
            os._exit(1 if error else 0)
        return result, error, trace

    def _told(self, result: Any, error: BaseException | None, trace: str) -> dict[str, Any]:
        """The attempt's record, but for its outputs."""
        record: dict[str, Any] = {
            "event": "end",
            "node": self._node.node,
            "attempt": self.token.attempt,
            "ok": error is None and not self._failed,
            "start": self.started,
            "end": self._store.share.clock.now(),
            "progress": self.progress,
            "status": self.status,
        }
        if record["ok"]:
            record["result"] = result
        else:
            record.update(self._failure(error, trace))
        self._trace = trace
        return record

    def _failure(self, error: BaseException | None, trace: str) -> dict[str, Any]:
        """What a record says of a failure alone."""
        why = describe(error) if error else self.status or "the procedure called setError"
        told = {"error": why, "traceback": trace[-_MAX_TRACEBACK:]}
        return {**told, "ending": self.ending} if self.ending else told

    def seal(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with the outputs, once all of them are whole and on the disk; can be repeated.

        An output that was declared and is not there makes the job fail.

        Raises:
            JobQueueError: what was written to one may be lost, so that the job has to be run again.
            OSError: the share is in trouble.
        """
        self.outputs.close()
        if not self.outputs.temporaries:
            return record
        sealed = {**record, "temporaries": self.outputs.temporaries}
        if not record["ok"]:
            return sealed
        try:
            sealed["outputs"] = self.outputs.sync()
        except UnsyncedError as error:
            raise JobQueueError(
                f"the file system could not write it ({error.strerror}); {self.name} is given back", error.filename
            ) from error
        except OutputError as error:
            # An item's note has none where it is None.
            sealed.pop("result", None)
            sealed.update(ok=False, error=str(error), traceback="")
        return sealed

    def _parameters(self) -> dict[str, Any]:
        return {name: params.decode(value) for name, value in self._node.params.items()}

    def save(self) -> None:
        """Copies what was printed, and the traceback, to the attempt's directory; can be repeated.

        Raises:
            OSError: the share does not take it.
        """
        with self._lock:
            # RACE: the thread that shows this attempt may come late; the spool will be the next attempt's by then.
            self._is_over = True
        if not self._trace and self._spool.is_empty():
            return
        try:
            self._write()
        except (FileNotFoundError, NotADirectoryError):
            self._make_anew()
            self._write()

    def _make_anew(self) -> None:
        """Makes the directory that its job has tidied away, or made a file of.

        Raises:
            FileNotFoundError: the job was deleted, and there is no directory to make it in.
        """
        share = self._store.share
        if not share.is_dir(self.files.dir):
            share.try_set_aside(self.files.dir)
        share.make_dirs_below(self._job.dir, self.files.dir[len(self._job.dir) + 1 :])

    def _write(self) -> None:
        share, files = self._store.share, self.files
        moved = self._spool.save(share, files)
        if self._trace:
            trace = self._trace.encode("utf-8", "backslashreplace")
            moved += save_in_the_way(
                share, files.dir, files.traceback, lambda: share.write_whole(files.traceback, trace)
            )
        for aside in moved:
            self._store.log.warning(
                "%s has left something where what it printed belongs; it is %s now.", self.name, aside
            )

    def show(self) -> None:
        """Copies what was printed so far, and how far the job is; called by another thread while the job runs.

        Raises:
            OSError: the share does not take it.
        """
        share = self._store.share
        with self._lock:
            if self._is_over:
                return
            # Something else of that name is let be as long as the job may use it.
            with suppress(IsADirectoryError):
                self._spool.copy(share, self.files)
            now, seen = share.clock.monotonic(), (self.progress, self.status)
            if seen != self._shown and now - self._shown_at >= _STATUS_PERIOD_S:
                stored = params.dumps({"progress": seen[0], "status": seen[1]}).encode("ascii")
                with suppress(IsADirectoryError):
                    share.write_whole(self.files.status, stored, sync=False)
                self._shown, self._shown_at = seen, now

    def environment(self) -> dict[str, str]:
        """The job's environment variables, for it and for what it starts."""
        return {
            QUEUE_VARIABLE: self._store.layout.dir,
            JOB_VARIABLE: self.name,
            "JOBQUEUE_ATTEMPT": str(self.token.attempt),
            "JOBQUEUE_RUNNING_DIR": self.files.dir,
        }

    def take_back_streams(self) -> None:
        """Once nothing of the job is run any more: what it has printed is kept, and the standard streams are ours."""
        self._spool.taken_back()


def _is_nobodys_fault(error: BaseException) -> bool:
    """Whether what keeps a procedure from being loaded is the share's trouble or queue.cfg, and not the job's fault."""
    # What is wrong with the procedure itself is another JobQueueError.
    return isinstance(error, ConfigError) or (isinstance(error, OSError) and not isinstance(error, JobQueueError))
