"""What a check finds of archives, and of jobs that are archived and still in the queue."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from jobqueue.archiving import archive
from jobqueue.check.audit import audit, repair
from jobqueue.check.finding import Finding
from jobqueue.errors import JobStateError
from jobqueue.store import Store
from tests.damages import CANCELLED, DONE, FRESH, HALF, dead_worker, put_entry, token
from tests.soundness import assert_sound
from tests.support import snapshot
from tests.support_share import QuickShare
from tests.support_worker import attached, worker_on


def _only(store: Store) -> Finding:
    (found,) = audit(store).found
    return found


def _file(store: Store, number: int) -> Path:
    return Path(store.layout.archive(number))


def _bring_back(store: Store, scene: Path, *places: str) -> None:
    """Restores parts of the queue from a backup that is older than an archive."""
    backup = Path(f"{scene}-backup")
    shutil.copytree(scene, backup)
    archive(store, DONE)
    for place in places:
        shutil.copytree(backup / place, scene / place, dirs_exist_ok=True)


def test_archives_are_sound_and_a_look_or_a_repair_changes_nothing(store: Store, scene: Path) -> None:
    archive(store, DONE)
    archive(store, CANCELLED)
    before = snapshot(scene)
    assert audit(store) == repair(store) == ([], [], 3)
    assert snapshot(scene) == before


@pytest.mark.parametrize("places", [("index/done", f"job{DONE}"), ("index/done",), (f"job{DONE}",)])
def test_who_died_after_he_had_archived_is_a_note_and_a_repair_goes_on(
    store: Store, scene: Path, places: tuple[str, ...]
) -> None:
    _bring_back(store, scene, *places)
    found = _only(store)
    assert (found.kind, found.job, found.is_note) == ("archiving", f"job{DONE}", True)
    assert found.cure is not None
    assert (found.says, found.cure.words) == (
        "the job is archived, and is being removed from the queue",
        "what is left of it there is removed",
    )
    made = _file(store, DONE).read_bytes()
    repair(store)
    assert audit(store) == ([], [], 4)
    assert not store.share.has(store.layout.dir, f"job{DONE}")
    assert store.index.find(DONE) is None
    assert _file(store, DONE).read_bytes() == made
    assert DONE not in assert_sound(scene)


def test_what_is_left_in_part_is_not_mended_but_removed(store: Store, scene: Path) -> None:
    """Else tokens would be made for it, and what is left would look like a job that is whole."""
    _bring_back(store, scene, f"job{DONE}")
    shutil.rmtree(store.layout.job(DONE).tokens)
    (scene / f"job{DONE}/.hierarchy").unlink()
    assert [finding.kind for finding in repair(store).found] == ["archiving"]
    assert attached(scene, QuickShare(2)).findJob(f"job{DONE}").state.value == "finished"
    assert audit(store).found == []


def test_an_archive_of_another_course_is_a_finding_and_both_stay(store: Store, scene: Path) -> None:
    _bring_back(store, scene, "index/done", f"job{DONE}")
    found = token(store, DONE, 1)
    found.rename(found.with_name(found.name.replace(".3.0.", ".9.0.")))
    report = repair(store)
    assert [(one.kind, one.cure) for one in report.left] == [("archived-twice", None)]
    assert f"rename {store.layout.archive(DONE)} to keep both" in report.left[0].says
    assert _file(store, DONE).exists()
    assert DONE in assert_sound_but(scene, "archived-twice")
    _file(store, DONE).rename(scene / "archive/mine.zip")
    assert audit(store).found == []


def assert_sound_but(scene: Path, kind: str) -> set[int]:
    report = audit(Store(str(scene), QuickShare(4)))
    assert {finding.kind for finding in report.found} == {kind}
    return {entry.number for entry in Store(str(scene), QuickShare(5)).index.all()}


def test_an_archived_job_whose_entry_was_moved_by_hand_goes_where_it_belongs(store: Store, scene: Path) -> None:
    _bring_back(store, scene, "index/done", f"job{DONE}")
    put_entry(store, DONE, "runnable")
    assert [finding.kind for finding in repair(store).found] == ["archived-twice", "not-done", "archiving"]
    assert audit(store).found == []
    assert not (scene / f"job{DONE}").exists()


def test_a_job_that_is_at_work_again_goes_on_and_keeps_its_archive(store: Store, scene: Path) -> None:
    """All of the queue but its archives was restored, from when the job was at work."""
    backup = shutil.copytree(scene, f"{scene}-backup")
    with worker_on(scene) as worker:
        worker.run_all()
    archive(store, FRESH)
    shutil.copytree(scene / "archive", f"{backup}/archive")
    shutil.rmtree(scene)
    shutil.copytree(backup, scene)
    kept = _file(store, FRESH).read_bytes()
    assert [finding.kind for finding in repair(store).found] == ["archived-twice"]
    with worker_on(scene, QuickShare(44)) as worker:
        assert len(worker.run_all()) == 7
    with pytest.raises(JobStateError, match="it holds another course of job5"):
        archive(store, FRESH)
    assert _file(store, FRESH).read_bytes() == kept


def test_what_is_still_in_flight_is_its_workers(store: Store, scene: Path) -> None:
    _bring_back(store, scene, f"job{DONE}")
    (dead_worker(store) / "running" / f"{DONE}.0000000.9.9.0.1").touch()
    found = _only(store)
    assert (found.kind, found.cure) == ("archiving", None)
    assert found.says.endswith("something of it is still in flight")
    before = snapshot(scene)
    repair(store)
    assert snapshot(scene) == before


@pytest.mark.parametrize("is_left", [False, True])
def test_a_damaged_archive_is_a_finding_and_nothing_is_removed_for_it(store: Store, scene: Path, is_left: bool) -> None:
    _bring_back(store, scene, *([f"job{DONE}"] if is_left else []))
    data = _file(store, DONE).read_bytes()
    at = data.index(b".index/0") + 20
    _file(store, DONE).write_bytes(data[:at] + b"12345678" + data[at + 8 :])
    before = snapshot(scene)
    report = repair(store)
    (found,) = report.left
    assert (found.kind, found.path, found.cure) == ("archive-broken", str(_file(store, DONE)), None)
    assert "restore the file from a backup" in found.says
    assert snapshot(scene) == before


def test_an_archive_under_another_number_is_a_finding(store: Store, scene: Path) -> None:
    archive(store, DONE)
    _file(store, DONE).rename(_file(store, 77))
    found = audit(store).found
    assert [(one.kind, one.job) for one in found] == [("number", None), ("archive-broken", "job77")]
    assert found[1].says == f"this is the archive of job{DONE}"


def test_the_number_of_an_archived_job_is_not_used_again(store: Store, scene: Path) -> None:
    queue = attached(scene, QuickShare(6))
    queue.deleteJobs([queue.findJob(f"job{number}") for number in (FRESH, HALF)])
    archive(store, CANCELLED)
    for name in os.listdir(store.layout.last):
        os.unlink(f"{store.layout.last}/{name}")
    queue.deleteJobs(queue.findJob("job2"))
    for name in os.listdir(store.layout.last):
        os.unlink(f"{store.layout.last}/{name}")
    found = _only(store)
    assert (found.kind, found.says) == (
        "number",
        f"job{CANCELLED} was deleted or archived, and nothing keeps its number from being used again",
    )
    repair(store)
    assert store.index.take_number() == CANCELLED + 1


def test_a_file_in_the_place_of_the_archives_goes_and_none_is_made(store: Store, scene: Path) -> None:
    (scene / "archive").write_text("notes")
    assert _only(store).kind == "not-a-directory"
    repair(store)
    assert not (scene / "archive").exists()
    archive(store, DONE)


def test_names_that_are_no_archives_are_let_be(store: Store, scene: Path) -> None:
    archive(store, DONE)
    for name in ("job7.zip.bak", "notes.txt", ".nfs0001", "jobx.zip", "job07"):
        (scene / "archive" / name).write_text("mine")
    assert [finding.kind for finding in repair(store).found] == ["leftover"]
    assert store.archives.numbers() == [DONE]
