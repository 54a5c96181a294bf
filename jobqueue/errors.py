"""The errors of this project: one tree, each also the nearest built-in, each with the path and the reason."""

from __future__ import annotations


class JobQueueError(Exception):
    """Something that the queue cannot do; the message names the path and what to do next.

    Args:
        reason: one sentence for the user, with the next command where there is one.
        path: the file or directory that it is about, or ``None``.
    """

    def __init__(self, reason: str, path: str | None = None) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path


class QueueNotFoundError(JobQueueError, ValueError):
    """The directory is missing, or it is not a job queue."""


class QueueExistsError(JobQueueError, ValueError):
    """A queue cannot be made here: the place is taken, or its parent is missing."""


class FormatVersionError(JobQueueError, ValueError):
    """The queue has a format version that this version of jobqueue does not know; nothing in it was touched."""


class ConfigError(JobQueueError, ValueError):
    """queue.cfg cannot be read, or holds a setting that makes no sense."""


class UnknownProcedureError(JobQueueError, ValueError):
    """No job procedure has this type name."""


class UnsafeProcedureError(JobQueueError, PermissionError):
    """A procedure file that somebody else may write; its code is not run."""


class ParameterError(JobQueueError, TypeError):
    """A parameter has a type that cannot be stored so that it comes back the same."""


class OptionError(JobQueueError, ValueError):
    """A scheduling option that is unknown or out of its range."""


class OutputError(JobQueueError, ValueError):
    """A file that cannot be an output of a job, or one that was to be and is not there."""


class FrameRangeError(JobQueueError, ValueError):
    """A text that is not a frame range."""


class ArrayError(JobQueueError, ValueError):
    """An array cannot be made of what was given for it."""


class DependencyError(JobQueueError, ValueError):
    """A dependency that cannot be: on itself, on the root, on another hierarchy's job, or round a cycle."""


class JobNotFoundError(JobQueueError, LookupError):
    """No job has this name; it may have been deleted."""


class JobStateError(JobQueueError):
    """The job is not in a state in which this can be done to it."""


class BrokenJobError(JobQueueError):
    """A job directory that cannot be read as one; `jobqueue hold` keeps it out of the workers' way."""


class LostRaceError(JobQueueError):
    """Other processes were quicker at every try; trying again later is safe."""


def how_to_mend(number: int | None) -> str:
    """What a person can do about a top-level job whose hierarchy cannot be read."""
    job = "JOB" if number is None else f"job{number}"
    return f"restore the file from a backup and `jobqueue release {job}`, or `jobqueue delete {job}`"
