"""Job.options, and defaults in queue.cfg."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.errors import JobQueueError
from jobqueue.handle import reader_of
from jobqueue.hierarchy import Hierarchy
from tests.support import start_runjobs

RunAll = Callable[[], int]


def _stored(job: jobqueue.JobHandle) -> dict[str, Any]:
    return dict(Hierarchy(reader_of(job).store.share, job.procDefFile).node(0).options)


def test_options_are_none_before_they_are_set(queue: jobqueue.JobQueue) -> None:
    options = queue.createJobRoot("noop").options
    assert (options.maxAttempts, options.timeout, options.priority) == (None, None, None)


def test_options_are_set_on_the_job_and_stored_with_it(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    job = root.createJob("noop")
    job.options.maxAttempts = 5
    job.options.timeout = 60
    root.options.timeout = 1.5
    assert (job.options.maxAttempts, job.options.timeout, job.options.priority) == (5, 60, None)
    assert repr(job.options) == "JobOptions(maxAttempts=5, timeout=60)"
    assert _stored(root.activate()) == {"maxAttempts": 5, "timeout": 60}


def test_an_option_can_be_taken_back(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    root.options.timeout = 60
    root.options.timeout = None
    assert _stored(root.activate()) == {}


def test_an_option_is_no_parameter_of_the_procedure(queue: jobqueue.JobQueue) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'timeout'"):
        queue.createJobRoot("noop", timeout=60)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("maxAttempts", [0, -1, 1.0, True, "3"], "a whole number, 1 or more"),
        ("timeout", [0, -1, math.inf, math.nan, True, "60"], "a number of seconds above 0"),
        ("priority", [-500, 501, 1.0, True, "high"], "a whole number from -499 to 500"),
    ],
)
def test_a_value_out_of_range_is_a_value_error(
    queue: jobqueue.JobQueue, name: str, values: list[Any], words: str
) -> None:
    options = queue.createJobRoot("noop").options
    for value in values:
        with pytest.raises(ValueError, match=f"option {name} is {value!r}, but has to be {words}") as error:
            setattr(options, name, value)
        assert isinstance(error.value, JobQueueError)
    assert getattr(options, name) is None


def test_an_unknown_option_is_an_error(queue: jobqueue.JobQueue) -> None:
    options = queue.createJobRoot("noop").options
    words = "there is no option retries; the options are maxAttempts, maxErrors, priority, timeout"
    with pytest.raises(ValueError, match=words):
        options.retries = 3
    with pytest.raises(AttributeError, match=words):
        _ = options.retries


def test_the_priority_is_the_whole_hierarchys(queue: jobqueue.JobQueue) -> None:
    root = queue.createJobRoot("noop")
    with pytest.raises(ValueError, match="priority belongs to the whole top-level job; set it on the JobRoot"):
        root.createJob("noop").options.priority = 3


def test_options_have_defaults_in_the_configuration(
    queue_dir: Path, diary: Path, order: Callable[[], list[str]]
) -> None:
    """A job that crashes runs as often as the job says, else as its procedure's section says, else as [main] says."""
    config = queue_dir / "queue.cfg"
    config.write_text(
        config.read_text().replace("[main]\n", "[main]\nmaxAttempts = 2\n") + "\n[python proc]\nmaxAttempts = 1\n"
    )
    queue = jobqueue.JobQueue(str(queue_dir))
    crash = f"open({str(diary)!r}, 'a').write(proc.label + '\\n'); import os; os._exit(3)"
    root = queue.createJobRoot("noop")
    by_main = root.createJob("code", text=crash, label="main")
    by_itself = root.createJob("code", text=crash, label="itself")
    by_itself.options.maxAttempts = 3
    root.createJob("python", function="os:_exit", args=[3])
    del by_main
    job = root.activate()
    worker = start_runjobs(queue_dir, "--slots", "1", "--exit-when-empty", "--poll", "0.1")
    _, log = worker.communicate()
    assert worker.returncode == 0, log
    assert order().count("main") == 2
    assert order().count("itself") == 3
    assert [child.attempt for child in job.listSubJobs()] == [2, 3, 1]
    assert all(child.hasError() for child in job.listSubJobs())


def test_a_timeout_ends_an_attempt(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    root = queue.createJobRoot("command", cmd=["sleep", "600"])
    root.options.timeout = 0.2
    job = root.activate()
    worker = start_runjobs(queue_dir, "--slots", "1", "--exit-when-empty", "--poll", "0.1")
    _, log = worker.communicate()
    assert worker.returncode == 0, log
    assert job.error == "it ran longer than its timeout of 0.2 s"
