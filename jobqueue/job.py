"""Job and JobRoot: a hierarchy under construction (public)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobqueue import params as codec
from jobqueue.errors import DependencyError, JobStateError
from jobqueue.items import AUTO, ArrayPlan, describe_array
from jobqueue.names import MAX_NESTED_DEPTH
from jobqueue.options import JobOptions
from jobqueue.proc import JobProc
from jobqueue.procedures import has_post_create
from jobqueue.submit import Submission

if TYPE_CHECKING:
    from jobqueue.handle import JobHandle
    from jobqueue.queue import JobQueue


class Job:
    """A job of a hierarchy that is being put together.

    Args:
        jobRoot: the hierarchy's root.
        jobType: the type name of its procedure; ``None`` for a job that does nothing but group others.
        **params: the procedure's parameters: ``None``, bool, int, float, str, bytes, list, tuple or dict, nested.

    Raises:
        TypeError: an argument or a parameter is of a wrong type; the message names it.
        ValueError: there is no such procedure.
        Exception: whatever the procedure's constructor says of the parameters.

    Attributes:
        options: how the job is scheduled; to be set before activation.
    """

    options: JobOptions
    _depth: int

    def __init__(self, jobRoot: JobRoot, jobType: str | None, **params: Any) -> None:
        if not isinstance(jobRoot, JobRoot):
            raise TypeError(f"jobRoot has to be a JobRoot, not {type(jobRoot).__name__}")
        self._set_up(jobRoot, jobRoot, jobType, params)

    def _set_up(
        self,
        root: JobRoot,
        home: Job | None,
        job_type: str | None,
        params: dict[str, Any],
        array: ArrayPlan | None = None,
    ) -> None:
        """Fills in a new job; ``home`` is the job in whose directory its own lies, ``None`` for the root itself."""
        if job_type is not None and not isinstance(job_type, str):
            raise TypeError(f"jobType has to be a text or None, not {type(job_type).__name__}")
        if home is not None:
            root._check_open()
        stored = {name: codec.encode(name, value) for name, value in params.items()}
        # The procedure is made from what was stored, so that what the worker will see is what was checked.
        given = {name: codec.decode(value) for name, value in stored.items()}
        make = root._queue._store_or_raise().procedures.make
        proc = make(job_type, {**given, **array.first} if array else given)
        self._root = root
        self._type = job_type
        self._params = stored
        self._array = array
        self._label = (
            proc.label if array is None else _label_of(array, lambda sample: make(job_type, {**given, **sample}))
        )
        self._dependencies: dict[Job, None] = {}
        self._places_given = 0
        self._depth = 0 if home is None else home._depth + 1
        self._place = "" if home is None else root._place_below(home)
        self.options = JobOptions(is_root=home is None)
        if has_post_create(proc):
            proc.postCreate(root._submission.make_dir(self._place))
        root._jobs.append(self)

    def createJob(self, jobType: str | None = None, **params: Any) -> Job:
        """Makes a new sub-job that this job depends on.

        Args:
            jobType: the type name of its procedure, or ``None``.
            **params: the procedure's parameters.

        Returns:
            The new job.

        Raises:
            JobStateError: the hierarchy is active already.
            Exception: see the constructor.
        """
        job = Job.__new__(Job)
        job._set_up(self._root, self, jobType, params)
        self._depend_on(job)
        return job

    def createJobArray(
        self,
        jobType: str,
        frames: str | None = None,
        over: Mapping[str, Sequence[Any]] | None = None,
        chunk: int | str = AUTO,
        **params: Any,
    ) -> Job:
        """Makes a new sub-job that this job depends on: an array, of any number of items that are run independently.

        An array costs no more to submit than a single job, and nothing is made for an item before a worker takes it.
        The procedure is made anew for each item, which it is told by its parameters:

        - for ``frames``: a procedure with a parameter ``frame`` gets one frame (an int), and is run once for each; one
          with a parameter ``frames`` gets those of a chunk as a range (a text), and is run once for each chunk. In a
          ``command`` the fields ``{frame}``, ``{start}``, ``{end}``, ``{frames}`` and ``{index}`` are filled in, also
          in its ``outputs``; one that has only fields of a range is run once for each chunk. Braces that are meant
          themselves are doubled.
        - for ``over``: each item gets one value of each parameter.

        Args:
            jobType: the type name of its procedure.
            frames: a range of frames such as ``1-1000000x2,7``, 10,000,000 at most, each once.
            over: for each of some parameters a sequence of values, one for each item.
            chunk: how many items a slot takes at once; ``"auto"``: as many as take about ten seconds.
            **params: further parameters of the procedure, the same for all items.

        Returns:
            The new job.

        Raises:
            JobStateError: the hierarchy is active already.
            TypeError: a parameter or a value cannot be stored, or the procedure cannot be told about frames.
            ValueError: there is no such procedure, the range is none, or ``over`` holds nothing or unequally much.
            Exception: whatever the procedure's constructor says of the first item's parameters.
        """
        if not isinstance(jobType, str):
            raise TypeError(f"jobType has to be a text, not {type(jobType).__name__}")
        job = Job.__new__(Job)
        described = describe_array(self._root._procedure(jobType), frames, over, chunk, params)
        job._set_up(self._root, self, jobType, params, described)
        self._depend_on(job)
        return job

    def addDependency(self, job: Job) -> None:
        """Makes this job run after another one. Dependencies that others imply are dropped at activation.

        Args:
            job: of the same hierarchy, but neither this one nor the root.

        Raises:
            TypeError: it is not a Job.
            ValueError: it is this job, the root, or a job of another hierarchy.
            JobStateError: the hierarchy is active already.
        """
        if not isinstance(job, Job):
            raise TypeError(f"a job can depend on a Job only, not on {type(job).__name__}")
        if job is self:
            raise DependencyError("a job cannot depend on itself")
        if isinstance(job, JobRoot):
            raise DependencyError("a job cannot depend on the root of a hierarchy")
        if job._root is not self._root:
            raise DependencyError("a job cannot depend on a job of another hierarchy")
        self._root._check_open()
        self._depend_on(job)

    def _depend_on(self, job: Job) -> None:
        # A dict keeps the order, and a second mention changes nothing.
        self._dependencies[job] = None


class JobRoot(Job):
    """The root of a hierarchy: a top-level job that is being put together.

    Nothing runs before `activate`. A root that is never activated leaves nothing in the queue, unless a procedure with
    a ``postCreate`` has asked for a directory.

    Args:
        jobQueue: the queue.
        jobType: the type name of its procedure; ``None`` for a job that does nothing but group others.
        **params: the procedure's parameters.

    Raises:
        TypeError: as for `Job`.
        ValueError: as for `Job`.
        Exception: as for `Job`.
        JobQueueError: the queue is ``None``'s and takes no jobs.
    """

    def __init__(self, jobQueue: JobQueue, jobType: str | None, **params: Any) -> None:
        from jobqueue.queue import JobQueue

        if not isinstance(jobQueue, JobQueue):
            raise TypeError(f"jobQueue has to be a JobQueue, not {type(jobQueue).__name__}")
        store = jobQueue._store_or_raise()
        self._queue = jobQueue
        self._submission = Submission(store)
        self._keep_flat = store.config.keep_jobs_in_repository
        self._jobs: list[Job] = []
        self._is_active = False
        self._set_up(self, None, jobType, params)

    def activate(self) -> JobHandle:
        """Publishes the whole hierarchy at once: the last step of a submission.

        When it returns, the submission is on the disk and will not be lost. Before its last call nobody sees the job.

        Returns:
            The handle of the top-level job.

        Raises:
            JobQueueError: the dependencies form a cycle, or a job is nobody's dependency; nothing was changed.
            JobStateError: the hierarchy is active already.
            OSError: the share did not take it, or its answer was lost; to be called again, which publishes nothing
                twice.

        Files:
            Writes job<NUMBER>/ and the entry in index/runnable/.
        """
        from jobqueue.handle import JobHandle

        self._check_open()
        number, root = self._submission.publish(self)
        self._is_active = True
        return JobHandle(self._queue._store_or_raise(), number, root, "")

    def _procedure(self, job_type: str) -> type[JobProc]:
        return self._queue._store_or_raise().procedures.find(job_type)

    def _check_open(self) -> None:
        if self._is_active:
            raise JobStateError("the hierarchy is active already, nothing of it can be changed any more")

    def _place_below(self, home: Job) -> str:
        """The directory of a new job: in that of ``home``, or flat in .jobs/ where paths would grow too long."""
        if self._keep_flat or home._depth >= MAX_NESTED_DEPTH:
            return f".jobs/job{len(self._jobs)}"
        place = f"job{home._places_given}"
        home._places_given += 1
        return f"{home._place}/{place}" if home._place else place


def _label_of(array: ArrayPlan, make: Callable[[dict[str, Any]], JobProc]) -> str | None:
    """What all items of an array have for a label, if anything."""
    try:
        labels = {make(sample).label for sample in array.samples}
    except Exception:  # noqa: BLE001  only what the constructor says of the first item's parameters counts
        return None
    return labels.pop() if len(labels) == 1 else None
