"""How often a supervisor wakes up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from jobqueue.share import Share
from jobqueue.store import Store
from jobqueue.worker.crew import WorkerSettings
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
