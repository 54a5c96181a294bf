"""What a worker does at its beats for those that have died, and for jobs that nobody has woken."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from jobqueue.errors import BrokenJobError
from jobqueue.identity import describe_process, host_in_names
from jobqueue.layout import JobLayout
from jobqueue.pace import Pace
from jobqueue.store import Store
from jobqueue.worker import caretaker as caretaker_module
from jobqueue.worker.aftermath import Aftermath
from jobqueue.worker.caretaker import Caretaker
from tests.support_share import QuickShare
from tests.unit.choosing import submit

_ME = "m"
# Of no process: more than Linux gives to any.
_NO_PID = 2**22 + 1


@pytest.fixture
def store(queue_dir: Path) -> Store:
    store = Store(str(queue_dir), QuickShare())
    os.mkdir(store.layout.worker(_ME).dir)
    return store


@pytest.fixture
def caretaker(store: Store) -> Caretaker:
    return Caretaker(store, _ME, Aftermath(store, _ME, lambda: 9), Pace(store.config))


def _come(store: Store, name: str, pid: int) -> None:
    files = store.layout.worker(name)
    os.mkdir(files.dir)
    Path(files.info).write_text(json.dumps({**describe_process(), "pid": pid}))


# --- the dead --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), BrokenJobError("it is torn", "job1")], ids=["share", "job"]
)
def test_what_keeps_it_from_one_keeps_it_from_no_other_and_who_still_owes_something_is_swept_again(
    store: Store,
    caretaker: Caretaker,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    a, b, c = (f"{name}{host_in_names()}0" for name in "abc")
    for name in (a, b, c):
        _come(store, name, _NO_PID)
    swept = []

    def sweep(_store: Store, _aftermath: Aftermath, worker: str, why: str) -> bool:
        swept.append((worker, why))
        if worker == a:
            raise error
        return worker == c

    monkeypatch.setattr(caretaker_module, "sweep", sweep)
    caplog.set_level("INFO")
    caretaker.beaten(may_look=True)
    why = f"its process {_NO_PID} on this host is gone"
    assert swept == [(name, why) for name in (a, b, c)]
    assert f"Worker {a} is dead: {why}. Taking up what it left." in caplog.text
    assert f"Worker {a} cannot be swept now" in caplog.text
    assert f"Worker {c} is swept" in caplog.text
    assert f"Worker {b} is swept" not in caplog.text
    swept.clear()
    caretaker.beaten(may_look=False)
    assert [name for name, _ in swept] == [a, b]


# --- what waits ------------------------------------------------------------------------------------------------------


class Bench:
    """Notes which jobs are tested at which beats.

    Args:
        store: the queue.
        caretaker: who tests them.
        patch: for the time of the test.
    """

    def __init__(self, store: Store, caretaker: Caretaker, patch: pytest.MonkeyPatch) -> None:
        self._caretaker = caretaker
        self._beats = 0
        self._seen: list[tuple[int, int, int, int | None]] = []
        # By job: where its next test goes on.
        self.more: dict[int, int] = {}
        patch.setattr(store.tokens, "resume", self._resume)

    def _resume(self, job: JobLayout, first: int = 0, count: int | None = None) -> int | None:
        self._seen.append((self._beats, job.number, first, count))
        return self.more.get(job.number)

    def beat(self, count: int) -> list[tuple[int, int, int, int | None]]:
        """Beats so often; beat, job, first node and number of nodes of each test."""
        self._seen.clear()
        for _ in range(count):
            self._beats += 1
            self._caretaker.beaten(may_look=self._beats % 2 == 0)
        return list(self._seen)


@pytest.fixture
def tests(store: Store, caretaker: Caretaker, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(store, caretaker, monkeypatch)


def _waiting(store: Store, count: int) -> None:
    for number in range(1, count + 1):
        submit(store, 2)
        store.index.put(number, "waiting")


@pytest.mark.parametrize("is_backwards", [False, True])
def test_one_waiting_job_is_tested_at_every_twelfth_beat_in_rotation(
    store: Store, tests: Bench, is_backwards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the numbers, in whatever order a server lists them."""
    folder = store.index.folder
    monkeypatch.setattr(
        store.index, "folder", lambda name: sorted(folder(name), key=lambda entry: entry.number, reverse=is_backwards)
    )
    _waiting(store, 4)
    submit(store, 2)
    expected = [(12 * nth, nth, 0, 20) for nth in (1, 2, 3, 4)]
    # The fifth one says that it was the last.
    assert tests.beat(72) == [*expected, (72, 1, 0, 20)]


def test_a_job_of_which_only_a_part_was_tested_is_gone_on_with(store: Store, tests: Bench) -> None:
    _waiting(store, 2)
    tests.more[1] = 7
    assert tests.beat(12) == [(12, 1, 0, 20)]
    tests.more.clear()
    assert tests.beat(24) == [(24, 1, 7, 20), (36, 2, 0, 20)]


def test_where_a_job_waits_no_more_the_next_one_is_tested_from_its_first_node_on(store: Store, tests: Bench) -> None:
    _waiting(store, 2)
    tests.more[1] = 7
    tests.beat(12)
    store.index.wake(1)
    assert tests.beat(12) == [(24, 2, 0, 20)]


def test_after_the_last_one_a_rotation_begins_at_the_first_node(store: Store, tests: Bench) -> None:
    _waiting(store, 1)
    tests.more[1] = 7
    tests.beat(12)
    store.index.wake(1)
    assert tests.beat(12) == []
    store.index.put(1, "waiting")
    assert tests.beat(12) == [(36, 1, 0, 20)]


def test_who_is_not_the_sweeper_tests_nothing(store: Store, tests: Bench) -> None:
    _waiting(store, 1)
    _come(store, "a", os.getpid())
    beat = Path(store.layout.worker("a").beat)
    for seconds in range(24):
        beat.touch()
        os.utime(beat, (0, seconds))
        assert tests.beat(1) == []
