"""Whose host is doubted when a job is finished that had failed or died before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import jobqueue
from jobqueue import control
from jobqueue.journal import Journal
from jobqueue.names import SUPERVISOR_SLOT, Token
from jobqueue.worker.aftermath import Ending
from jobqueue.worker.inbox import Inbox
from jobqueue.worker.sweep import sweep
from jobqueue.worker.tidying import CallersProcess
from tests.support_share import QuickShare
from tests.support_worker import Worker, attached

BREAKS_OFF = "if proc.runningDir.endswith('1'): raise KeyboardInterrupt"
FAILS = "if proc.runningDir.endswith('1'): raise RuntimeError('no licence')"
CAME = Callable[[str], Worker]


@pytest.fixture
def come(queue_dir: Path) -> Iterator[CAME]:
    """Has a worker come from another host than that of all others."""
    came: list[Worker] = []

    def come(name: str) -> Worker:
        worker = Worker(queue_dir, QuickShare(len(came) + 1), name)
        came.append(worker)
        info = Path(worker.registration.files.info)
        info.write_text(json.dumps({**json.loads(info.read_text()), "host": f"host-of-{name}"}))
        # So that a job may break off, as when its process is killed.
        worker.runner.process = CallersProcess()
        return worker

    yield come
    for worker in came:
        if Path(worker.registration.files.dir).exists():
            worker.leave()


def _submit(queue_dir: Path, text: str, **options: int) -> jobqueue.JobHandle:
    root = attached(queue_dir, QuickShare(9)).createJobRoot("code", text=text)
    for name, value in options.items():
        setattr(root.options, name, value)
    return root.activate()


def _break_off(worker: Worker) -> None:
    with pytest.raises(KeyboardInterrupt):
        worker.step()


def _finish(worker: Worker) -> None:
    worker.runner.chooser.look_again()
    assert worker.run_all() == ["job1"]


def _told(worker: Worker) -> list[str]:
    return [request.action for request, _ in Inbox(worker.store, worker.registration).take()]


@pytest.mark.parametrize("text", [BREAKS_OFF, FAILS])
def test_the_worker_on_which_a_job_has_failed_or_died_is_told(queue_dir: Path, come: CAME, text: str) -> None:
    job = _submit(queue_dir, text)
    bad, good = come("bad"), come("good")
    if text == BREAKS_OFF:
        _break_off(bad)
        bad.aftermath.clear([1], Ending("died", "it was killed"), None)
    else:
        bad.step()
        job.retry()
    _finish(good)
    assert (_told(bad), _told(good)) == (["doubt"], [])


def test_whoever_has_swept_a_dead_worker_is_not_blamed_for_its_jobs(queue_dir: Path, come: CAME) -> None:
    job = _submit(queue_dir, BREAKS_OFF, maxAttempts=1)
    dead, sweeper, good = come("dead"), come("sweeper"), come("good")
    _break_off(dead)
    dead.die()
    assert sweep(sweeper.store, sweeper.aftermath, dead.name, "it is silent")
    assert job.hasError()
    job.retry()
    _finish(good)
    assert _told(sweeper) == []


def test_a_death_that_was_none_is_held_against_nobody(queue_dir: Path, come: CAME) -> None:
    _submit(queue_dir, BREAKS_OFF)
    away, good = come("away"), come("good")
    _break_off(away)
    away.aftermath.clear([1], Ending("died", "its worker is silent"), None)
    journal = Journal(away.store.share, away.store.layout.job(1), away.name, SUPERVISOR_SLOT)
    journal.append({"event": "alive", "node": 0, "attempt": 1}, sync=False)
    journal.close()
    _finish(good)
    assert _told(away) == []


def test_what_a_person_has_made_to_fail_while_it_ran_is_held_against_nobody(queue_dir: Path, come: CAME) -> None:
    job = _submit(queue_dir, BREAKS_OFF)
    there, good = come("there"), come("good")
    _break_off(there)
    control.fail(there.store, 1, 0, "job1")
    ((request, (token,)),) = Inbox(there.store, there.registration).take()
    there.aftermath.end(there.name, token, Ending(request.action, request.why, request.job, request.node))
    assert job.hasError()
    job.retry()
    _finish(good)
    assert _told(there) == []


def test_what_a_person_has_made_to_fail_while_it_waited_is_held_against_nobody(queue_dir: Path, come: CAME) -> None:
    job = _submit(queue_dir, BREAKS_OFF)
    there, good = come("there"), come("good")
    _break_off(there)
    there.aftermath.clear([1], Ending("stop", "the worker ends"), None)
    control.fail(there.store, 1, 0, "job1")
    assert job.hasError()
    job.retry()
    _finish(good)
    assert _told(there) == []


def test_an_attempt_that_nobody_has_noted_is_held_against_nobody(queue_dir: Path, come: CAME) -> None:
    """A power cut may take the line that says who began it."""
    _submit(queue_dir, "pass")
    there, good = come("there"), come("good")
    there.store.tokens.try_claim(there.store.layout.job(1), Token(0, 0, 0, 0), there.name, 1)
    there.aftermath.clear([1], Ending("died", "it was killed"), None)
    _finish(good)
    assert _told(there) == []
