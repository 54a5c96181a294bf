"""What every share has to do, call by call, when nothing goes wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jobqueue.share import Removal, Share
from tests.support import wait_until

# --- looking ----------------------------------------------------------------------------------------------------------


def test_a_listing_holds_all_names_and_a_missing_directory_none(share: Share, place: Path) -> None:
    for name in ("b", "a", ".nfs1"):
        (place / name).touch()
    assert sorted(share.names(str(place))) == [".nfs1", "a", "b"]
    assert sorted(share.names_or_none(str(place)) or ()) == [".nfs1", "a", "b"]
    assert sorted(share.names_afresh(str(place))) == [".nfs1", "a", "b"]
    assert share.has(str(place), "a")
    assert not share.has(str(place), "c")
    missing = str(place / "missing")
    with pytest.raises(FileNotFoundError):
        share.names(missing)
    assert share.names_or_none(missing) is None
    assert share.names_or_none(str(place / "a")) is None
    assert not share.has(missing, "a")


@pytest.mark.parametrize("count", [0, 1, 40, 3000])
def test_some_names_are_a_few_of_those_that_are_wanted(share: Share, place: Path, count: int) -> None:
    for number in range(count):
        (place / f"junk{number}").touch()
    assert share.some_names(str(place), str.isdigit) == set()
    for number in range(count):
        (place / f"{number}").touch()
    found = share.some_names(str(place), str.isdigit)
    assert found <= {str(number) for number in range(count)}
    assert bool(found) == bool(count)
    # A look costs the same, however many wait.
    assert len(found) < 100


def test_of_a_missing_directory_there_are_no_names(share: Share, place: Path) -> None:
    assert share.some_names(str(place / "missing"), str.isdigit) == set()


def test_a_file_shows_its_mode_owner_times_and_size(share: Share, place: Path) -> None:
    path = place / "file"
    before = time.time()
    path.write_bytes(b"1234")
    path.chmod(0o640)
    os.utime(path, ns=(0, 1_500_000_000_123_456_000))
    mode, owner, changed_ns = share.mode_and_owner(str(path))
    # A file system may keep times less exactly than in ns.
    assert (mode, owner, changed_ns // 1_000_000_000) == (0o640, path.stat().st_uid, 1_500_000_000)
    assert int(share.changed_at(str(path)) or 0) == 1_500_000_000
    share.touch(str(path))
    assert (share.changed_at(str(path)) or 0) > before - 5
    assert share.size(str(path)) == 4
    assert share.is_dir(str(place))
    assert not share.is_dir(str(path))


def test_a_rename_is_a_change_though_the_contents_are_old(share: Share, place: Path) -> None:
    (place / "a").touch()
    os.utime(place / "a", (0, 0))
    before = share.last_change(str(place / "a"))
    assert before is not None

    def is_changed() -> bool:
        os.rename(place / "a", place / "b")
        changed = share.last_change(str(place / "b"))
        os.rename(place / "b", place / "a")
        return changed is not None and changed > before

    # The server's clock ticks some time.
    wait_until(is_changed, "a later time")
    assert share.changed_at(str(place / "a")) == 0
    assert (share.last_change(str(place)) or 0) >= before


def test_a_missing_file_holds_nothing_to_read(share: Share, place: Path) -> None:
    (place / "file").write_bytes(b"1234")
    assert share.read_or_none(str(place / "file")) == b"1234"
    for missing in ("missing", "file/missing", ""):
        assert share.read_or_none(str(place / missing)) is None


def test_a_missing_file_has_no_time_and_no_size(share: Share, place: Path) -> None:
    assert share.last_change(str(place / "missing")) is None
    assert share.changed_at(str(place / "missing")) is None
    assert share.size(str(place / "missing")) == 0
    assert not share.is_dir(str(place / "missing"))


# --- reading and writing ----------------------------------------------------------------------------------------------


def test_a_part_of_a_file_is_read_and_beyond_its_end_nothing(share: Share, place: Path) -> None:
    path = str(place / "file")
    share.write_new(path, b"0123456789")
    assert share.read(path) == b"0123456789"
    assert share.read_part(path, 3, 4) == b"3456"
    assert share.read_part(path, 8, 100) == b"89"
    assert share.read_part(path, 100, 100) == b""


def test_a_file_is_made_empty(share: Share, place: Path) -> None:
    share.create(str(place / "token"))
    assert (place / "token").read_bytes() == b""


@pytest.mark.parametrize("sync", [True, False])
def test_a_file_is_written_whole_over_an_old_one(share: Share, place: Path, sync: bool) -> None:
    path = place / "file"
    for text in (b"old", b"", b"new" * 100_000):
        share.write_whole(str(path), text, sync=sync)
        assert path.read_bytes() == text
    assert os.listdir(place) == ["file"]


def test_a_reader_sees_an_old_file_or_a_new_one_and_never_a_part(share: Share, place: Path) -> None:
    path = str(place / "file")
    texts = [bytes([number]) * 50_000 for number in range(60)]
    share.write_whole(path, texts[0], sync=False)
    done = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        reader = Share()
        while not done.is_set():
            seen.add(reader.read(path))

    thread = threading.Thread(target=read)
    thread.start()
    for text in texts:
        share.write_whole(path, text, sync=False)
    done.set()
    thread.join()
    assert seen <= set(texts)


def test_what_is_appended_stands_at_the_offset_that_was_told(share: Share, place: Path) -> None:
    path = str(place / "journal")
    share.append_once(path, b"first\n")
    file = share.append_to(path)
    assert file.offset == 6
    assert file.append(b"second\n") == 6
    assert file.append(b"third\n") == 13
    file.sync()
    file.close()
    assert share.read_part(path, 13, 100) == b"third\n"


# --- moving -----------------------------------------------------------------------------------------------------------


def test_a_file_moves_from_one_directory_to_another_once(share: Share, place: Path) -> None:
    source, target = place / "source", place / "target"
    source.mkdir()
    target.mkdir()
    (source / "a").touch()
    (source / "b").touch()
    left: list[str] = []
    assert share.try_move(str(source), "a", str(target), "A", left=left)
    assert left == []
    assert not share.try_move(str(source), "a", str(target), "B", left=left)
    assert left == ["b"]
    assert not share.try_move(str(source), "a", str(target), "B")
    assert (os.listdir(source), os.listdir(target)) == (["b"], ["A"])


def test_a_file_that_is_there_already_counts_as_moved(share: Share, place: Path) -> None:
    (place / "A").touch()
    assert share.try_move(str(place), "a", str(place), "A")


def test_a_file_does_not_move_into_a_directory_that_is_gone(share: Share, place: Path) -> None:
    (place / "a").touch()
    assert not share.try_move(str(place), "a", str(place / "gone"), "A")
    assert os.listdir(place) == ["a"]


def test_a_swap_that_is_too_late_tells_the_error(share: Share, place: Path) -> None:
    (place / "entry.0").touch()
    assert share.swap(str(place / "entry.0"), str(place / "entry.1")) is None
    error = share.swap(str(place / "entry.0"), str(place / "entry.1"))
    assert error is not None
    assert error.errno == errno.ENOENT
    assert os.listdir(place) == ["entry.1"]


def test_a_file_is_unlinked_once(share: Share, place: Path) -> None:
    (place / "a").touch()
    assert share.try_unlink(str(place / "a"))
    assert not share.try_unlink(str(place / "a"))


def test_a_lock_excludes_others_until_it_is_released_or_its_process_ends(share: Share, place: Path) -> None:
    path = str(place / "lock")
    lock = share.lock(path)
    with pytest.raises(OSError, match="it cannot be locked"):
        Share().lock(path)
    lock.release()
    share.lock(path).release()
    code = "import os, sys; from jobqueue.share import Share; lock = Share().lock(sys.argv[1]); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, path], check=True)
    share.lock(path).release()


# --- directories ------------------------------------------------------------------------------------------------------


def test_a_directory_is_made_once_and_removed_once_it_is_empty(share: Share, place: Path) -> None:
    path = str(place / "directory")
    share.make_dir(path, 0o750)
    assert os.stat(path).st_mode & 0o777 == 0o750
    assert not share.try_make_dir(path)
    with pytest.raises(FileExistsError):
        share.make_dir(path)
    (place / "directory" / "file").touch()
    assert share.remove_dir(path) is Removal.NOT_EMPTY
    (place / "directory" / "file").unlink()
    assert share.remove_dir(path) is Removal.REMOVED
    assert share.remove_dir(path) is Removal.MISSING
    assert share.try_make_dir(path)
    with pytest.raises(NotADirectoryError):
        share.remove_dir(__file__)


def test_missing_directories_are_made_below_a_base_that_is_there(share: Share, place: Path) -> None:
    base = str(place / "base")
    with pytest.raises(FileNotFoundError):
        share.make_dirs_below(base, "job0/job1")
    assert os.listdir(place) == []
    share.make_dir(base)
    assert share.make_dirs_below(base, "job0/job1") == f"{base}/job0/job1"
    assert share.make_dirs_below(base, "job0/job1/.attempt1") == f"{base}/job0/job1/.attempt1"
    assert share.is_dir(f"{base}/job0/job1/.attempt1")


def test_a_tree_is_removed_with_all_that_is_in_it_and_nothing_else(share: Share, place: Path) -> None:
    keep = place / "keep"
    keep.mkdir()
    (keep / "file").touch()
    deep = place / "tree"
    for _ in range(60):
        deep /= "deeper"
    deep.mkdir(parents=True)
    (deep / "file").touch()
    (place / "tree" / "link").symlink_to(keep, target_is_directory=True)
    (place / "tree" / "dangling").symlink_to(place / "nowhere")
    assert share.remove_tree(str(place / "tree"))
    assert os.listdir(place) == ["keep"]
    assert os.listdir(keep) == ["file"]
    assert share.remove_tree(str(place / "tree"))


def test_what_a_link_leads_to_is_not_removed_with_it(share: Share, place: Path) -> None:
    (place / "keep" / "inner").mkdir(parents=True)
    (place / "keep" / "file").touch()
    (place / "file").touch()
    (place / "link").symlink_to(place / "keep", target_is_directory=True)
    (place / "dangling").symlink_to(place / "nowhere")
    for name in ("link", "dangling", "file"):
        assert share.remove_tree(str(place / name))
    assert os.listdir(place) == ["keep"]
    assert sorted(os.listdir(place / "keep")) == ["file", "inner"]


def test_a_link_for_people_leads_where_it_says(share: Share, place: Path) -> None:
    share.make_dir(str(place / "job0"))
    share.link_for_people("job0", str(place / "job1"))
    assert (place / "job1").resolve() == (place / "job0").resolve()


def test_a_directory_is_entered(share: Share, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    share.make_dir(str(place / "inside"))
    share.enter(str(place / "inside"))
    assert os.path.basename(os.getcwd()) == "inside"


def test_syncing_is_answered(share: Share, place: Path) -> None:
    share.sync_dir(str(place))
    share.sync_everything(str(place))


# --- many at once -----------------------------------------------------------------------------------------------------


def test_of_many_that_rename_one_file_one_succeeds(place: Path) -> None:
    (place / "token").touch()
    gate = threading.Barrier(16)
    won: list[int] = []

    def claim(number: int) -> None:
        share = Share()
        gate.wait()
        if share.try_move(str(place), "token", str(place), f"mine{number}"):
            won.append(number)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert os.listdir(place) == [f"mine{won[0]}"]


def test_of_many_that_make_one_directory_one_succeeds(place: Path) -> None:
    gate = threading.Barrier(16)
    made: list[bool] = []

    def make() -> None:
        share = Share()
        gate.wait()
        made.append(share.try_make_dir(str(place / "job1")))

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(made) == 1
