"""What kind of file system a queue lies on, and which calls are made for that."""

from __future__ import annotations

import builtins
import errno
import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jobqueue import system
from jobqueue.share import TICK_S, Share, files
from tests.support_share import Call, WatchedShare, watched_calls

__all__ = ["watched_calls"]

pytestmark = pytest.mark.usefixtures("watched_calls")

_MOUNTS = """\
22 28 0:21 / /proc rw,nosuid - proc proc rw
28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
40 28 0:40 / /mnt/a\\040share rw,relatime shared:2 - nfs4 server:/ rw,vers=4.2
41 28 0:41 / /mnt/old rw - nfs server:/old rw
42 28 0:42 / /mnt/smb rw - cifs //server/x rw
43 40 0:43 / /mnt/a\\040share/local rw - tmpfs tmpfs rw
44 28 0:44 / /mnt/twice rw - ext4 /dev/sdb rw
45 28 0:45 / /mnt/twice rw - fuse.sshfs host:/ rw
"""


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mounts of another host."""

    def fake_open(path: str, **_: object) -> io.StringIO:
        assert path == "/proc/self/mountinfo"
        return io.StringIO(_MOUNTS)

    monkeypatch.setattr(system, "open", fake_open, raising=False)


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("path", "kind", "is_remote"),
    [
        ("/srv/queue", "ext4", False),
        ("/mnt/a share/queue", "nfs4", True),
        ("/mnt/a share", "nfs4", True),
        ("/mnt/a share/local/queue", "tmpfs", False),
        ("/mnt/a shared", "ext4", False),
        ("/mnt/old/queue", "nfs", True),
        ("/mnt/smb/queue", "cifs", True),
        ("/mnt/twice/queue", "fuse.sshfs", True),
    ],
)
def test_the_kind_of_a_share_is_that_of_the_mount_that_is_nearest_and_latest(
    path: str, kind: str, is_remote: bool
) -> None:
    mount = system.mount_of(path)
    assert mount is not None and mount.kind == kind
    assert Share().is_remote(path) is is_remote


def test_where_no_mount_is_known_others_may_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "open", lambda *_, **__: io.StringIO(""), raising=False)
    assert system.mount_of("/srv/queue") is None
    assert Share().is_remote("/srv/queue")


@pytest.mark.usefixtures("mounts")
def test_the_kind_is_looked_up_once_for_all_of_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(path: str) -> system.Mount:
        asked.append(path)
        return system.Mount("/", "nfs", "server:/", ())

    monkeypatch.setattr(system, "mount_of", ask)
    share = Share()
    share.settle_in("/mnt/old/queue")
    assert all(share.is_remote(f"/mnt/old/queue/job{number}") for number in range(3))
    assert share.is_remote("/mnt/elsewhere")
    assert asked == ["/mnt/old/queue", "/mnt/elsewhere"]


@pytest.mark.usefixtures("mounts")
def test_a_directory_whose_name_begins_like_the_queues_is_asked_for_its_own_kind() -> None:
    share = Share()
    share.settle_in("/mnt/old")
    assert not share.is_remote("/mnt/older/frames")


class _OnKind(WatchedShare):
    """Remembers its calls on a share of a certain kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._kind_of_share = kind

    def _kind(self, path: str) -> str | None:
        return self._kind_of_share

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        self.seen.append(call.name)
        return do()


def test_names_are_synced_by_a_file_where_the_server_syncs_nothing_else(tmp_path: Path) -> None:
    share = _OnKind("cifs")
    share.sync_dir(str(tmp_path))
    synced = ["open", "write", "fsync", "close", "unlink"]
    assert share.seen == synced
    share.sync_everything(str(tmp_path))
    assert share.seen == synced * 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EINVAL])
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "status.json"
    path.write_text("new")
    answers = iter([OSError(number, "replaced"), OSError(number, "replaced")])

    def open_late(*arguments: Any, **options: Any) -> Any:
        for error in answers:
            raise error
        return builtins.open(*arguments, **options)

    monkeypatch.setattr(files, "open", open_late, raising=False)
    assert Share().read(str(path)) == b"new"


def test_a_file_that_stays_unreadable_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ESTALE, "replaced")

    monkeypatch.setattr(files, "open", refuse, raising=False)
    with pytest.raises(OSError, match="replaced"):
        Share().read(str(tmp_path))


@pytest.mark.parametrize(("kind", "is_served"), [("nfs", True), ("nfs4", True), ("ext4", False)])
def test_names_are_synced_where_no_server_has_written_them(tmp_path: Path, kind: str, is_served: bool) -> None:
    share = _OnKind(kind)
    share.sync_dir(str(tmp_path))
    share.sync_everything(str(tmp_path))
    synced = ["open", "fsync", "close", "open", "sync_file_system", "close"]
    assert share.seen == ([] if is_served else synced)


@pytest.mark.usefixtures("mounts")
def test_one_directory_of_many_goes_by_the_kind_of_the_one_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(path: str) -> system.Mount:
        asked.append(path)
        return system.Mount("/", "nfs", "server:/", ())

    monkeypatch.setattr(system, "mount_of", ask)
    share = Share()
    for number in range(3):
        share.sync_dir(f"/frames/.jq-{number}", beside="/frames")
    assert asked == ["/frames"]


@pytest.mark.parametrize(("kind", "calls"), [("nfs", ["unlink"]), ("ext4", ["unlink"]), ("cifs", ["rename", "unlink"])])
def test_where_a_removed_name_stays_listed_for_a_while_it_is_renamed_before(
    tmp_path: Path, kind: str, calls: list[str]
) -> None:
    (tmp_path / "name").touch()
    share = _OnKind(kind)
    share.take_out(str(tmp_path), "name")
    assert share.seen == calls
    assert list(tmp_path.iterdir()) == []
    share.take_out(str(tmp_path), "name")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "turns"), [("nfs", 1), ("ext4", 1), ("cifs", 2)])
def test_a_file_that_a_host_keeps_open_is_opened_at_the_server_at_each_look(
    tmp_path: Path, kind: str, turns: int
) -> None:
    """SMB: what is opened with the flags of the one that is kept is that one, and answers as it did."""
    flags: dict[str, list[int]] = {"a": [], "b": []}

    class Noted(_OnKind):
        def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
            if call.name == "open":
                flags[Path(call.args[0]).name].append(call.args[1])
            return do()

    share = Noted(kind)
    for name in flags:
        (tmp_path / name).touch()
    for _ in range(4):
        for name in flags:
            assert share.changed_at(str(tmp_path / name)) is not None
    for seen in flags.values():
        assert len(set(seen)) == turns
        assert all(one != other for one, other in pairwise(seen)) == (turns == 2)
    (tmp_path / "a").unlink()
    assert share.changed_at(str(tmp_path / "a")) is None


@pytest.mark.parametrize(("kind", "calls"), [("nfs", ["utime", "listdir"]), ("ext4", ["listdir"])])
def test_a_directory_of_a_server_is_changed_in_another_tick_to_be_listed_afresh(
    tmp_path: Path, kind: str, calls: list[str]
) -> None:
    (tmp_path / "name").touch()
    share = _OnKind(kind)
    assert share.names_afresh(str(tmp_path)) == ["name"]
    assert share.seen == calls
    assert share.clock.monotonic() == (TICK_S if kind == "nfs" else 0)
