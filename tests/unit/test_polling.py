"""How often a supervisor wakes up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from jobqueue.share import Share
from jobqueue.store import Store
from jobqueue.worker.crew import WorkerSettings
from jobqueue.worker.slots import Slot
from jobqueue.worker.supervisor import Supervisor


class _Selector:
    """Nobody says anything; notes for how long that was waited for."""

    def __init__(self) -> None:
        self.waits_s: list[float] = []

    def select(self, timeout: float) -> list[object]:
        self.waits_s.append(timeout)
        return []


@pytest.mark.parametrize(
    ("poll_s", "is_idle", "expected_s"), [(0.02, True, 0.02), (0.02, False, 0.1), (1.0, True, 0.1)]
)
def test_an_idle_worker_wakes_up_as_often_as_it_is_to_look(
    queue_dir: Path, monkeypatch: pytest.MonkeyPatch, poll_s: float, is_idle: bool, expected_s: float
) -> None:
    supervisor = Supervisor(Store(str(queue_dir), Share()), "w", WorkerSettings(1, poll_s=poll_s))
    supervisor._selector.close()
    selector, now_s = _Selector(), [100.0]
    chores: list[float] = []
    with monkeypatch.context() as patch:
        patch.setattr(supervisor, "_selector", selector)
        patch.setattr(supervisor, "_do_chores", chores.append)
        patch.setattr(supervisor, "_clock", SimpleNamespace(monotonic=lambda: now_s[0]))
        patch.setattr(supervisor.crew, "slots", [SimpleNamespace(is_idle=is_idle)])
        for _ in range(3):
            supervisor._step()
            now_s[0] += expected_s * 1.5
            supervisor._step()
    supervisor.crew.close()
    assert selector.waits_s == [expected_s] * 6
    assert chores == pytest.approx([100.0, *(100.0 + expected_s * 1.5 * n for n in (1, 2, 3))])


class _Chatter:
    """A slot that has something to say every millisecond, or every second."""

    def __init__(self, slot: Slot, now_s: list[float], every_s: float) -> None:
        self._found = [(SimpleNamespace(data=slot), 0)]
        self._now_s = now_s
        self._every_s = every_s

    def select(self, _timeout: float) -> list[tuple[SimpleNamespace, int]]:
        self._now_s[0] += self._every_s
        return self._found


@pytest.mark.parametrize(
    ("every_s", "is_idle", "max_jobs", "is_left_to_talk"),
    [
        (0.001, False, None, True),
        # It is told what it could do.
        (0.001, True, None, False),
        # It asks before each job.
        (0.001, False, 100, False),
        (1.0, False, None, False),
    ],
)
def test_a_worker_hears_what_short_jobs_have_to_say_together(
    queue_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    every_s: float,
    is_idle: bool,
    max_jobs: int | None,
    is_left_to_talk: bool,
) -> None:
    supervisor = Supervisor(Store(str(queue_dir), Share()), "w", WorkerSettings(1, max_jobs=max_jobs))
    supervisor._selector.close()
    slot, now_s = Slot(1, 1), [100.0]
    slot.is_idle = is_idle
    lulls_s: list[float] = []
    heard: list[Slot] = []

    def sleep(seconds: float) -> None:
        lulls_s.append(seconds)
        now_s[0] += seconds

    with monkeypatch.context() as patch:
        patch.setattr(supervisor, "_selector", _Chatter(slot, now_s, every_s))
        patch.setattr(supervisor, "_do_chores", lambda _now: None)
        patch.setattr(supervisor, "_clock", SimpleNamespace(monotonic=lambda: now_s[0], sleep=sleep))
        patch.setattr(supervisor.crew, "slots", [slot])
        patch.setattr(supervisor.crew, "listen", heard.append)
        for _ in range(5):
            supervisor._step()
    slot.spool.close()
    supervisor.crew.close()
    assert heard == [slot] * 5
    # What is said first, and what is said next, is heard at once.
    assert lulls_s == ([0.01] * 3 if is_left_to_talk else [])
