"""A share that lies is found out, by real processes that race on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue.doctor.examine import STEPS, Extent, Report, examine
from jobqueue.errors import JobQueueError
from jobqueue.mounts import Level
from jobqueue.share import Lock, Mount, Share

_EXTENT = Extent(processes=3, names=40, rounds=2, patience_s=30.0, speed_s=0.01)
# For what never comes.
_IMPATIENT = _EXTENT._replace(patience_s=1.0)


class LocalShare(Share):
    """A share on a disk of this host, whatever the tests run on."""

    kind = "ext4"

    def mount(self, path: str) -> Mount | None:
        return Mount("/", self.kind, "/dev/disk", ("rw",))


def examined(share: Share, directory: Path, extent: Extent = _EXTENT) -> Report:
    report = examine(share, str(directory), extent, lambda _nth, _name: None)
    assert list(directory.iterdir()) == [], "something was left"
    return report


def says(report: Report, about: str, level: Level) -> str:
    """The one thing that was said of something, at its level."""
    (found,) = [remark for remark in report.remarks if remark.about == about]
    assert found.level is level, found
    return found.says


def test_a_local_disk_gets_the_full_verdict(tmp_path: Path) -> None:
    steps: list[tuple[int, str]] = []
    report = examine(LocalShare(), str(tmp_path), _EXTENT, lambda nth, name: steps.append((nth, name)))
    assert report.verdict is Level.FULL, report.remarks
    assert {remark.about for remark in report.remarks} == {
        "mount", "rename", "mkdir", "exclusive", "listing", "beat", "lock", "clock",
    }  # fmt: skip
    assert report.measured is not None
    assert set(report.measured.calls) == {"create", "rename", "list", "fsync", "unlink"}
    assert all(number > 0 for number in report.measured.calls.values())
    assert abs(report.measured.clock_s) < 1
    assert steps == list(enumerate(STEPS))
    assert list(tmp_path.iterdir()) == []


def test_on_a_share_one_is_told_that_only_one_host_has_looked(tmp_path: Path) -> None:
    share = LocalShare()
    share.kind = "nfs4"
    report = examined(share, tmp_path)
    assert report.verdict is Level.FULL
    assert "`jobqueue doctor DIR --peer`" in says(report, "peer", Level.FULL)


class _CopyingShare(LocalShare):
    """Renames as object stores do: it copies, and deletes later."""

    def swap(self, source: str, target: str) -> OSError | None:
        os.link(source, target)
        return None


def test_a_rename_that_lets_two_win_is_refused(tmp_path: Path) -> None:
    report = examined(_CopyingShare(), tmp_path)
    assert report.verdict is Level.REFUSED
    assert says(report, "rename", Level.REFUSED) == (
        "rename is not exclusive: 40 of 40 files went to more than one of 3 processes, so that two workers would get "
        "the same job"
    )


class _FriendlyShare(LocalShare):
    """Tells everybody that the directory is his."""

    def try_make_dir(self, path: str) -> bool:
        super().try_make_dir(path)
        return True


def test_a_mkdir_that_does_not_exclude_is_refused(tmp_path: Path) -> None:
    report = examined(_FriendlyShare(), tmp_path)
    assert report.verdict is Level.REFUSED
    assert says(report, "mkdir", Level.REFUSED).startswith("mkdir is not exclusive: 40 of 40 directories went to more")


class _LateShare(LocalShare):
    """Shows entries of some directories only when they are old."""

    late_s = 0.5
    where = "/entries-"

    def names(self, directory: str) -> list[str]:
        found = super().names(directory)
        if self.where not in directory:
            return found
        return [name for name in found if time.time() - os.stat(f"{directory}/{name}").st_mtime > self.late_s]

    def names_afresh(self, directory: str) -> list[str]:
        return self.names(directory)


def test_an_entry_that_is_seen_later_than_one_made_after_it_is_refused(tmp_path: Path) -> None:
    report = examined(_LateShare(), tmp_path)
    assert report.verdict is Level.REFUSED
    told = says(report, "listing", Level.REFUSED)
    assert told.startswith(
        "a listing that is asked for afresh lacks an entry that was there before: it was seen only af"
    )
    assert report.measured is not None
    assert report.measured.delays.entry_s > 0.2


def test_an_entry_that_is_never_seen_is_refused(tmp_path: Path) -> None:
    share = _LateShare()
    share.late_s = 10_000.0
    report = examined(share, tmp_path, _IMPATIENT)
    assert "it was seen not within 0.25 s" in says(report, "listing", Level.REFUSED)


def test_processes_that_do_not_see_one_another_at_all_are_no_place_for_a_queue(tmp_path: Path) -> None:
    share = _LateShare()
    share.late_s, share.where = 10_000.0, "/"
    report = examined(share, tmp_path, _IMPATIENT)
    assert report.verdict is Level.REFUSED
    assert "is not seen after 1 s" in says(report, "listing", Level.REFUSED)
    assert (report.measured, report.settings) == (None, None)


class _RoundaboutShare(LocalShare):
    """Shows every entry late, and in the order in which they were made."""

    def names(self, directory: str) -> list[str]:
        time.sleep(0.2)
        return super().names(directory)


def test_a_slow_listing_is_measured_and_no_reason_to_refuse(tmp_path: Path) -> None:
    report = examined(_RoundaboutShare(), tmp_path, _EXTENT._replace(rounds=1, names=4))
    assert report.verdict is Level.FULL
    assert report.measured is not None
    assert report.measured.delays.round_trip_s >= 0.2
    assert report.settings is not None
    assert report.settings["poll"] >= 0.2 / 0.05


class _OldTimesShare(LocalShare):
    """Shows the time of a file that it has shown first."""

    for_s = 0.3

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[float, float | None]] = {}

    def changed_at(self, path: str) -> float | None:
        now = time.monotonic()
        if "/beat-" not in path:
            return super().changed_at(path)
        if path not in self._seen or now - self._seen[path][0] > self.for_s:
            self._seen[path] = (now, super().changed_at(path))
        return self._seen[path][1]


def test_a_beat_that_is_seen_late_is_a_warning(tmp_path: Path) -> None:
    share = _OldTimesShare()
    share.for_s = 1.0
    report = examined(share, tmp_path)
    assert report.verdict is Level.WARNING
    assert "a longer `deadAfter`" in says(report, "beat", Level.WARNING)


def test_a_beat_that_is_never_seen_is_refused(tmp_path: Path) -> None:
    share = _OldTimesShare()
    share.for_s = 10_000.0
    report = examined(share, tmp_path, _IMPATIENT)
    assert "living workers would be taken for dead" in says(report, "beat", Level.REFUSED)


class _OpenLock(Lock):
    """A lock that everybody gets."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "ab")


class _OpenLockShare(LocalShare):
    def lock(self, path: str) -> Lock:
        return _OpenLock(path)


def test_a_lock_that_everybody_gets_is_a_warning_since_no_lock_decides_anything(tmp_path: Path) -> None:
    report = examined(_OpenLockShare(), tmp_path)
    assert report.verdict is Level.WARNING
    told = says(report, "lock", Level.WARNING)
    assert told.startswith(
        "a lock excludes nobody: 2 of 2 times two processes held it at once; the queue is safe all the"
    )
    assert "only after `deadAfter`" in told


class _NoLockShare(LocalShare):
    def lock(self, path: str) -> Lock:
        raise OSError("no locks here")


def test_a_share_without_locks_is_a_warning(tmp_path: Path) -> None:
    assert says(examined(_NoLockShare(), tmp_path), "lock", Level.WARNING).startswith("it takes no locks: 2 of 2 tries")


class _FriendlySoftLockShare(LocalShare):
    def try_soft_lock(self, path: str) -> Callable[[], None] | None:
        return lambda: None


def test_exclusive_creation_that_does_not_exclude_is_a_warning(tmp_path: Path) -> None:
    told = says(examined(_FriendlySoftLockShare(), tmp_path), "exclusive", Level.WARNING)
    assert told.startswith("exclusive creation is not exclusive: 10 of 10 lock files went to more than one of 3")
    assert told.endswith("the queue uses none")


class _BrokenShare(LocalShare):
    """Fails in every process but the one that has made it."""

    def __init__(self) -> None:
        super().__init__()
        self._home_pid = os.getpid()

    def swap(self, source: str, target: str) -> OSError | None:
        if os.getpid() != self._home_pid:
            raise OSError(28, "No space left on device", target)
        return super().swap(source, target)


def test_a_process_that_dies_ends_the_examination_at_once(tmp_path: Path) -> None:
    with pytest.raises(JobQueueError, match="too early; is the share in trouble"):
        examined(_BrokenShare(), tmp_path)
    assert list(tmp_path.iterdir()) == []
