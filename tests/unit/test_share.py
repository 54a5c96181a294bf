"""The lies of shares, told on purpose, and the second look that sees through them."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import system
from jobqueue.share import MOVE_TRIES, Removal, Share
from tests.support import run_unprivileged
from tests.support_faults import FAULTS, Fault, FaultyShare
from tests.support_share import Call, HookedShare, QuickShare, WatchedShare, watched_calls

__all__ = ["watched_calls"]

pytestmark = pytest.mark.usefixtures("watched_calls")

_AMBIGUOUS = [
    errno.ENOENT, errno.EEXIST, errno.EIO, errno.ETIMEDOUT, errno.ESTALE, errno.EACCES, errno.EBUSY, errno.ENOTEMPTY,
    errno.EINTR,
]  # fmt: skip


class LyingShare(WatchedShare):
    """Answers calls of one name with errors, one after the other.

    Args:
        name: of the calls.
        answers: the error for each, and whether the call is executed all the same; then it is honest.
    """

    def __init__(self, name: str, *answers: tuple[int, bool]) -> None:
        super().__init__()
        self.seen: list[Call] = []
        self._name = name
        self._answers = list(answers)

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        self.seen.append(call)
        if call.name != self._name or not self._answers:
            return do()
        number, is_executed = self._answers.pop(0)
        if is_executed:
            do()
        raise OSError(number, os.strerror(number), str(call.args[0]))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Two directories; the first one holds ``token`` and ``other``."""
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
    (tmp_path / "source" / "token").touch()
    (tmp_path / "source" / "other").touch()
    return str(tmp_path / "source"), str(tmp_path / "target")


def _move(share: Share, folders: tuple[str, str], left: list[str] | None = None) -> bool:
    source, target = folders
    return share.try_move(source, "token", target, "mine", left=left)


# --- moving -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", _AMBIGUOUS, ids=errno.errorcode.get)
def test_a_rename_that_was_executed_counts_whatever_it_was_answered(folders: tuple[str, str], number: int) -> None:
    assert _move(LyingShare("rename", (number, True)), folders)
    assert os.listdir(folders[1]) == ["mine"]


@pytest.mark.parametrize("number", _AMBIGUOUS, ids=errno.errorcode.get)
def test_a_rename_that_was_not_executed_is_tried_again(folders: tuple[str, str], number: int) -> None:
    assert _move(LyingShare("rename", *[(number, False)] * (MOVE_TRIES - 1)), folders)
    assert os.listdir(folders[1]) == ["mine"]


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.EBUSY], ids=errno.errorcode.get)
def test_an_error_that_stays_is_raised_after_four_tries(folders: tuple[str, str], number: int) -> None:
    share = LyingShare("rename", *[(number, False)] * 100)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        _move(share, folders)
    assert caught.value.errno == number
    assert sum(call.name == "rename" for call in share.seen) == MOVE_TRIES == 4
    assert sorted(os.listdir(folders[0])) == ["other", "token"]


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR], ids=errno.errorcode.get)
def test_a_missing_target_directory_is_a_loss_and_no_error(folders: tuple[str, str], number: int) -> None:
    """It is being deleted; the source is still listed."""
    assert not _move(LyingShare("rename", *[(number, False)] * 100), folders)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EXDEV], ids=errno.errorcode.get)
def test_an_error_that_no_second_try_would_cure_is_raised_at_once(folders: tuple[str, str], number: int) -> None:
    share = LyingShare("rename", (number, False))
    with pytest.raises(OSError, match=os.strerror(number)):
        _move(share, folders)
    assert [call.name for call in share.seen] == ["rename"]


def test_a_missing_source_is_a_loss_and_what_is_left_is_told(folders: tuple[str, str]) -> None:
    os.unlink(f"{folders[0]}/token")
    left = ["before"]
    assert not _move(WatchedShare(), folders, left)
    assert left == ["other"]


def test_a_missing_source_directory_is_a_loss(folders: tuple[str, str]) -> None:
    left = ["before"]
    assert not WatchedShare().try_move(f"{folders[0]}/gone", "token", folders[1], "mine", left=left)
    assert left == []


def test_a_loss_is_provisional_for_the_rename_may_be_executed_after_the_look(folders: tuple[str, str]) -> None:
    """The answer is ENOENT, the name is gone and not there: the call is still on its way."""

    class Slow(WatchedShare):
        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            if call.name == "rename":
                os.rename(call.args[0], f"{folders[1]}/.on-its-way")
                raise FileNotFoundError(errno.ENOENT, "no such file")
            return do()

    assert not _move(Slow(), folders)
    os.rename(f"{folders[1]}/.on-its-way", f"{folders[1]}/mine")
    # Reconciling finds what came late under the mover's own name; a second call of the mover does, too.
    assert _move(WatchedShare(), folders)


@pytest.mark.parametrize("number", _AMBIGUOUS, ids=errno.errorcode.get)
def test_a_swap_tells_an_ambiguous_answer_and_makes_no_second_try(folders: tuple[str, str], number: int) -> None:
    share = LyingShare("rename", (number, False))
    error = share.swap(f"{folders[0]}/token", f"{folders[0]}/moved")
    assert error is not None
    assert error.errno == number
    assert len(share.seen) == 1


def test_a_swap_raises_what_says_that_it_was_not_executed(folders: tuple[str, str]) -> None:
    with pytest.raises(OSError, match="No space left"):
        LyingShare("rename", (errno.ENOSPC, False)).swap(f"{folders[0]}/token", f"{folders[0]}/moved")


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault != Fault(errno.EEXIST, is_executed=True)], ids=str
)
def test_a_file_that_is_written_whole_is_old_or_new_at_every_failing_call(tmp_path: Path, fault: Fault) -> None:
    path = tmp_path / "file"
    for nth in itertools.count():
        path.write_bytes(b"old")
        share = FaultyShare()
        share.meet(fault, nth)
        told = None
        try:
            share.write_whole(str(path), b"new" * 1000)
        except OSError as error:
            told = error
        assert path.read_bytes() in (b"old", b"new" * 1000)
        if told is None:
            assert path.read_bytes() != b"old"
        share.heal()
        share.write_whole(str(path), b"newer")
        assert path.read_bytes() == b"newer"
        for name in os.listdir(tmp_path):
            # What is left over is nobody's, and is not taken for the file.
            assert name == "file" or name.startswith(".new-file-")
            os.unlink(tmp_path / name)
        if share.befallen is None:
            assert nth > 0
            return


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO], ids=errno.errorcode.get)
def test_a_file_counts_as_written_where_the_rename_was_executed(tmp_path: Path, number: int) -> None:
    LyingShare("rename", (number, True)).write_whole(str(tmp_path / "file"), b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO], ids=errno.errorcode.get)
def test_a_file_is_renamed_again_as_long_as_a_listing_shows_that_it_was_not(tmp_path: Path, number: int) -> None:
    (tmp_path / "file").write_bytes(b"old")
    LyingShare("rename", *[(number, False)] * (MOVE_TRIES - 1)).write_whole(str(tmp_path / "file"), b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
def test_a_file_that_could_not_be_written_leaves_the_old_one_and_no_other(tmp_path: Path, number: int) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OSError, match=os.strerror(number)):
        LyingShare("rename", *[(number, False)] * MOVE_TRIES).write_whole(str(tmp_path / "file"), b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_in_a_directory_that_goes_away_is_an_error_and_not_taken_for_written(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()

    class Deleting(WatchedShare):
        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            if call.name == "rename":
                assert QuickShare().remove_tree(str(tmp_path / "inbox"))
            return do()

    with pytest.raises(FileNotFoundError):
        Deleting().write_whole(str(tmp_path / "inbox" / "request"), b"new")


def test_a_write_that_takes_only_a_part_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Small(WatchedShare):
        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            return os.write(call.args[0], call.args[1][:3]) if call.name == "write" else do()

    Small().write_new(str(tmp_path / "file"), b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_an_append_that_takes_only_a_part_is_an_error(tmp_path: Path) -> None:
    class Full(WatchedShare):
        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            return os.write(call.args[0], call.args[1][:3]) if call.name == "write" else do()

    file = Full().append_to(str(tmp_path / "journal"))
    with pytest.raises(OSError, match="only 3 of 10 bytes were written") as caught:
        file.append(b"0123456789")
    assert caught.value.errno == errno.ENOSPC
    file.close()


# --- directories ------------------------------------------------------------------------------------------------------


def test_a_directory_that_vanishes_while_it_is_read_holds_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "latch"
    directory.mkdir()

    class Removing(WatchedShare):
        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            if call.name == "names_bit_by_bit":
                directory.rmdir()
            return do()

    assert Removing().some_names(str(directory), str.isdigit) == set()


def test_an_error_while_a_directory_is_read_bit_by_bit_is_raised(tmp_path: Path) -> None:
    fd = os.open(__file__, os.O_RDONLY)
    try:
        with pytest.raises(NotADirectoryError):
            list(system.names_bit_by_bit(fd))
    finally:
        os.close(fd)


def test_where_the_kernel_cannot_be_asked_for_a_few_names_all_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1", "2", "junk"):
        (tmp_path / name).touch()
    monkeypatch.setattr(system, "_libc", object)
    assert Share().some_names(str(tmp_path), str.isdigit) == {"1", "2"}
    assert Share().some_names(str(tmp_path), str.isupper) == set()


def test_a_file_system_that_cannot_be_synced_is_an_error_that_names_the_directory() -> None:
    with pytest.raises(OSError, match="/some/where") as caught:
        system.sync_file_system(-1, "/some/where")
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOTEMPTY, Removal.NOT_EMPTY), (errno.EEXIST, Removal.NOT_EMPTY), (errno.ENOENT, Removal.MISSING)],
)
def test_what_becomes_of_a_directory_is_told_by_the_answer(tmp_path: Path, number: int, expected: Removal) -> None:
    assert LyingShare("rmdir", (number, False)).remove_dir(str(tmp_path)) is expected


def test_a_directory_that_cannot_be_removed_for_another_reason_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="busy"):
        LyingShare("rmdir", (errno.EBUSY, False)).remove_dir(str(tmp_path))


def test_a_tree_with_a_file_that_somebody_holds_open_is_removed_but_for_its_directory(tmp_path: Path) -> None:
    """On NFS such a file stays under another name, and with it the directories above it."""
    held = tmp_path / "tree" / "held"
    (tmp_path / "tree" / "other").mkdir(parents=True)
    (tmp_path / "tree" / "other" / "file").touch()
    held.mkdir()
    (held / "file").touch()

    class SillyRename(WatchedShare):
        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            if call.name == "unlink" and call.args[0] == str(held / "file"):
                return os.rename(held / "file", held / ".nfs000000000000001")
            return do()

    assert not SillyRename().remove_tree(str(tmp_path / "tree"))
    assert [str(path.relative_to(tmp_path)) for path in sorted((tmp_path / "tree").rglob("*"))] == [
        "tree/held",
        "tree/held/.nfs000000000000001",
    ]
    assert WatchedShare().remove_tree(str(tmp_path / "tree"))


def test_a_tree_is_removed_whatever_rights_a_job_has_taken_from_us() -> None:
    code = """
        import tempfile
        from jobqueue.share import Share
        with tempfile.TemporaryDirectory() as place:
            for name, mode in (("full", 0o555), ("closed", 0o000), ("empty", 0o500), ("deep/inner", 0o555)):
                os.makedirs(f"{place}/tree/{name}")
                if name != "empty":
                    open(f"{place}/tree/{name}/file", "w").close()
                os.chmod(f"{place}/tree/{name}", mode)
            os.chmod(f"{place}/tree/deep", 0o555)
            os.chmod(f"{place}/tree", 0o555)
            print(Share().remove_tree(f"{place}/tree"), os.listdir(place))
            os.mkdir(f"{place}/ours")
            os.mkdir(f"{place}/ours/tree")
            os.chmod(f"{place}/ours", 0o555)
            try:
                Share().remove_tree(f"{place}/ours/tree")
            except PermissionError as error:
                print(error.filename == f"{place}/ours/tree", oct(os.stat(f"{place}/ours").st_mode))
            os.chmod(f"{place}/ours", 0o755)
    """
    assert run_unprivileged(code).splitlines() == ["True []", "True 0o40555"]


@pytest.mark.parametrize("when", ["open", "scandir"])
def test_a_tree_that_somebody_else_removes_at_the_same_time_is_gone(tmp_path: Path, when: str) -> None:
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "file").touch()

    class Helped(HookedShare):
        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            opened = any(earlier.args[0] == str(tree / "inner") for earlier in self.seen)
            if call.name == when and (opened or call.args[0] == str(tree / "inner")):
                (tree / "inner" / "file").unlink()
                (tree / "inner").rmdir()
            return super().on_call(call, do)

    share = Helped()
    assert share.remove_tree(str(tree))
    assert not tree.exists()


def test_a_directory_that_a_link_takes_the_place_of_while_its_tree_is_removed_is_not_followed(tmp_path: Path) -> None:
    inner, precious = tmp_path / "tree" / "inner", tmp_path / "precious"
    inner.mkdir(parents=True)
    precious.mkdir()
    (precious / "texture").touch()

    def replace(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == "open" and call.args[0] == str(inner):
            inner.rmdir()
            inner.symlink_to(precious, target_is_directory=True)
        return do()

    share = HookedShare()
    share.hook = replace
    assert share.remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == ["precious"]
    assert os.listdir(precious) == ["texture"]


@pytest.mark.parametrize("number", [errno.ELOOP, errno.ENOTDIR], ids=errno.errorcode.get)
def test_however_a_system_calls_a_link_where_a_directory_was_to_be_it_is_removed(tmp_path: Path, number: int) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").mkdir()
    assert LyingShare("open", (number, False)).remove_tree(str(tmp_path / "link"))
    assert os.listdir(tmp_path) == ["precious"]


def test_a_tree_that_may_not_be_looked_into_is_an_error_and_nothing_is_left_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for call in ("open", "scandir"):
        with pytest.raises(PermissionError):
            LyingShare(call, (errno.EACCES, False)).remove_tree(str(tmp_path))
    assert os.listdir("/proc/self/fd") == before


# --- locks ------------------------------------------------------------------------------------------------------------


def test_a_share_without_locks_is_an_error_of_the_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import portalocker

    def refuse(*_: object) -> None:
        raise portalocker.LockException("[Errno 37] No locks available")

    monkeypatch.setattr(portalocker, "lock", refuse)
    with pytest.raises(OSError, match=r"cannot be locked.*No locks available"):
        Share().lock(str(tmp_path / "lock"))
