"""What the share answers of names that are no plain files, or that it may not open."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.share import TICK_S, Share
from tests.support_share import Call, HookedShare, watched_calls

__all__ = ["watched_calls"]


@pytest.fixture
def share(watched_calls: None) -> HookedShare:
    return HookedShare()


def _refuse(name: str, number: int) -> Callable[[Call, Callable[[], Any]], Any]:
    def hook(call: Call, do: Callable[[], Any]) -> Any:
        if call.name == name:
            raise OSError(number, os.strerror(number), call.args[0])
        return do()

    return hook


def test_of_what_is_no_plain_file_nothing_is_read(share: HookedShare, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "fifo")
    part = share.read_plain(str(tmp_path / "file"), 2, 3)
    assert part is not None
    assert part.data == b"234"
    for name in ("link", "dir", "fifo", "missing", "file/below"):
        assert share.read_plain(str(tmp_path / name), 0, 10) is None


@pytest.mark.parametrize(
    "read",
    [
        lambda share, path: share.read_plain(path, 0, 1),
        lambda share, path: share.size(path),
        lambda share, path: share.stamp(*os.path.split(path)),
    ],
    ids=["read_plain", "size", "stamp"],
)
def test_a_file_that_may_not_be_opened_is_an_error(
    share: HookedShare, tmp_path: Path, read: Callable[[Share, str], object]
) -> None:
    (tmp_path / "file").touch()
    share.hook = _refuse("open", errno.EACCES)
    with pytest.raises(PermissionError):
        read(share, str(tmp_path / "file"))


def test_contents_are_those_of_a_directory_of_its_own(share: HookedShare, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file").touch()
    (tmp_path / "link").symlink_to("dir")
    found = share.contents(str(tmp_path / "dir"))
    assert found is not None
    assert [name for name, _ in found.entries] == ["file"]
    for name in ("link", "dir/file", "missing"):
        assert share.contents(str(tmp_path / name)) is None


def test_contents_are_asked_for_afresh_where_a_host_may_remember_others(
    share: HookedShare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "is_remote", lambda _: True)
    assert share.contents(str(tmp_path)) is not None
    names = [call.name for call in share.seen]
    assert names.index("utime") < names.index("scandir")


def test_only_a_link_has_a_target(share: HookedShare, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    assert share.link_target(str(tmp_path / "link")) == "nowhere"
    assert share.link_target(str(tmp_path / "file")) is None
    assert share.link_target(str(tmp_path / "missing")) is None
    share.hook = _refuse("readlink", errno.EACCES)
    with pytest.raises(PermissionError):
        share.link_target(str(tmp_path / "link"))


@pytest.mark.parametrize(("is_remote", "waited_s"), [(True, TICK_S), (False, 0.0)])
def test_a_tick_is_waited_for_where_others_share_the_clock(
    share: HookedShare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_remote: bool, waited_s: float
) -> None:
    monkeypatch.setattr(share, "is_remote", lambda _: is_remote)
    before = share.clock.monotonic()
    share.wait_a_tick(str(tmp_path))
    assert share.clock.monotonic() - before == pytest.approx(waited_s)
