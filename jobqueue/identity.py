"""Who we are: host, process and user, and names that are never used again."""

from __future__ import annotations

import getpass
import os
import random
from collections.abc import Collection
from typing import Any, NamedTuple

from jobqueue.names import plain

_NAME_LIMIT = 24
_HOST_LIMIT = 32


def host_name() -> str:
    # What socket.gethostname() says; but that module takes as long to load as several of ours.
    return os.uname().nodename


def user_name() -> str:
    """The user's name, or number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def new_name(name: str, chance: random.Random) -> str:
    """``name-host-random``: for a worker, or for somebody who writes a record without being one.

    Args:
        name: what people call it; cut to 24 characters of ``[a-z0-9-]``.
        chance: the generator of random numbers.
    """
    return f"{plain(name, _NAME_LIMIT)}{host_in_names()}{chance.getrandbits(40):010x}"


def host_in_names() -> str:
    """What all names have in them of workers on this host; those of others may have it, too."""
    return f"-{plain(host_name(), _HOST_LIMIT)}-"


def boot_id() -> str:
    """Changes with every start of the host. Source: random(4), /proc/sys/kernel/random/boot_id."""
    return _line("/proc/sys/kernel/random/boot_id") or ""


def pid_namespace() -> str:
    """Two processes can look each other up by pid only in the same one. Source: namespaces(7)."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        # Not Linux, or /proc is hidden: then nobody is told dead by his pid.
        return ""


class _Stat(NamedTuple):
    """What the kernel shows of a process. Source: proc(5), /proc/PID/stat, fields 3, 4, 5 and 22."""

    state: str
    parent: int
    group: int
    started_ticks: int

    @property
    def has_ended(self) -> bool:
        """A zombie has, and only waits for its parent to hear of it."""
        return self.state in "ZX"


def _stat(pid: int | str) -> _Stat | None:
    """What is shown of a process; ``None`` if there is none, or if it is hidden from us (``hidepid``)."""
    # The command's name may hold blanks and parentheses; the last one ends it.
    fields = (_line(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[1]), int(fields[2]), int(fields[19])) if len(fields) > 19 else None


def started_ticks(pid: int) -> int | None:
    """When a process of this host started, in clock ticks since the boot; ``None`` if none is shown.

    A pid is used again, a pid with its start time is not.
    """
    seen = _stat(pid)
    return seen.started_ticks if seen else None


def is_process_gone(pid: int, ticks: int | None) -> bool:
    """Whether a process of this host that started at ``ticks`` is certainly there no more.

    Not guaranteed: ``True`` for every one that is gone. What cannot be seen may be there: with /proc mounted
    ``hidepid`` other users' processes are hidden. Whether a number is taken kill(2) tells of those, too.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        # It is another user's, or no number of a process.
        pass
    seen = _stat(pid)
    return seen is not None and (seen.has_ended or (ticks is not None and seen.started_ticks != ticks))


def is_group_running(group: int) -> bool:
    """Whether a process of a process group still does something, which one that only waits to be reaped does not.

    Where nobody reaps orphans (a container without an init) these stay for ever.
    """
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        seen = _stat(name) if name.isdecimal() else None
        if seen is not None and seen.group == group and not seen.has_ended:
            return True
    return not os.path.isdir("/proc/self")


def descendants(pid: int) -> list[int]:
    """The processes of this host that a process has started, with those that they have started, and so on."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        seen = _stat(name) if name.isdecimal() else None
        if seen is not None:
            children.setdefault(seen.parent, []).append(int(name))
    found: list[int] = []
    pending = [pid]
    while pending:
        started = children.get(pending.pop(), [])
        found += started
        pending += started
    return found


def processes_called(words: Collection[str]) -> list[int]:
    """The processes of this host that have one of these among their arguments. Source: proc(5), /proc/PID/cmdline."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        # An argument may hold line ends.
        arguments = (_text(f"/proc/{name}/cmdline") or "").split("\0") if name.isdecimal() else []
        if any(word in words for word in arguments):
            found.append(int(name))
    return found


def describe_process() -> dict[str, Any]:
    """What others need to know to tell whether this process lives."""
    pid = os.getpid()
    return {
        "host": host_name(),
        "boot": boot_id(),
        "pidns": pid_namespace(),
        "pid": pid,
        "started_ticks": started_ticks(pid),
        "user": user_name(),
    }


def _line(path: str) -> str | None:
    """The first line of a file of the kernel; ``None`` where that does not let us read it."""
    text = _text(path)
    return None if text is None else text.partition("\n")[0].strip()


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None
