"""A call on an open file knows no name; its error names the file all the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.share import Share
from tests.support_share import Call, WatchedShare, watched_calls

__all__ = ["watched_calls"]

pytestmark = pytest.mark.usefixtures("watched_calls")


class FullShare(WatchedShare):
    """Answers one kind of call on what is open with an error that names nothing, once it was executed.

    Args:
        name: of the calls.
        kind: of the file system that everything lies on.
    """

    def __init__(self, name: str, kind: str | None) -> None:
        super().__init__()
        self._name = name
        self._kind_of_all = kind

    def _kind(self, _path: str) -> str | None:
        return self._kind_of_all

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        found = do()
        if call.name == self._name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return found


def _append(share: Share, path: str) -> None:
    file = share.append_to(path)
    try:
        file.append(b"line\n")
        file.sync()
    finally:
        file.close()


_FILE: dict[str, tuple[Callable[[Share, str], object], tuple[str, ...]]] = {
    "write_new": (lambda share, path: share.write_new(path, b"text"), ("write", "fsync", "close")),
    "append": (_append, ("fstat", "write", "fsync", "close")),
    "create": (lambda share, path: share.create(path), ("close",)),
    "read_part": (lambda share, path: share.read_part(path, 0, 1), ("pread", "close")),
    "size": (lambda share, path: share.size(path), ("fstat", "close")),
    "changed_at": (lambda share, path: share.changed_at(path), ("fstat", "close")),
    "stamp": (lambda share, path: share.stamp(*os.path.split(path), sync=True), ("fstat", "fsync", "close")),
}
_DIRECTORY: dict[str, tuple[Callable[[Share, str], object], tuple[str, ...]]] = {
    "some_names": (lambda share, path: share.some_names(path, bool), ("names_bit_by_bit", "close")),
    "sync_dir": (lambda share, path: share.sync_dir(path), ("fsync", "close")),
    "sync_everything": (lambda share, path: share.sync_everything(path), ("sync_file_system", "close")),
}


def _cases(table: dict[str, tuple[Callable[[Share, str], object], tuple[str, ...]]]) -> list[Any]:
    return [
        pytest.param(act, call, id=f"{name}-{call}") for name, (act, calls) in table.items() for call in calls
    ]  # fmt: skip


@pytest.mark.parametrize(("act", "call"), _cases(_FILE))
def test_an_error_of_an_open_file_names_the_file(
    tmp_path: Path, act: Callable[[Share, str], object], call: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"text")
    with pytest.raises(OSError, match="No space left") as error:
        act(FullShare(call, "ext4"), str(path))
    assert error.value.filename == str(path)


@pytest.mark.parametrize(("act", "call"), _cases(_DIRECTORY))
def test_an_error_of_an_open_directory_names_the_directory(
    tmp_path: Path, act: Callable[[Share, str], object], call: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="No space left") as error:
        act(FullShare(call, "ext4"), str(tmp_path))
    assert error.value.filename == str(tmp_path)


def test_a_directory_that_is_read_as_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as error:
        WatchedShare().read_part(str(tmp_path), 0, 1)
    assert error.value.filename == str(tmp_path)


def test_a_name_that_an_error_has_already_stays(tmp_path: Path) -> None:
    class Elsewhere(WatchedShare):
        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            if call.name == "write":
                raise OSError(errno.EIO, "Input/output error", "elsewhere")
            return do()

    with pytest.raises(OSError, match="elsewhere"):
        Elsewhere().write_new(str(tmp_path / "file"), b"text")
