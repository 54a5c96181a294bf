"""JobQueue and createJobQueue (public): thin, over the modules below."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jobqueue import control
from jobqueue.config import config_text
from jobqueue.errors import FrameRangeError, JobNotFoundError, JobQueueError, JobStateError, QueueExistsError
from jobqueue.frames import frame_parts
from jobqueue.handle import JobHandle, reader_of
from jobqueue.job import JobRoot
from jobqueue.layout import QueueLayout
from jobqueue.names import INDEX_FOLDERS, QUEUE_VARIABLE, parse_job_number
from jobqueue.reader import JobReader
from jobqueue.share import Share
from jobqueue.store import Store

if TYPE_CHECKING:
    from jobqueue.item import ItemHandle, Selection


def defaultJobQueueLocation() -> str | None:
    """The queue's directory that the environment names (``JOBQUEUE_QUEUE``), or ``None``."""
    return os.environ.get(QUEUE_VARIABLE) or None


def createJobQueue(location: str, keepJobsInRepository: bool = False, useSymLinks: bool = False) -> None:
    """Makes a job queue.

    Args:
        location: an empty or missing directory whose parent exists.
        keepJobsInRepository: sub-job directories lie flat under the root's ``.jobs/`` instead of nested.
        useSymLinks: a sub-job with several parents appears in the others as a symbolic link, for people to browse.

    Raises:
        ValueError: the directory is not empty, or its parent is missing; nothing was changed.
        TypeError: an argument is of a wrong type.
        OSError: it cannot be written.

    Files:
        Makes the directory with queue.cfg, procs/, index/, tmp/, trash/ and workers/.
    """
    if not isinstance(location, str | os.PathLike):
        raise TypeError(f"location has to be a path, not {type(location).__name__}")
    layout = QueueLayout(os.path.abspath(os.fspath(location)))
    share = Share()
    made: list[str] = []
    if share.is_dir(layout.dir):
        if share.names(layout.dir):
            raise QueueExistsError("the directory is not empty; name an empty or a missing one", layout.dir)
    elif not share.is_dir(os.path.dirname(layout.dir)):
        raise QueueExistsError("the parent directory is missing; make it first", layout.dir)
    elif share.try_make_dir(layout.dir):
        made.append(layout.dir)
    else:
        raise QueueExistsError("there is a file of this name", layout.dir)
    text = config_text(keep_jobs_in_repository=bool(keepJobsInRepository), use_sym_links=bool(useSymLinks))
    try:
        _lay_out(share, layout, text, made)
    except OSError:
        # A share that is away takes nothing back either.
        with suppress(OSError):
            for directory in reversed(made):
                share.remove_dir(directory)
        raise


def _lay_out(share: Share, layout: QueueLayout, text: str, made: list[str]) -> None:
    """Makes what belongs in a queue; adds each directory to ``made``."""
    try:
        # Only its owner may write it, since its code runs as the workers' user.
        share.make_dir(layout.procs, 0o755)
    except FileExistsError as error:
        # RACE: the directory was empty a moment ago. Whoever has made procs/ goes on, and nothing of his is ours.
        raise QueueExistsError("another process is making a queue here", layout.dir) from error
    made.append(layout.procs)
    folders = [layout.index_folder(folder) for folder in INDEX_FOLDERS]
    for directory in (layout.index, *folders, layout.last, layout.tmp, layout.trash, layout.workers):
        share.make_dir(directory)
        made.append(directory)
    # Order matters: with its configuration the directory becomes a queue, so that comes last.
    share.sync_everything(layout.dir)
    share.write_whole(layout.config, text.encode("utf-8"))


class JobQueue:
    """A job queue: top-level jobs, each with a hierarchy of sub-jobs, in a directory.

    Holds nothing in memory but caches: any number of objects, processes and machines may be attached to one queue at
    once, and be dropped at any time.

    Not guaranteed: that a job is executed only once (a machine can die in the middle); guaranteed is that exactly one
    result of it counts.

    Args:
        location: the queue's directory, or ``None`` for an empty queue that takes no jobs.
        logger: is told what happens; by default the logger ``jobqueue``.

    Raises:
        TypeError: ``location`` is neither a path nor ``None``.
        ValueError: the directory is missing, is not a queue, has another format version, or settings that make no
            sense.
    """

    def __init__(self, location: str | None, logger: logging.Logger | None = None) -> None:
        if location is not None and not isinstance(location, str | os.PathLike):
            raise TypeError(f"location has to be a path or None, not {type(location).__name__}")
        self._store = None if location is None else Store(os.fspath(location), log=logger)

    @property
    def location(self) -> str | None:
        """The queue's directory, absolute, or ``None``."""
        return self._store.layout.dir if self._store else None

    def createJobRoot(self, jobType: str | None = None, **params: Any) -> JobRoot:
        """Begins a new top-level job; `JobRoot.activate` makes it visible.

        Args:
            jobType: the type name of its procedure, or ``None`` for a job that only groups others.
            **params: the procedure's parameters; checked at once by making the procedure.

        Raises:
            JobQueueError: this is ``None``'s queue, which takes no jobs.
            TypeError: a parameter is of a type that cannot be stored.
            ValueError: there is no such procedure.
        """
        return JobRoot(self, jobType, **params)

    createJob = createJobRoot

    def listJobs(self) -> list[JobHandle]:
        """The top-level jobs, in processing order; a few listings, however many there are."""
        if self._store is None:
            return []
        return [JobHandle(self._store, entry.number, None, "") for entry in self._store.index.all()]

    def listArchivedJobs(self) -> list[JobHandle]:
        """The top-level jobs that are archived, the oldest first; one listing, however many there are."""
        if self._store is None:
            return []
        return [JobHandle(self._store, number, None, "") for number in self._store.archives.numbers()]

    def findJob(self, name: str) -> JobHandle:
        """The job of a name: ``job100`` or ``job100/job3``; also of one that is archived.

        Raises:
            JobNotFoundError: there is none.
        """
        store = self._store_or_raise()
        whole, colon, _ = name.partition(":")
        top, _, place = whole.strip("/").partition("/")
        number = parse_job_number(top)
        if colon and number is not None:
            raise JobNotFoundError(f"{name!r} names items of an array; this is only for whole jobs, such as {whole}")
        if number is None:
            raise JobNotFoundError(f"{name!r} is no job's name; a name is for example job100 or job100/job3")
        control.raise_if_deleted(store, number)
        if not place:
            return JobHandle(store, number, None, "")
        node = JobReader(store, number, None, "").hierarchy().find(place)
        if node is None:
            raise JobNotFoundError(f"job{number} has no sub-job {place}; `jobqueue tree job{number}` shows them all")
        return JobHandle(store, number, node, place)

    def findItems(self, name: str) -> list[ItemHandle]:
        """The items of a name: ``job100/job3:17`` or ``job100/job3:17-25,40``, by their frames, or else their places.

        Where ``job100`` has only one array, ``job100:17`` means that one's.

        Raises:
            JobNotFoundError: there is no such job or item.
            JobStateError: the job is no array, and has none or several.
            ValueError: what comes after the colon is no range.
        """
        return items_named(self, name).handles()

    def retryItems(self, items: Iterable[ItemHandle]) -> int:
        """Makes items that have failed ready again.

        Args:
            items: of one array.

        Returns:
            How many are to be run again.

        Raises:
            JobStateError: one has not failed; nothing was changed then.
            TypeError: one is no handle of an item; the same.
        """
        from jobqueue.item import retry_items

        return retry_items(items)

    def deleteJobs(self, jobs: JobHandle | Iterable[JobHandle] | None) -> None:
        """Deletes top-level jobs, from the queue or from the archives.

        When this returns nobody can take them up any more, and attempts under way are being ended. A job that is gone
        is no error.

        Args:
            jobs: one handle, several, or ``None``.

        Raises:
            TypeError: one of them is no handle; nothing was deleted.
            JobStateError: one of them is a sub-job; nothing was deleted.
            OSError: one cannot be deleted.
        """
        if jobs is None:
            return
        handles = [jobs] if isinstance(jobs, JobHandle) else list(jobs)
        for handle in handles:
            if not isinstance(handle, JobHandle):
                raise TypeError(f"jobs has to be one JobHandle or several, not {type(handle).__name__}")
            if reader_of(handle).place:
                raise JobStateError(f"{handle.name} is a sub-job; only whole hierarchies can be deleted")
        for handle in handles:
            reader = reader_of(handle)
            control.delete(reader.queue, reader.number)

    def runNextAvailableJob(self, retries: int = 10) -> bool:
        """Runs the next ready job in this process, whose working directory is afterwards what it was.

        ``timeout`` is not enforced here, and a job that ends the process ends this one; `runjobs` has slots for that.

        Args:
            retries: how often a ready job may be lost to another process, 1 or more.

        Returns:
            ``True`` if a job was run, even if it failed; ``False`` if no job is ready.

        Raises:
            JobQueueError: a ready job was seen at each of ``retries`` tries, and each was lost; or another thread of
                this process is running one.
            OSError: the share is in trouble.

        Files:
            The process becomes a worker, with a directory in workers/, until it ends or has not called this for 30 s.
        """
        if self._store is None:
            return False
        from jobqueue.worker.inprocess import run_next

        return run_next(self._store, retries)

    def _store_or_raise(self) -> Store:
        if self._store is None:
            raise JobQueueError("this queue has no directory and takes no jobs; attach to one with JobQueue(location)")
        return self._store

    def __repr__(self) -> str:
        return f"JobQueue({self.location!r})"


def items_named(queue: JobQueue, name: str) -> Selection:
    """The same as `JobQueue.findItems`, without a handle for each, for the other modules of this package."""
    from jobqueue.item import Selection
    from jobqueue.itemreader import ItemReader

    head, _, items = name.partition(":")
    reader = reader_of(queue.findJob(head))
    arrays = reader.hierarchy().arrays()
    if reader.node().array is None and not reader.place:
        if not arrays:
            raise JobStateError(f"{head} has no array, so it has no items")
        if len(arrays) > 1:
            named = ", ".join(f"{head}/{reader.hierarchy().node(node).place}" for node in arrays)
            raise JobStateError(f"{head} has {len(arrays)} arrays ({named}); say of which one the items are meant")
        reader = reader.sibling(*arrays)
    array = ItemReader(reader)
    try:
        return Selection(array, frame_parts(items))
    except FrameRangeError as error:
        raise FrameRangeError(f"{name!r}: {error}") from error
