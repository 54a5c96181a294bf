"""Everything that can befall a queue is found, named, mended, and mended once."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobqueue.check.audit import audit, repair
from jobqueue.store import Store
from tests.damages import DAMAGES, FRESH, HALF, Damage, finish, name_of
from tests.soundness import assert_sound
from tests.support import snapshot

each_damage = pytest.mark.parametrize("damage", DAMAGES, ids=name_of)


def test_a_queue_in_many_states_is_sound_and_a_look_or_a_repair_changes_nothing(store: Store, scene: Path) -> None:
    before = snapshot(scene)
    assert audit(store) == repair(store) == ([], [], 5)
    assert snapshot(scene) == before


@each_damage
def test_a_damage_is_found_and_named_and_the_look_changes_nothing(store: Store, scene: Path, damage: Damage) -> None:
    damage.do(store)
    before = snapshot(scene)
    report = audit(store)
    assert tuple(finding.kind for finding in report.found) == damage.kinds
    assert not report.is_sound
    assert all(finding.path.startswith(str(scene)) and finding.says and finding.cure for finding in report.found)
    assert snapshot(scene) == before


@each_damage
def test_what_was_mended_is_sound_and_a_second_repair_changes_nothing(
    store: Store, scene: Path, damage: Damage
) -> None:
    damage.do(store)
    report = repair(store)
    assert {finding.kind for finding in report.found} >= set(damage.kinds)
    assert tuple(finding.kind for finding in report.left) == damage.left
    before = snapshot(scene)
    assert repair(store).left == report.left
    assert snapshot(scene) == before
    if not damage.left:
        assert audit(store).found == []
        assert_sound(scene)


@each_damage
def test_a_worker_finishes_what_was_mended(store: Store, scene: Path, damage: Damage) -> None:
    damage.do(store)
    repair(store)
    finish(store)
    if damage.left:
        assert [finding.kind for finding in audit(store).found] == list(damage.left)
        return
    folders = assert_sound(scene)
    for number in (HALF, FRESH):
        # Where the damage itself was an end, that has stayed one.
        told = set(folders.get(number, ["gone"]))
        expected = {"finished"}
        if number == FRESH and damage.do.__name__ in _ENDS:
            expected = _ENDS[damage.do.__name__]
        assert told == expected, (number, folders)


_ENDS = {
    "half_cancelled": {"cancelled"},
    "latch_lost_of_a_failed_job": {"finished", "failed"},
    "directory_removed": {"gone"},
    "index_a_file": {"gone"},
}
