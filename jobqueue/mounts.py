"""What the kind of a file system and its mount options say of it as a place for a queue. Pure: nothing is measured.

`runjobs` asks this at its start, so nothing here costs a call on the share; `jobqueue doctor` measures the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from jobqueue.share import LOCAL_KINDS, Mount


class Level(IntEnum):
    """How much something matters; the highest of all is the verdict."""

    FULL = 0
    """The queue keeps all that it promises."""
    WARNING = 1
    """It keeps what it promises, and something else is slower or worse than it could be, or was never measured."""
    REFUSED = 2
    """Something that the promise rests on does not hold here."""


class Remark(NamedTuple):
    """One thing that was found out about a place.

    Attributes:
        level: how much it matters.
        about: what it is about, in one word.
        says: what was found, and what follows, in words.
    """

    level: Level
    about: str
    says: str


_NFS = frozenset({"nfs", "nfs4"})
_SMB = frozenset({"cifs", "smb3"})
# Words in the kind or the source of a mount that is a front of an object store, or of a store of whole files.
_OBJECT_STORES = (
    "s3fs", "goofys", "gcsfuse", "rclone", "mount-s3", "mountpoint-s3", "blobfuse", "geesefs", "ossfs", "cosfs",
    "obsfs", "davfs", "google-drive-ocamlfuse", "onedriver",
)  # fmt: skip
_SOFT = (
    "with `soft` or `softerr` a call fails after a while although the server may still carry it out, and what jobs "
    "write can be cut short without an error; mount it with `hard`"
)
_NOCTO = (
    "with `nocto` this host believes its old knowledge of a file that another one has changed, so that it takes living "
    "workers for dead; mount it without"
)
# Options of NFS that break the promise.
_NFS_OPTIONS = {"soft": _SOFT, "softerr": _SOFT, "nocto": _NOCTO}
_LOCAL_LOCKS = (
    "so a lock excludes nobody on other hosts; the queue is safe all the same, but the death of a host is noticed only "
    "after `deadAfter`, not within 45 s"
)
_NFS_LOCKS = frozenset({"nolock", "local_lock=all", "local_lock=flock"})


def judge_mount(mount: Mount | None) -> list[Remark]:
    """What can be told from the mount alone; of a good one, one remark that says so."""
    if mount is None:
        return [Remark(Level.WARNING, "mount", "it cannot be told which mount this lies on; it counts as a share")]
    found = list(_judge(mount))
    return found or [Remark(Level.FULL, "mount", _praise(mount.kind))]


def is_read_only(mount: Mount) -> bool:
    return "ro" in mount.options


def _judge(mount: Mount) -> Iterator[Remark]:
    kind, options = mount.kind, set(mount.options)
    if is_read_only(mount):
        yield Remark(Level.REFUSED, "mount", "it is mounted read-only")
    store = next((word for word in _OBJECT_STORES if word in kind or word in mount.source), None)
    if store is not None:
        yield Remark(
            Level.REFUSED, "mount",
            f"{store} is a front of a store that has no atomic rename: it copies and then deletes, so that two workers "
            "would get the same job",
        )  # fmt: skip
    elif "sshfs" in kind or mount.source.startswith("sshfs#"):
        yield Remark(
            Level.REFUSED, "mount",
            "sshfs shows listings that are up to 20 s old whatever is done, and its locks exclude nobody; use NFS "
            "or SMB",
        )  # fmt: skip
    elif kind == "overlay":
        yield Remark(
            Level.WARNING, "mount",
            "an overlay is one container's own: no other container or host sees the queue, and it goes with the "
            "container",
        )  # fmt: skip
    elif kind in _NFS:
        yield from _judge_nfs(options)
    elif kind in _SMB:
        yield from _judge_smb(options)
    elif kind not in LOCAL_KINDS:
        yield Remark(
            Level.WARNING, "mount",
            f"nobody has measured {kind} for jobqueue; run `jobqueue doctor DIR --peer` on two hosts, then "
            "`jobqueue burnin DIR`",
        )  # fmt: skip


def _judge_nfs(options: set[str]) -> Iterator[Remark]:
    for option, says in _NFS_OPTIONS.items():
        if option in options:
            yield Remark(Level.REFUSED, "mount", says)
    local = sorted(_NFS_LOCKS & options)
    if local:
        yield Remark(Level.WARNING, "mount", f"with `{local[0]}` each host locks for itself alone, {_LOCAL_LOCKS}")


def _judge_smb(options: set[str]) -> Iterator[Remark]:
    # `soft` is what the Linux client has by default, and what was measured with.
    yield Remark(
        Level.WARNING, "mount",
        "an SMB server answers before it has written a name: when it loses its power, a submission of the last seconds "
        "can be lost",
    )  # fmt: skip
    if "cache=loose" in options:
        yield Remark(
            Level.REFUSED, "mount",
            "with `cache=loose` this host believes its old knowledge of a file that another one has changed; mount it "
            "without",
        )  # fmt: skip
    if "nobrl" in options:
        yield Remark(Level.WARNING, "mount", f"with `nobrl` no lock reaches the server, {_LOCAL_LOCKS}")
    old = next((option for option in sorted(options) if option.startswith("vers=") and option[5:6] in "12"), None)
    if old is not None:
        yield Remark(Level.WARNING, "mount", f"nobody has measured SMB with `{old}` for jobqueue; 3.1.1 was")


def _praise(kind: str) -> str:
    if kind in _NFS:
        return "NFS; that the export is `sync` cannot be seen from here, and has to be"
    return f"{kind}, a disk of this host alone"


def warning_about(mount: Mount | None, directory: str) -> str | None:
    """What a worker says at its start about a mount on which the promise does not hold; ``None`` about any other."""
    refused = [remark.says for remark in judge_mount(mount) if remark.level is Level.REFUSED]
    if not refused:
        return None
    return f"{directory} is no place for a queue: {'; '.join(refused)}. `jobqueue doctor {directory}` tells more."
