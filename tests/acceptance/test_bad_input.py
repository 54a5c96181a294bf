"""Bad input gets a clear error, and changes nothing: after each one the queue is byte for byte what it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.errors import (
    DependencyError,
    JobNotFoundError,
    JobStateError,
    OptionError,
    ParameterError,
    QueueExistsError,
    QueueNotFoundError,
    UnknownProcedureError,
)
from jobqueue.handle import reader_of
from tests.support import snapshot

_KINDS = "blender, code, command, dumpenv, ffmpeg, maya, noop, note, povray, python, renderrib"
_EMPTY = "empty directory"
_STORABLE = "use None, bool, int, float, str, bytes, list, tuple or dict"


@dataclass
class World:
    """A queue with a job in each state, and what a mistake is made with."""

    dir: Path
    queue: jobqueue.JobQueue
    jobs: dict[str, jobqueue.JobHandle] = field(default_factory=dict)

    def root(self) -> jobqueue.JobRoot:
        return self.queue.createJobRoot("noop")

    def __getattr__(self, name: str) -> jobqueue.JobHandle:
        return self.jobs[name]


@pytest.fixture
def world(queue_dir: Path) -> World:
    queue = jobqueue.JobQueue(str(queue_dir))
    world = World(queue_dir, queue)
    for name, text in (("gone", ""), ("finished", ""), ("failed", "raise ValueError('no')"), ("cancelled", "")):
        world.jobs[name] = queue.createJobRoot("code", text=text).activate()
    queue.deleteJobs(world.gone)
    world.cancelled.cancel()
    while queue.runNextAvailableJob():
        pass
    root = queue.createJobRoot("noop")
    root.createJob("noop")
    world.jobs["waiting"] = root.activate()
    world.jobs["sub"] = world.waiting.listSubJobs()[0]
    return world


@pytest.fixture
def stalled(world: World) -> jobqueue.JobHandle:
    """The finished sub-job of a hierarchy in which another one has failed."""
    world.waiting.hold()
    root = world.root()
    root.createJob("noop")
    root.createJob("code", text="proc.setError()")
    job = root.activate()
    while world.queue.runNextAvailableJob():
        pass
    world.waiting.release()
    return job.listSubJobs()[0]


def _cycle(world: World) -> jobqueue.JobRoot:
    root = world.root()
    first = root.createJob("noop")
    first.createJob("noop").addDependency(first)
    return root


def _orphan(world: World) -> jobqueue.JobRoot:
    root = world.root()
    jobqueue.Job(root, "noop")
    return root


def _itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


Call = Callable[[World], object]
_MISTAKES: list[tuple[str, Call, type[Exception], str]] = [
    # --- making a queue and attaching to one
    ("create in a used directory", lambda w: jobqueue.createJobQueue(str(w.dir)), QueueExistsError,
     "{dir}: the directory is not empty; name an empty or a missing one"),
    ("create below nothing", lambda w: jobqueue.createJobQueue(f"{w.dir}/no/where"), QueueExistsError,
     "{dir}/no/where: the parent directory is missing; make it first"),
    ("create over a file", lambda w: jobqueue.createJobQueue(f"{w.dir}/queue.cfg"), QueueExistsError,
     "{dir}/queue.cfg: there is a file of this name"),
    ("create at a number", lambda _: jobqueue.createJobQueue(3), TypeError,  # type: ignore[arg-type]
     "location has to be a path, not int"),
    ("attach to a missing directory", lambda w: jobqueue.JobQueue(f"{w.dir}/no"), QueueNotFoundError,
     "{dir}/no: there is no such directory; `jobqueue create DIR` makes a queue"),
    ("attach to a file", lambda w: jobqueue.JobQueue(f"{w.dir}/queue.cfg"), QueueNotFoundError,
     "{dir}/queue.cfg: this is a file, and a queue is a directory; `jobqueue create DIR` makes one"),
    ("attach to a foreign directory", lambda w: jobqueue.JobQueue(f"{w.dir}/procs"), QueueNotFoundError,
     "{dir}/procs: this is not a job queue, it has no queue.cfg; `jobqueue create DIR` makes one in an " + _EMPTY),
    ("attach to a number", lambda _: jobqueue.JobQueue(3), TypeError,  # type: ignore[arg-type]
     "location has to be a path or None, not int"),
    ("submit to nothing", lambda _: jobqueue.JobQueue(None).createJobRoot("noop"), jobqueue.JobQueueError,
     "this queue has no directory and takes no jobs; attach to one with JobQueue(location)"),
    ("find in nothing", lambda _: jobqueue.JobQueue(None).findJob("job1"), jobqueue.JobQueueError,
     "this queue has no directory and takes no jobs; attach to one with JobQueue(location)"),
    # --- procedures and parameters
    ("an unknown procedure", lambda w: w.queue.createJobRoot("bake"), UnknownProcedureError,
     "{dir}/procs: there is no procedure bake; there are " + _KINDS),
    ("an unknown procedure below", lambda w: w.root().createJob("bake"), UnknownProcedureError,
     "{dir}/procs: there is no procedure bake; there are " + _KINDS),
    ("a module that is not there", lambda w: w.queue.createJobRoot("no.such:Thing"), UnknownProcedureError,
     "procedure no.such:Thing: importing no.such failed: ModuleNotFoundError(\"No module named 'no'\")"),
    ("a class that is not there", lambda w: w.queue.createJobRoot("os.path:Thing"), UnknownProcedureError,
     "procedure os.path:Thing: there is no class Thing derived from JobProc in it"),
    ("a class that is no procedure", lambda w: w.queue.createJobRoot("pathlib:Path"), UnknownProcedureError,
     "procedure pathlib:Path: there is no class Path derived from JobProc in it"),
    ("a type that is a number", lambda w: w.queue.createJobRoot(3), TypeError,  # type: ignore[arg-type]
     "jobType has to be a text or None, not int"),
    ("a parameter that cannot be stored", lambda w: w.queue.createJobRoot("noop", n={1}), ParameterError,
     "parameter n has the type set, which cannot be stored; " + _STORABLE),
    ("a parameter that holds one", lambda w: w.root().createJob("noop", n=[{"a": (1j,)}]), ParameterError,
     "parameter n[0]['a'][0] has the type complex, which cannot be stored; " + _STORABLE),
    ("a parameter that contains itself", lambda w: w.queue.createJobRoot("noop", n=_itself()), ParameterError,
     "parameter n" + "[0]" * 100 + " is nested more than 100 deep, or contains itself"),
    ("a parameter that the procedure has not", lambda w: w.queue.createJobRoot("noop", m=1), TypeError,
     "noop.__init__() got an unexpected keyword argument 'm'"),
    ("a parameter of a group", lambda w: w.queue.createJobRoot(None, m=1), TypeError,
     "a job without a procedure takes only a label, but m was given"),
    ("a parameter out of range", lambda w: w.queue.createJobRoot("command", cmd=" "), ValueError,
     "cmd names no program"),
    # --- a hierarchy
    ("a root without a queue", lambda _: jobqueue.JobRoot(None, "noop"), TypeError,  # type: ignore[arg-type]
     "jobQueue has to be a JobQueue, not NoneType"),
    ("a job without a root", lambda w: jobqueue.Job(w.queue, "noop"), TypeError,  # type: ignore[arg-type]
     "jobRoot has to be a JobRoot, not JobQueue"),
    ("a dependency on itself", lambda w: (job := w.root().createJob("noop")).addDependency(job), DependencyError,
     "a job cannot depend on itself"),
    ("a dependency on the root", lambda w: (root := w.root()).createJob("noop").addDependency(root), DependencyError,
     "a job cannot depend on the root of a hierarchy"),
    ("a dependency on another hierarchy", lambda w: w.root().addDependency(w.root().createJob("noop")), DependencyError,
     "a job cannot depend on a job of another hierarchy"),
    ("a dependency on a handle", lambda w: w.root().addDependency(w.waiting), TypeError,  # type: ignore[arg-type]
     "a job can depend on a Job only, not on JobHandle"),
    ("a cycle", lambda w: _cycle(w).activate(), DependencyError,
     "the hierarchy contains a cycle, so none of the jobs in it could ever begin"),
    ("a job beside the hierarchy", lambda w: _orphan(w).activate(), DependencyError,
     "the job 'noop' is no dependency of the root, however indirect, so it would never run; add it with addDependency"),
    ("an unknown option", lambda w: setattr(w.root().options, "tries", 3), OptionError,
     "there is no option tries; the options are maxAttempts, maxErrors, priority, timeout"),
    ("an option out of range", lambda w: setattr(w.root().options, "timeout", 0), OptionError,
     "option timeout is 0, but has to be a number of seconds above 0"),
    ("a priority below the root", lambda w: setattr(w.root().createJob().options, "priority", 1), OptionError,
     "option priority belongs to the whole top-level job; set it on the JobRoot"),
    # --- the queue's jobs
    ("a name that is none", lambda w: w.queue.findJob("the first one"), JobNotFoundError,
     "'the first one' is no job's name; a name is for example job100 or job100/job3"),
    ("no name", lambda w: w.queue.findJob(""), JobNotFoundError,
     "'' is no job's name; a name is for example job100 or job100/job3"),
    ("a job that is not there", lambda w: w.queue.findJob("job99"), JobNotFoundError,
     "{dir}: there is no job99; it may have been deleted, `jobqueue list` shows what there is"),
    ("a sub-job that is not there", lambda w: w.queue.findJob("job5/job9"), JobNotFoundError,
     "job5 has no sub-job job9; `jobqueue tree job5` shows them all"),
    ("a way out of the queue", lambda w: w.queue.findJob("job5/../../etc"), JobNotFoundError,
     "job5 has no sub-job ../../etc; `jobqueue tree job5` shows them all"),
    ("no tries", lambda w: w.queue.runNextAvailableJob(retries=0), ValueError, "retries has to be 1 or more, not 0"),
    ("half a try", lambda w: w.queue.runNextAvailableJob(retries=0.5), ValueError,  # type: ignore[arg-type]
     "retries has to be 1 or more, not 0.5"),
    ("delete a sub-job", lambda w: w.queue.deleteJobs([w.waiting, w.sub]), JobStateError,
     "job5/job0 is a sub-job; only whole hierarchies can be deleted"),
    ("delete a name", lambda w: w.queue.deleteJobs("job5"), TypeError,  # type: ignore[arg-type]
     "jobs has to be one JobHandle or several, not str"),
    ("delete a number", lambda w: w.queue.deleteJobs([w.waiting, 5]), TypeError,  # type: ignore[list-item]
     "jobs has to be one JobHandle or several, not int"),
    # --- what a job's state does not allow
    ("setError on a finished job", lambda w: w.finished.setError(), JobStateError,
     "{dir}/job2: job2 is finished already, so it cannot be made to fail"),
    ("setError on a failed job", lambda w: w.failed.setError(), JobStateError,
     "{dir}/job3: job3 is failed already, so it cannot be made to fail"),
    ("setError on a cancelled job", lambda w: w.cancelled.setError(), JobStateError,
     "{dir}/job4: job4 is cancelled already, so it cannot be made to fail"),
    ("the result of a waiting job", lambda w: w.waiting.result, JobStateError,
     "{dir}/job5: job5 has no result yet, it is blocked; wait for it"),
    ("the result of a cancelled job", lambda w: w.cancelled.result, JobStateError,
     "{dir}/job4/.attempt1: job4 has no result, it is cancelled: cancelled; `jobqueue log job4` shows what it printed"),
    ("retry of a finished job", lambda w: w.finished.retry(), JobStateError,
     "{dir}/job2: job2 is done, so nothing of it can be tried again; submit it anew"),
    ("hold of a finished job", lambda w: w.finished.hold(), JobStateError,
     "{dir}: job2 is done, not runnable or waiting or held"),
    ("release of a finished job", lambda w: w.finished.release(), JobStateError,
     "{dir}: job2 is done, not held or waiting"),
    ("cancel of a finished job", lambda w: w.finished.cancel(), JobStateError, "{dir}/job2: job2 has ended already"),
    ("cancel of a sub-job", lambda w: w.sub.cancel(), JobStateError,
     "job5/job0 is a sub-job; only a whole hierarchy can be cancelled: job5"),
    ("hold of a sub-job", lambda w: w.sub.hold(), JobStateError,
     "job5/job0 is a sub-job; only a whole hierarchy can be held: job5"),
    ("release of a sub-job", lambda w: w.sub.release(), JobStateError,
     "job5/job0 is a sub-job; only a whole hierarchy can be released: job5"),
    ("priority of a sub-job", lambda w: w.sub.setPriority(1), JobStateError,
     "job5/job0 is a sub-job; only a whole hierarchy can be given a priority: job5"),
    ("a priority out of range", lambda w: w.waiting.setPriority(501), OptionError,
     "option priority is 501, but has to be a whole number from -499 to 500"),
    # --- jobs that are gone
    *[(f"{name} of a deleted job", call, JobNotFoundError,
       "{dir}: there is no job1; it may have been deleted, `jobqueue list` shows what there is")
      for name, call in (
          ("findJob", lambda w: w.queue.findJob("job1")),
          ("label", lambda w: jobqueue.JobHandle(reader_of(w.gone).store, 1, None, "").label),
          ("setError", lambda w: w.gone.setError()), ("retry", lambda w: w.gone.retry()),
      )],
    *[(f"{name} of a deleted job", call, JobNotFoundError, "{dir}: there is no job1 in the queue")
      for name, call in (
          ("hold", lambda w: w.gone.hold()), ("release", lambda w: w.gone.release()),
          ("cancel", lambda w: w.gone.cancel()), ("setPriority", lambda w: w.gone.setPriority(1)),
      )],
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), [row[1:] for row in _MISTAKES], ids=[row[0] for row in _MISTAKES])
def test_a_mistake_gets_a_clear_error_and_changes_nothing(
    world: World, call: Call, kind: type[Exception], text: str
) -> None:
    before = snapshot(world.dir)
    with pytest.raises(kind) as error:
        call(world)
    assert str(error.value).splitlines()[0] == text.replace("{dir}", str(world.dir))
    assert snapshot(world.dir) == before


def test_only_a_failed_job_can_be_tried_again(world: World, stalled: jobqueue.JobHandle) -> None:
    before = snapshot(world.dir)
    with pytest.raises(JobStateError) as error:
        stalled.retry()
    assert str(error.value) == f"{world.dir}/job6: this job is finished, only a failed one can be tried again"
    assert snapshot(world.dir) == before
    with pytest.raises(JobStateError, match="this job is ready, only a failed one can be tried again"):
        world.sub.retry()


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a/b",
        "../noop",
        "noop.py",
        "a\n",
        "noop;rm",
        "$(noop)",
        "naïve",
        "a:b:c",
        ":a",
        "a:",
        "-",
        "\ud800",
    ],
)
def test_a_procedures_name_with_odd_characters_is_refused(world: World, name: str) -> None:
    before = snapshot(world.dir)
    with pytest.raises(UnknownProcedureError) as error:
        world.queue.createJobRoot(name)
    assert str(error.value) == (
        f"{world.dir}: {name!r} is no procedure's name; a name is a word, or package.module:Class"
    )
    assert snapshot(world.dir) == before


@pytest.mark.parametrize(
    "name", ["a queue", "Käse ☃", "quo'te\"s", "$(touch x)", "new\nline", "\udcff\udcfe", "-q", "a%sb"]
)
def test_a_queue_may_lie_in_a_directory_with_odd_characters(tmp_path: Path, name: str) -> None:
    location = str(tmp_path / name)
    jobqueue.createJobQueue(location, useSymLinks=True)
    queue = jobqueue.JobQueue(location)
    root = queue.createJobRoot("command", cmd="pwd -P", label=f"in {name}")
    root.createJob("command", cmd=["true"], label=name)
    job = root.activate()
    while queue.runNextAvailableJob():
        pass
    assert not job.hasError(recursive=True)
    assert job.isFinished()
    assert job.label == f"in {name}"
    printed = Path(job.stdoutFile).read_text()
    assert printed == os.fsencode(f"{job.runningDir}\n").decode(errors="backslashreplace")


@pytest.mark.parametrize("user", ["я" * 40, "\udcff" * 40, "\U0001f600" * 30, 'a "b"\\/.c\n', "x" * 400])
def test_a_user_whose_name_has_odd_characters_can_submit_and_make_a_job_fail(
    world: World, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    monkeypatch.setenv("LOGNAME", user)
    root = world.queue.createJobRoot("noop")
    root.createJob("noop")
    job = root.activate()
    child = job.listSubJobs()[0]
    child.setError()
    assert f"made to fail by {user}@" in (child.error or "")
    child.retry()
    while world.queue.runNextAvailableJob():
        pass
    assert job.isFinished()
    assert not job.hasError(recursive=True)
