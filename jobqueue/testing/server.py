"""The server of the model share: one tree of directories and files, in memory, that never lies.

What lies is the memory of the hosts (`jobqueue.testing.host`) and the answers (`jobqueue.testing.calls`).
"""

from __future__ import annotations

import errno
import heapq
import itertools
import os
import random
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from jobqueue.clock import Clock
from jobqueue.share import SERVED_KINDS
from jobqueue.testing.clock import FakeClock

TICK_S = 0.004


class File:
    """A file, or what is shown to people as a symbolic link.

    Attributes:
        content: what it holds.
        lasting: how many bytes of that outlast a power cut.
        tick: when it was changed last, in ticks of the server's clock.
        holders: by how many file descriptors hosts have it open.
        doomed_at: it was unlinked there, and stays listed until nobody has it open: directory, name and path.
    """

    __slots__ = ("content", "doomed_at", "holders", "lasting", "tick")

    def __init__(self, tick: int) -> None:
        self.content = b""
        self.lasting = 0
        self.tick = tick
        self.holders = 0
        self.doomed_at: tuple[Directory, str, str] | None = None


class Directory:
    """A directory; ``is_gone`` once it was removed, for those that still hold it, ``is_moved`` once it was renamed."""

    __slots__ = ("entries", "is_gone", "is_moved", "mode", "tick")

    def __init__(self, tick: int, mode: int = 0o755) -> None:
        self.entries: dict[str, File | Directory] = {}
        self.tick = tick
        self.mode = mode
        self.is_gone = False
        self.is_moved = False


class Change(NamedTuple):
    """One thing that was done to the tree.

    Attributes:
        name: ``create``, ``mkdir``, ``symlink``, ``rename``, ``unlink`` or ``rmdir``.
        path: of what was changed, before.
        target: its path afterwards, if it was renamed.
    """

    name: str
    path: str
    target: str = ""


class _Entry(NamedTuple):
    """One change of names, for replaying after a power cut."""

    node: File | Directory
    leaves: tuple[Directory, str] | None
    enters: tuple[Directory, str] | None


def refuse(number: int, path: str) -> NoReturn:
    """Raises the `OSError` of an error number."""
    raise OSError(number, os.strerror(number), path)


class ModelServer:
    """A file server, or a local disk.

    Args:
        clock: its clock; an hour off or not, only its own ticks count.
        chance: for what a power cut leaves.
        kind: of the file system, as a mount table calls it; ``nfs4`` writes names before it answers, ``ext4`` does not.

    Attributes:
        observers: called after every change of names.
        down_until: until then nobody is answered, in seconds of ``clock``.
    """

    def __init__(self, clock: Clock | None = None, chance: random.Random | None = None, kind: str = "nfs4") -> None:
        self.clock = clock or FakeClock()
        self.chance = chance or random.Random(0)
        self.kind = kind
        self.observers: list[Callable[[Change], None]] = []
        self.down_until = 0.0
        self.locks: dict[File, list[Any]] = {}
        self.root = Directory(0)
        self._is_served = kind in SERVED_KINDS
        self._late: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._inodes: dict[File | Directory, int] = {}
        # Only for power cuts: the tree when all of it was lasting, and what was done since.
        self._base: dict[Directory, dict[str, File | Directory]] = {}
        self._changes: list[_Entry] = []
        self._synced: set[int] = set()

    @property
    def tick(self) -> int:
        return int(self.clock.monotonic() / TICK_S)

    def changed_at(self, tick: int) -> float:
        """A tick as seconds of the server's own clock."""
        return 1_000_000_000.0 + tick * TICK_S

    def inode(self, node: File | Directory) -> int:
        """The number of a file or directory; no other one ever has it."""
        return self._inodes.setdefault(node, len(self._inodes) + 2)

    # --- looking, as only the server can -------------------------------------------------------------------------

    def find(self, path: str) -> File | Directory | None:
        """What lies under a path; ``None`` if nothing does."""
        node: File | Directory = self.root
        for part in path.split("/"):
            if part:
                found = node.entries.get(part) if isinstance(node, Directory) else None
                if found is None:
                    return None
                node = found
        return node

    def names(self, path: str) -> list[str]:
        """The names in a directory; none if it is missing."""
        node = self.find(path)
        return list(node.entries) if isinstance(node, Directory) else []

    # --- changing ------------------------------------------------------------------------------------------------

    def make_file(self, directory: Directory, name: str, path: str, call: str = "create") -> File:
        file = File(self.tick)
        self._enter(directory, name, file)
        self._tell(Change(call, path))
        return file

    def make_dir(self, directory: Directory, name: str, path: str, mode: int = 0o755) -> None:
        if name in directory.entries:
            refuse(errno.EEXIST, path)
        self._enter(directory, name, Directory(self.tick, mode))
        self._tell(Change("mkdir", path))

    def remove_dir(self, directory: Directory, name: str, path: str) -> None:
        node = directory.entries.get(name)
        if node is None:
            refuse(errno.ENOENT, path)
        if not isinstance(node, Directory):
            refuse(errno.ENOTDIR, path)
        if node.entries:
            refuse(errno.ENOTEMPTY, path)
        self._leave(directory, name)
        node.is_gone = True
        self._tell(Change("rmdir", path))

    def unlink(self, directory: Directory, name: str, path: str) -> None:
        node = directory.entries.get(name)
        if node is None:
            refuse(errno.ENOENT, path)
        if isinstance(node, Directory):
            refuse(errno.EISDIR, path)
        self._leave(directory, name)
        self._tell(Change("unlink", path))

    def rename(self, source: tuple[Directory, str, str], target: tuple[Directory, str, str]) -> None:
        """Each end is the directory, the name and the whole path."""
        (here, name, path), (there, new, goal) = source, target
        node = here.entries.get(name)
        if node is None:
            refuse(errno.ENOENT, path)
        if there.is_gone:
            refuse(errno.ENOENT, goal)
        before = there.entries.get(new)
        if isinstance(before, Directory):
            if not isinstance(node, Directory):
                refuse(errno.EISDIR, goal)
            if before.entries:
                refuse(errno.ENOTEMPTY, goal)
            before.is_gone = True
        elif before is not None and isinstance(node, Directory):
            refuse(errno.ENOTDIR, goal)
        del here.entries[name]
        there.entries[new] = node
        if isinstance(node, Directory):
            node.is_moved = True
        here.tick = there.tick = self.tick
        if not self._is_served:
            self._changes.append(_Entry(node, (here, name), (there, new)))
        self._tell(Change("rename", path, goal))

    def _enter(self, directory: Directory, name: str, node: File | Directory) -> None:
        if directory.is_gone:
            refuse(errno.ENOENT, name)
        directory.entries[name] = node
        directory.tick = self.tick
        if not self._is_served:
            self._changes.append(_Entry(node, None, (directory, name)))

    def _leave(self, directory: Directory, name: str) -> None:
        node = directory.entries.pop(name)
        directory.tick = self.tick
        if not self._is_served:
            self._changes.append(_Entry(node, (directory, name), None))

    def _tell(self, change: Change) -> None:
        for observer in self.observers:
            observer(change)

    # --- time ----------------------------------------------------------------------------------------------------

    def later(self, delay_s: float, do: Callable[[], None]) -> None:
        """Has a call executed that was on its way for a while; whatever it would be answered, nobody hears it."""
        heapq.heappush(self._late, (self.clock.monotonic() + delay_s, next(self._order), do))

    @property
    def has_late(self) -> bool:
        return bool(self._late)

    def execute_late(self) -> None:
        """Executes what has arrived by now."""
        while self._late and self._late[0][0] <= self.clock.monotonic():
            do = heapq.heappop(self._late)[2]
            try:
                do()
            except OSError:
                # Its client has long been told something else.
                continue

    # --- power cuts ----------------------------------------------------------------------------------------------

    def sync_names(self, directory: Directory) -> None:
        """What was done to the names in a directory outlasts a power cut from now on. Source: fsync(2)."""
        for number, entry in enumerate(self._changes):
            if any(end is not None and end[0] is directory for end in (entry.leaves, entry.enters)):
                self._synced.add(number)

    def sync_everything(self) -> None:
        """Everything outlasts a power cut from now on. Source: syncfs(2)."""
        if self._is_served:
            return
        self._changes.clear()
        self._synced.clear()
        self._base.clear()
        pending: list[File | Directory] = [self.root]
        while pending:
            node = pending.pop()
            if isinstance(node, Directory):
                self._base[node] = dict(node.entries)
                pending.extend(node.entries.values())
            else:
                node.lasting = len(node.content)

    def cut_power(self) -> None:
        """Loses any part of what was not made lasting, as far as the rest can be without it.

        What a journal keeps of one file or directory is its history up to some moment; different ones may stop at
        different moments. Of the contents of a file whatever came after its last fsync is there, is cut short, or is
        zeros. Everybody's memory is gone as well: make new hosts.
        """
        kept = self._kept()
        touched = {end[0] for entry in self._changes for end in (entry.leaves, entry.enters) if end is not None}
        for directory in touched:
            directory.entries = dict(self._base.get(directory, {}))
        for number, entry in enumerate(self._changes):
            if number in kept:
                if entry.leaves is not None:
                    entry.leaves[0].entries.pop(entry.leaves[1], None)
                if entry.enters is not None:
                    entry.enters[0].entries[entry.enters[1]] = entry.node
        self._lose_content(self.root)
        self.sync_everything()
        self.locks.clear()
        self._late.clear()

    def _kept(self) -> set[int]:
        """Which changes are still there: of each node the first ones, at least those that something lasting needs."""
        history: dict[File | Directory, list[int]] = {}
        for number, entry in enumerate(self._changes):
            history.setdefault(entry.node, []).append(number)
        needed = set(self._synced)
        # Backwards, since what a change needs came before it: the way of its node so far, and its directories.
        for number in range(len(self._changes) - 1, -1, -1):
            if number in needed:
                needed |= self._needs(number, history)
        kept: set[int] = set()
        stopped: set[File | Directory] = set()
        for number, entry in enumerate(self._changes):
            ends = [end[0] for end in (entry.leaves, entry.enters) if end is not None]
            is_possible = entry.node not in stopped and not any(end in stopped for end in ends)
            if number in needed or (is_possible and self.chance.random() < 0.7):
                kept.add(number)
            else:
                stopped.add(entry.node)
        return kept

    def _needs(self, number: int, history: dict[File | Directory, list[int]]) -> set[int]:
        entry = self._changes[number]
        nodes = [entry.node, *(end[0] for end in (entry.leaves, entry.enters) if end is not None)]
        return {earlier for node in nodes for earlier in history.get(node, ()) if earlier < number}

    def _lose_content(self, node: File | Directory) -> None:
        if isinstance(node, Directory):
            node.is_gone = False
            for child in node.entries.values():
                self._lose_content(child)
        elif node.lasting < len(node.content):
            left = self.chance.randint(node.lasting, len(node.content))
            tail = node.content[node.lasting : left]
            node.content = node.content[: node.lasting] + (tail if self.chance.random() < 0.5 else bytes(len(tail)))
