"""A client host of the model share: what it remembers of the server, and the lies that come of that."""

from __future__ import annotations

import errno
import random
from collections import Counter

from jobqueue.share import SERVED_KINDS
from jobqueue.testing.anomalies import Anomalies, Locks
from jobqueue.testing.server import TICK_S, Directory, File, ModelServer, refuse

_LEASE_S = 90.0
# So long an SMB client may put off closing a file that its program has closed. Source: mount.cifs(8), closetimeo.
_CLOSES_AFTER_S = 1.0


class ModelHost:
    """One host that has mounted the share; all its processes share its memory.

    Args:
        server: what is mounted.
        name: the host's name.
        anomalies: how it misbehaves; may be replaced at any time.
        chance: decides when.

    Attributes:
        open: how many file descriptors of this host's processes hold a file.
        clock_offset_s: by how much its clock is wrong.
    """

    def __init__(
        self,
        server: ModelServer,
        name: str = "host",
        anomalies: Anomalies | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.server = server
        self.name = name
        self.anomalies = anomalies or Anomalies()
        self.chance = chance or random.Random(0)
        self.clock_offset_s = 0.0
        self.open: Counter[File] = Counter()
        self.is_remote = server.kind in SERVED_KINDS
        self._dirty: dict[File, bytes] = {}
        self._directories: dict[str, Directory] = {"": server.root}
        self._missing: dict[Directory, set[str]] = {}
        self._known: dict[tuple[Directory, str], File] = {}
        self._listings: dict[Directory, tuple[int, list[str]]] = {}
        self._attributes: dict[File | Directory, tuple[int, int]] = {}
        self._stated: dict[str, File | Directory] = {}
        # The directory and the name that a path led to last.
        self._keys: dict[str, tuple[Directory, str]] = {}
        # Names that a host gave to files that were unlinked while it held them open.
        self._silly: dict[File, tuple[Directory, str, str]] = {}
        self._silly_names = 0

    # --- names ---------------------------------------------------------------------------------------------------

    def directory(self, path: str) -> Directory:
        """The directory of a path; a host keeps what it has once looked up, wherever that was moved since."""
        found = self._directories.get(path)
        if found is not None:
            if not found.is_gone and (not found.is_moved or self._happens(self.anomalies.stale_directories)):
                return found
            # Whatever comes of it, the host has learnt that it is gone.
            del self._directories[path]
            if found.is_gone and self._happens(self.anomalies.stale_removed):
                refuse(errno.ESTALE, path)
        parent, _, name = path.rpartition("/")
        above = self.directory(parent)
        node = above.entries.get(name)
        if node is None or self._is_hidden(above, name):
            self._missing.setdefault(above, set()).add(name)
            refuse(errno.ENOENT, path)
        if not isinstance(node, Directory):
            refuse(errno.ENOTDIR, path)
        self._directories[path] = node
        return node

    def _happens(self, odds: float) -> bool:
        """Whether something happens that has a chance; what is certain leaves the generator alone."""
        return odds > 0.0 and (odds >= 1.0 or self.chance.random() < odds)

    def place(self, path: str) -> tuple[Directory, str, str]:
        """The directory that a path leads to, the name in it, and the path."""
        parent, _, name = path.rpartition("/")
        return self.directory(parent), name, path

    def look_up(self, path: str) -> File | Directory:
        """What open, stat and utime find under a path."""
        directory, name, _ = self.place(path)
        self._keys[path] = key = directory, name
        node = directory.entries.get(name)
        if node is None:
            known = self._known.get(key)
            if known is not None and self._is_reachable(known) and self.chance.random() < self.anomalies.stale_present:
                return known
            self._known.pop(key, None)
            self._missing.setdefault(directory, set()).add(name)
            if known is not None and self.is_remote and self._happens(self.anomalies.stale_removed):
                # The client asks for the file that it remembers, and the server has it no more.
                refuse(errno.ESTALE, path)
            refuse(errno.ENOENT, path)
        self.check_doom(node, path)
        if self._is_hidden(directory, name):
            refuse(errno.ENOENT, path)
        if isinstance(node, File) and (self.anomalies.stale_present or self.anomalies.stale_replaced):
            known = self._known.setdefault(key, node)
            if known is not node and self._happens(self.anomalies.stale_replaced):
                if self.chance.choice((False, True)):
                    # The client asks for the file that it remembers, and the server has it no more.
                    refuse(errno.ESTALE if self.is_remote else errno.EINVAL, path)
                return known
            self._known[key] = node
        return node

    def remembered(self, path: str) -> File | Directory:
        """What stat finds: what open does, or out of memory a file that was removed."""
        try:
            node = self._stated[path] = self.look_up(path)
        except FileNotFoundError:
            if path in self._stated and self._happens(self.anomalies.stale_attributes):
                node = self._stated[path]
                if isinstance(node, File):
                    # The server was not asked, so nothing was learnt.
                    self._known[self._keys[path]] = node
                return node
            self._stated.pop(path, None)
            raise
        return node

    def check_source(self, directory: Directory, name: str, path: str) -> None:
        """What a rename finds under its source's name."""
        if name not in directory.entries:
            self._missing.setdefault(directory, set()).add(name)
            return
        self.check_doom(directory.entries[name], path)
        if self._is_hidden(directory, name):
            refuse(errno.ENOENT, path)

    def _is_hidden(self, directory: Directory, name: str) -> bool:
        """Whether a name that was missing once still is, to this host."""
        missing = self._missing.get(directory)
        if not missing or name not in missing:
            return False
        if self.chance.random() < self.anomalies.stale_missing:
            return True
        missing.discard(name)
        return False

    @staticmethod
    def check_doom(node: File | Directory, path: str) -> None:
        """Nobody can open what was unlinked, and is listed only until nobody has it open any more."""
        if isinstance(node, File) and node.doomed_at is not None:
            refuse(errno.ENOENT, path)

    def _is_reachable(self, file: File) -> bool:
        """Whether the server still has a file that a host remembers by another name."""
        pending: list[File | Directory] = [self.server.root]
        while pending:
            node = pending.pop()
            if node is file:
                return True
            if isinstance(node, Directory):
                pending.extend(node.entries.values())
        return False

    def remember(self, directory: Directory, name: str) -> None:
        """This host has made a name itself."""
        if missing := self._missing.get(directory):
            missing.discard(name)
        node = directory.entries.get(name)
        if self.anomalies.stale_replaced and isinstance(node, File):
            self._known[directory, name] = node

    def changed(self, directory: Directory) -> None:
        """This host has changed a directory itself, so it asks for the names again."""
        self._listings.pop(directory, None)

    # --- listings and attributes ---------------------------------------------------------------------------------

    def names(self, directory: Directory, path: str) -> list[str]:
        """A listing, from the server or from memory."""
        if directory.is_gone:
            # Source: measured; a directory that is removed while it is read is a stale one on NFS, missing on a disk.
            refuse(errno.ESTALE if self.is_remote else errno.ENOENT, path)
        remembered = self._listings.get(directory)
        if remembered is not None and remembered[0] == directory.tick:
            names = remembered[1]
            if len(names) != len(directory.entries) or names != list(directory.entries):
                # NFS: the directory's time is the one of our last look, so nothing seems to have changed.
                if self.chance.random() < self.anomalies.blind_ticks:
                    return list(names)
                self._fetch(directory)
        else:
            self._fetch(directory)
        return list(directory.entries)

    def _fetch(self, directory: Directory) -> None:
        if self.anomalies.blind_ticks:
            self._listings[directory] = directory.tick, list(directory.entries)
        self._missing.pop(directory, None)

    def attributes(self, node: File | Directory) -> tuple[int, int]:
        """Time of the last change in ticks, and size, as ``stat`` tells them."""
        known = self._attributes.get(node)
        if known is not None and self.chance.random() < self.anomalies.stale_attributes:
            return known
        self._attributes[node] = now = node.tick, self.size(node)
        return now

    def size(self, node: File | Directory) -> int:
        return len(self.content(node)) if isinstance(node, File) else 0

    # --- contents ------------------------------------------------------------------------------------------------

    def content(self, file: File) -> bytes:
        """What this host's processes read: the server's bytes, and those that this host has not sent yet."""
        unsent = self._dirty.get(file)
        return file.content + unsent if unsent else file.content

    def write(self, file: File, data: bytes) -> None:
        if self.is_remote:
            self._dirty[file] = self._dirty.get(file, b"") + data
        else:
            file.content += data
            file.tick = self.server.tick

    def flush(self, file: File) -> None:
        """Sends what was written here to the server, as fsync and close do. Source: nfs(5), close-to-open."""
        if unsent := self._dirty.pop(file, None):
            file.content += unsent
            file.tick = self.server.tick

    def close(self, file: File) -> None:
        """One file descriptor less."""
        self.flush(file)
        self.open[file] -= 1
        file.holders -= 1
        if self.open[file] <= 0:
            del self.open[file]
            if silly := self._silly.pop(file, None):
                file.doomed_at = silly
                if self._happens(self.anomalies.late_silly):
                    self.server.later(TICK_S, lambda: self._remove(file))
                else:
                    self._remove(file)
                return
        if file.doomed_at is not None and not file.holders:
            self._remove(file)

    def doom(self, directory: Directory, name: str, path: str) -> bool:
        """Has a file that is to be unlinked stay listed until nobody has it open; whether it does.

        SMB: a host closes a file some time after its program has, unless it wants to remove it itself.
        """
        file = directory.entries.get(name)
        odds = self.anomalies.lingering
        if not isinstance(file, File) or not odds or not (file.holders or self._happens(odds)):
            return False
        file.doomed_at = directory, name, path
        if not file.holders:
            self.server.later(_CLOSES_AFTER_S, lambda: self._remove(file))
        return True

    def _remove(self, file: File) -> None:
        assert file.doomed_at is not None
        directory, name, path = file.doomed_at
        if directory.entries.get(name) is file:
            self.server.unlink(directory, name, path)

    def let_go(self, directory: Directory, name: str, path: str) -> bool:
        """Gives a file that is to be unlinked a silly name if this host holds it open; whether it did."""
        file = directory.entries.get(name)
        if not (isinstance(file, File) and self.anomalies.silly_rename and self.is_remote and self.open[file]):
            return False
        if file in self._silly:
            return False
        self._silly_names += 1
        silly = f".nfs{self.name}{self._silly_names:08x}"
        there = f"{path.rpartition('/')[0]}/{silly}"
        self.server.rename((directory, name, path), (directory, silly, there))
        self._silly[file] = directory, silly, there
        return True

    # --- locks ---------------------------------------------------------------------------------------------------

    def try_lock(self, file: File, owner: object) -> bool:
        """Takes a lock for a process of this host.

        Raises:
            OSError: the share takes no locks.
        """
        if self.anomalies.locks is Locks.NONE:
            refuse(errno.ENOLCK, "lock")
        if self.is_locked(file):
            return False
        self.server.locks.setdefault(file, []).append((self, owner))
        return True

    def is_locked(self, file: File) -> bool:
        """Whether a lock is held that this host sees; without locks nobody can tell."""
        everywhere = self.anomalies.locks is Locks.ALL
        holders = self.server.locks.get(file, ())
        return self.anomalies.locks is Locks.NONE or any(everywhere or host is self for host, _ in holders)

    def unlock(self, file: File, owner: object) -> None:
        holders = self.server.locks.get(file, [])
        holders[:] = [(host, held) for host, held in holders if host is not self or held is not owner]

    # --- the end -------------------------------------------------------------------------------------------------

    def die(self) -> None:
        """The host loses its power: what it had not sent is lost, its locks stay for a lease, its silly files for good.

        Its processes have to be ended first (`ModelCalls.die`), or their ends would send what they had written.
        """
        self._dirty.clear()
        for file, count in self.open.items():
            file.holders -= count
        self.open.clear()

        def expire() -> None:
            for holders in self.server.locks.values():
                holders[:] = [(host, owner) for host, owner in holders if host is not self]

        self.server.later(_LEASE_S, expire)
