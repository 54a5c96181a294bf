"""A repair that dies at any call, or is told nonsense by the share, is done by the next one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

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
from tests.support_faults import FAULTS, CountingShare, Death, Died, F, Fault, FaultyShare, Point
from tests.support_points import PART, part_of
from tests.support_share import QuickShare

pytestmark = [pytest.mark.usefixtures("watched_calls"), pytest.mark.timeout(3600)]

_PARTS = 4
_FAULT_PARTS = 20


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


def _damaged(whole_scene: Path, place: Path, damages: Sequence[Callable[[Store], None]]) -> Path:
    queue_dir = Path(shutil.copytree(whole_scene, place))
    for do in damages:
        do(Store(str(queue_dir), QuickShare(5)))
    return queue_dir


def _points(damaged: Path, scratch: Path, fates: tuple[F, ...]) -> list[Point[F]]:
    """Each call of the repair, with all that can befall it."""
    queue_dir = Path(shutil.copytree(damaged, scratch / "counted"))
    share = CountingShare()
    store = Store(str(queue_dir), share)
    share.begin()
    repair(store)
    share.end()
    shutil.rmtree(queue_dir)
    return share.points(fates)


def _repair_and_meet(damaged: Path, scratch: Path, point: Point[Fault] | Point[Death], left: tuple[str, ...]) -> None:
    queue_dir = Path(shutil.copytree(damaged, scratch / "queue"))
    share = FaultyShare()
    store = Store(str(queue_dir), share)
    share.meet(point.fate, point.nth)
    with suppress(OSError, JobQueueError, Died):
        repair(store)
    assert share.befallen is not None, point
    share.bury()
    _assert_mended(queue_dir, left, str(point))
    shutil.rmtree(queue_dir)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: f"{name_of(damage)}-{PART}")
def test_a_repair_that_dies_at_any_call_is_done_by_the_next_one(
    whole_scene: Path, scratch: Path, damage: Damage
) -> None:
    damaged = _damaged(whole_scene, scratch / "damaged", [damage.do])
    points = _points(damaged, scratch, tuple(Death))
    assert points
    for point in part_of(points, f"repair of {name_of(damage)}", _PARTS):
        _repair_and_meet(damaged, scratch, point, damage.left)


@pytest.mark.parametrize(
    "damages",
    [(older_token_of_the_root, lost_failed, asleep), (ready_too_early,), (latch_with_a_finished_job_among_others,)],
    ids=[f"{what}-{PART}" for what in ("tokens", "early", "latch")],
)
def test_no_single_fault_keeps_a_queue_from_being_repaired(
    whole_scene: Path, scratch: Path, damages: tuple[Callable[[Store], None], ...]
) -> None:
    """One call of the repair fails; then the share is well again, and it is called once more."""
    damaged = _damaged(whole_scene, scratch / "damaged", damages)
    points = _points(damaged, scratch, FAULTS)
    for point in part_of(points, f"faults of the repair of {len(damages)} damages", _FAULT_PARTS):
        _repair_and_meet(damaged, scratch, point, ())
