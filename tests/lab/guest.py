"""Starts the guest: a User-Mode-Linux kernel whose root is this machine's root, read-only.

Its first process, ``guest-init``, brings up the server and the hosts, runs one command and powers off. What the command
prints comes here line by line; nothing else of it does, but for what it leaves in a bound directory.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SHARES = ("nfs3", "nfs4.2", "smb")
# In CI all of it is tried on one kind a day, and faults on each; "nfs3", "nfs3,smb" or "all" here says otherwise.
KIND_VARIABLE = "JOBQUEUE_LAB_KIND"
# Debian's packages, for the message and for CI.
PACKAGES = "user-mode-linux nfs-kernel-server nfs-common rpcbind iproute2 util-linux kmod samba cifs-utils e2fsprogs"
NOT_UP, NO_END, POWER_CUT = 125, 124, 137

_READY, _END = "LAB-READY", "LAB-END"
_HERE = Path(__file__).resolve().parent
_SBIN = "/usr/sbin:/usr/bin:/sbin:/bin"
_ALL = ("linux.uml", "ip", "tc", "unshare", "nsenter", "modprobe", "mkfs.ext4")
_NFS = ("rpc.nfsd", "rpc.mountd", "rpc.statd", "exportfs", "mount.nfs", "rpcbind")
_SMB = ("smbd", "mount.cifs")


@dataclass(frozen=True)
class GuestSettings:
    """What guest to start.

    Attributes:
        share: ``nfs3``, ``nfs4.0`` to ``nfs4.2``, ``smb``, or ``local`` for a disk without server and hosts.
        hosts: how many hosts mount the share, 1 or more.
        mount_options: more mount options of the hosts, separated by commas.
        disk: image of an ext4 disk behind the export, made if it is missing; ``None`` is memory.
        disk_size: of a new image, as truncate(1) takes it.
        memory: of the guest, as its kernel takes it.
        binds: directories of this machine that are writable in the guest.
        out: the directory that is ``$LAB_OUT`` there; ``None`` is one that goes with the guest.
        timeout_s: the guest is killed after so many seconds.
        power_cut_s: it is killed so many seconds after a line of it, as a power failure does.
        power_cut_from: how that line begins; as it stands, when the command is started.
    """

    share: str = "nfs4.2"
    hosts: int = 2
    mount_options: str = ""
    disk: Path | None = None
    disk_size: str = "512M"
    memory: str = "1G"
    binds: tuple[Path, ...] = ()
    out: Path | None = None
    timeout_s: float = 300.0
    power_cut_s: float | None = None
    power_cut_from: str = _READY


def kinds_to_try() -> tuple[str, ...]:
    """The kinds of shares on which everything is tried: all, but in CI the one whose day it is."""
    if os.environ.get("CI") and not os.environ.get(KIND_VARIABLE):
        return (SHARES[day() % len(SHARES)],)
    return kinds_for_faults()


def kinds_for_faults() -> tuple[str, ...]:
    """The kinds of shares on which hosts, network and server fail: all, if nobody has said which."""
    asked = os.environ.get(KIND_VARIABLE) or "all"
    if asked == "all":
        return SHARES
    if unknown := sorted(set(asked.split(",")) - set(SHARES)):
        raise ValueError(f"{KIND_VARIABLE} names {unknown[0]}; the kinds are {', '.join(SHARES)}, or all")
    return tuple(asked.split(","))


def is_short() -> bool:
    """Whether the tests have little time, as in CI."""
    return len(kinds_to_try()) < len(SHARES)


def day() -> int:
    """A number that is another one tomorrow."""
    return int(time.time() // 86400)


def missing_programs(share: str) -> list[str]:
    """The programs that a guest with this kind of share needs and that are not installed here."""
    wanted = (*_ALL, *(_NFS if share.startswith("nfs") else _SMB if share == "smb" else ()))
    return [name for name in wanted if shutil.which(name, path=_SBIN) is None]


def python_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of this project in the guest, with the Python that runs here."""
    return ["env", f"PYTHONPATH={PROJECT}", sys.executable, "-m", module, *arguments]


def run_guest(settings: GuestSettings, command: Sequence[str], on_line: Callable[[str], None]) -> int:
    """Starts a guest, runs a command in it, and waits for its end.

    Args:
        settings: what guest.
        command: the command line, run as root beside the server, in the caller's working directory.
        on_line: is told each line that the command prints, without its end.

    Returns:
        The command's exit status; 125: the cluster did not come up; 124: no end in time; 137: power cut.
    """
    work = Path(tempfile.mkdtemp(prefix="lab-", dir="/var/tmp"))
    try:
        out = (settings.out or work / "out").resolve()
        out.mkdir(parents=True, exist_ok=True)
        if settings.disk is not None and not settings.disk.exists():
            _make_disk(settings.disk, settings.disk_size)
        _write_settings(work, out, settings, command)
        status = _Console(_boot(work, settings), settings, on_line).watch()
        if status is not None:
            return status
        left = work / "status"
        return int(left.read_text()) if left.exists() else NOT_UP
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _make_disk(path: Path, size: str) -> None:
    subprocess.run(["truncate", "-s", size, str(path)], check=True)
    subprocess.run([shutil.which("mkfs.ext4", path=_SBIN) or "mkfs.ext4", "-q", "-F", str(path)], check=True)


def _write_settings(work: Path, out: Path, settings: GuestSettings, command: Sequence[str]) -> None:
    """What guest-init reads: a file of shell assignments."""
    values = {
        "LAB_KIND": settings.share,
        "LAB_HOST_COUNT": settings.hosts,
        "LAB_MOUNT_OPTIONS": settings.mount_options,
        "LAB_DISK": "/dev/ubda" if settings.disk else "",
        "LAB_WORK": work,
        "LAB_OUT_DIR": out,
        "LAB_BIND": ":".join(str(path.resolve()) for path in settings.binds),
        "LAB_CWD": os.getcwd(),
        "LAB_COMMAND": shlex.join(command),
        "LAB_PATH": os.environ.get("PATH", ""),
    }
    (work / "settings").write_text("".join(f"{name}={shlex.quote(str(value))}\n" for name, value in values.items()))


def _boot(work: Path, settings: GuestSettings) -> subprocess.Popen[bytes]:
    disk = [] if settings.disk is None else [f"ubda={settings.disk.resolve()}"]
    kernel = [
        *("linux.uml", *disk, f"mem={settings.memory}", "rootfstype=hostfs", "rootflags=/", "ro"),
        *(f"init={_HERE}/guest-init", f"LAB_SETTINGS={work}/settings", f"uml_dir={work}"),
        *("con=null", "con0=null,fd:1", "quiet", "loglevel=1"),
    ]
    # A session of its own: the guest is several processes here, and all of them are ended at once.
    return subprocess.Popen(kernel, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)


class _Console:
    """What a guest writes, and the clocks that end it.

    Args:
        guest: its process.
        settings: what guest.
        on_line: is told each line of the command.
    """

    def __init__(self, guest: subprocess.Popen[bytes], settings: GuestSettings, on_line: Callable[[str], None]) -> None:
        self._guest = guest
        self._settings = settings
        self._on_line = on_line
        self._is_running = False
        self._cut_at = float("inf")
        self._end_at = time.monotonic() + settings.timeout_s

    def watch(self) -> int | None:
        """Reads until the guest has ended; ``None`` if it ended by itself, else why it was killed."""
        assert self._guest.stdout is not None
        console = self._guest.stdout.fileno()
        pending, status = "", None
        try:
            while True:
                chunk = os.read(console, 65536) if select.select([console], [], [], 0.1)[0] else b""
                pending += chunk.decode(errors="replace")
                *lines, pending = pending.split("\n")
                for line in lines:
                    self._hear(line.rstrip("\r"))
                if status is None:
                    status = self._kill_in_time()
                if self._guest.poll() is not None and not chunk:
                    return status
        finally:
            self._kill()
            self._guest.wait()
            self._guest.stdout.close()

    def _hear(self, line: str) -> None:
        settings = self._settings
        if settings.power_cut_s is not None and line.startswith(settings.power_cut_from):
            self._cut_at = min(self._cut_at, time.monotonic() + settings.power_cut_s)
        if line.startswith(_READY):
            self._is_running = True
        elif line.startswith(_END):
            self._is_running = False
        elif self._is_running:
            self._on_line(line)
        elif os.environ.get("LAB_DEBUG"):
            sys.stderr.write(f"[boot] {line}\n")

    def _kill_in_time(self) -> int | None:
        now = time.monotonic()
        if now < min(self._cut_at, self._end_at):
            return None
        self._kill()
        return POWER_CUT if now >= self._cut_at else NO_END

    def _kill(self) -> None:
        try:
            os.killpg(self._guest.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It has ended by itself, and all of its processes with it.
            return
