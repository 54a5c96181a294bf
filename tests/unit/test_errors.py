"""The tree of errors: each also the nearest built-in, each with the path and the reason."""

from __future__ import annotations

import pickle

import pytest

from jobqueue import errors

BUILT_IN: dict[type[errors.JobQueueError], type[Exception]] = {
    errors.QueueNotFoundError: ValueError,
    errors.QueueExistsError: ValueError,
    errors.FormatVersionError: ValueError,
    errors.ConfigError: ValueError,
    errors.UnknownProcedureError: ValueError,
    errors.UnsafeProcedureError: PermissionError,
    errors.ParameterError: TypeError,
    errors.OptionError: ValueError,
    errors.FrameRangeError: ValueError,
    errors.ArrayError: ValueError,
    errors.OutputError: ValueError,
    errors.DependencyError: ValueError,
    errors.JobNotFoundError: LookupError,
    errors.JobStateError: Exception,
    errors.BrokenJobError: Exception,
    errors.LostRaceError: Exception,
}


def test_every_error_is_in_the_table() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and kind is not errors.JobQueueError}
    assert kinds == set(BUILT_IN)


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.__name__)
def test_an_error_is_also_the_nearest_built_in_one(kind: type[errors.JobQueueError]) -> None:
    error = kind("it is away")
    assert isinstance(error, errors.JobQueueError)
    assert isinstance(error, BUILT_IN[kind])
    assert (str(error), error.reason, error.path) == ("it is away", "it is away", None)


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.__name__)
def test_the_path_stands_before_the_reason(kind: type[errors.JobQueueError]) -> None:
    error = kind("it is away", "/queue/job1")
    assert (str(error), error.reason, error.path) == ("/queue/job1: it is away", "it is away", "/queue/job1")


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.__name__)
def test_an_error_can_be_sent_to_another_process(kind: type[errors.JobQueueError]) -> None:
    error = pickle.loads(pickle.dumps(kind("it is away", "/queue/job1")))
    assert type(error) is kind
    assert (str(error), error.reason, error.path) == ("/queue/job1: it is away", "it is away", "/queue/job1")
