"""A repair that dies at any call, or is told nonsense by the share, is done by the next one."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.check.audit import audit, repair
from jobqueue.errors import JobQueueError
from jobqueue.store import Store
from tests.damages import (
    DAMAGES,
    Damage,
    asleep,
    finish,
    latch_with_a_finished_job_among_others,
    lost_failed,
    make_scene,
    name_of,
    older_token_of_the_root,
    ready_too_early,
)
from tests.support import snapshot
from tests.support_share import Call, Fault, FaultyShare, QuickShare, WatchedShare

pytestmark = pytest.mark.usefixtures("watched_calls")


class DiedError(BaseException):
    """The process is gone: nothing catches this."""


class MortalShare(WatchedShare):
    """A share whose user dies at the n-th call that changes something, before it or after it.

    Args:
        nth: from 0.
        is_executed: whether the call is executed.
    """

    def __init__(self, nth: int, *, is_executed: bool) -> None:
        super().__init__(nth)
        self._left = nth
        self._is_executed = is_executed

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        # Opening makes a file; closing and looking change nothing.
        if not call.writes:
            return do()
        self._left -= 1
        if self._left >= 0:
            return do()
        if self._is_executed:
            do()
        raise DiedError


@pytest.fixture(scope="session")
def whole_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "queue")


def _assert_mended(queue_dir: Path, left: tuple[str, ...], where: str) -> None:
    """A repair by somebody who lives mends everything, another one changes nothing, and a worker runs the rest."""
    store = Store(str(queue_dir), QuickShare(99))
    report = repair(store)
    assert tuple(finding.kind for finding in report.left if not finding.is_note) == left, where
    before = snapshot(queue_dir)
    repair(store)
    assert snapshot(queue_dir) == before, where
    finish(store)
    assert tuple(finding.kind for finding in audit(store).found if not finding.is_note) == left, where


@pytest.mark.parametrize("is_executed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("damage", DAMAGES, ids=name_of)
def test_a_repair_that_dies_at_any_call_is_done_by_the_next_one(
    whole_scene: Path, scratch: Path, damage: Damage, is_executed: bool
) -> None:
    for nth in itertools.count():
        queue_dir = Path(shutil.copytree(whole_scene, scratch / f"queue{nth}"))
        damage.do(Store(str(queue_dir), QuickShare(5)))
        store = Store(str(queue_dir), MortalShare(nth, is_executed=is_executed))
        try:
            repair(store)
        except DiedError:
            _assert_mended(queue_dir, damage.left, f"died at call {nth}")
            shutil.rmtree(queue_dir)
            continue
        assert nth >= 1
        return


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
@pytest.mark.parametrize(
    "damages",
    [(older_token_of_the_root, lost_failed, asleep), (ready_too_early,), (latch_with_a_finished_job_among_others,)],
    ids=["tokens", "early", "latch"],
)
def test_no_single_fault_keeps_a_queue_from_being_repaired(
    whole_scene: Path, scratch: Path, damages: tuple[Callable[[Store], None], ...], fault: Fault
) -> None:
    """The n-th call of the repair fails, for every n; then the share is well again, and it is called once more."""
    damaged = Path(shutil.copytree(whole_scene, scratch / "damaged"))
    for do in damages:
        do(Store(str(damaged), QuickShare(5)))
    for nth in itertools.count():
        queue_dir = Path(shutil.copytree(damaged, scratch / f"queue{nth}"))
        share = FaultyShare(nth)
        store = Store(str(queue_dir), share)
        share.fail(fault, nth)
        try:
            repair(store)
        except (OSError, JobQueueError):
            assert share.failed is not None
        share.heal()
        if share.failed is None:
            assert nth >= 1
            return
        _assert_mended(queue_dir, (), f"{fault.name} at call {nth}, {share.failed}")
        shutil.rmtree(queue_dir)
