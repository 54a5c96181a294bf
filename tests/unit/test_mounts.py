"""What is said of a mount, from lines of /proc/self/mountinfo alone."""

from __future__ import annotations

import io

import pytest

from jobqueue import system
from jobqueue.mounts import Level, judge_mount, warning_about
from jobqueue.share import Mount, Share

_FULL, _WARNING, _REFUSED = Level.FULL, Level.WARNING, Level.REFUSED
_NFS = "40 28 0:40 / /mnt/share rw,relatime shared:2 - nfs4 server:/export rw,vers=4.2,hard"
_NFS3 = "40 28 0:40 / /mnt/share rw,relatime shared:2 - nfs server:/export rw,vers=3,hard"
_SMB = "40 28 0:40 / /mnt/share rw,relatime - cifs //server/farm rw,vers=3.1.1,cache=strict,soft"


def mount(line: str, monkeypatch: pytest.MonkeyPatch) -> Mount | None:
    """The mount of a file below /mnt/share on a host with one more line in its mountinfo."""
    text = f"28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n{line}\n".replace("\n\n", "\n")
    monkeypatch.setattr(system, "open", lambda *_, **__: io.StringIO(text), raising=False)
    return Share().mount("/mnt/share/queue")


@pytest.mark.parametrize(
    ("line", "level", "word"),
    [
        ("", _FULL, "ext4, a disk of this host alone"),
        (_NFS, _FULL, "that the export is `sync` cannot be seen"),
        (_SMB, _WARNING, "a submission of the last seconds can be lost"),
        (f"{_NFS},local_lock=none", _FULL, "NFS"),
        (_NFS.replace("hard", "soft"), _REFUSED, "mount it with `hard`"),
        (_NFS.replace("hard", "softerr"), _REFUSED, "mount it with `hard`"),
        (f"{_NFS},nocto", _REFUSED, "`nocto`"),
        (f"{_NFS3},nolock,local_lock=all", _WARNING, "each host locks for itself alone"),
        (f"{_NFS3},local_lock=flock", _WARNING, "`local_lock=flock`"),
        (f"{_SMB},nobrl", _WARNING, "`nobrl`"),
        (_SMB.replace("strict", "loose"), _REFUSED, "`cache=loose`"),
        (_SMB.replace("3.1.1", "1.0"), _WARNING, "`vers=1.0`"),
        (_NFS.replace("share rw", "share ro"), _REFUSED, "read-only"),
        ("40 28 0:40 / /mnt/share rw - fuse.s3fs s3fs rw,user_id=0", _REFUSED, "no atomic rename"),
        ("40 28 0:40 / /mnt/share rw - fuse.gcsfuse bucket rw", _REFUSED, "gcsfuse"),
        ("40 28 0:40 / /mnt/share rw - fuse.rclone remote:bucket rw", _REFUSED, "rclone"),
        ("40 28 0:40 / /mnt/share rw - fuse goofys#bucket rw", _REFUSED, "goofys"),
        ("40 28 0:40 / /mnt/share rw - fuse mountpoint-s3 rw", _REFUSED, "two workers would get the same job"),
        ("40 28 0:40 / /mnt/share rw - fuse.sshfs host:/srv rw", _REFUSED, "sshfs"),
        ("40 28 0:40 / /mnt/share rw - overlay overlay rw,lowerdir=/a", _WARNING, "goes with the container"),
        ("40 28 0:40 / /mnt/share rw - ceph 10.0.0.1:/ rw", _WARNING, "nobody has measured ceph"),
    ],
)
def test_a_mount_is_judged_by_its_kind_and_options(
    line: str, level: Level, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remarks = judge_mount(mount(line, monkeypatch))
    assert max(remark.level for remark in remarks) is level
    assert any(word in remark.says for remark in remarks if remark.level is level)
    assert {remark.about for remark in remarks} == {"mount"}


def test_all_that_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    remarks = judge_mount(mount(f"{_NFS3.replace('hard', 'soft')},nocto,nolock", monkeypatch))
    assert [remark.level for remark in remarks] == [_REFUSED, _REFUSED, _WARNING]


def test_a_mount_that_is_not_known_may_be_a_share() -> None:
    (remark,) = judge_mount(None)
    assert (remark.level, remark.about) == (_WARNING, "mount")


def test_a_mount_keeps_its_source_and_all_options_once(monkeypatch: pytest.MonkeyPatch) -> None:
    line = r"40 28 0:40 / /mnt/share rw,noatime shared:2 master:3 - cifs //server/a\040share rw,soft"
    assert mount(line, monkeypatch) == ("/mnt/share", "cifs", "//server/a share", ("rw", "noatime", "soft"))


def test_a_worker_warns_only_of_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warning_about(mount(_NFS, monkeypatch), "/mnt/share/queue") is None
    assert warning_about(mount(f"{_NFS3},nolock", monkeypatch), "/mnt/share/queue") is None
    assert warning_about(mount("", monkeypatch), "/mnt/share/queue") is None
    said = warning_about(mount(f"{_NFS},nocto,softerr", monkeypatch), "/mnt/share/queue")
    assert said is not None
    assert said.startswith("/mnt/share/queue is no place for a queue: with `soft` or `softerr`")
    assert "nocto" in said
    assert said.endswith("`jobqueue doctor /mnt/share/queue` tells more.")
