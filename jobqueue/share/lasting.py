"""Making what was done outlast a power cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobqueue import system
from jobqueue.share.answers import LAZY_KINDS, SERVED_KINDS, Naming
from jobqueue.share.files import Files

if TYPE_CHECKING:
    import os
else:
    from jobqueue.system import counted_os as os


class Lasting(Files):
    """Calls that wait for the disk."""

    def sync_dir(self, directory: str, *, beside: str | None = None) -> None:
        """Makes the names in a directory last, where that is a call: a server has written them when it answers.

        Args:
            directory: the directory.
            beside: one on the same file system, which is asked for its kind where ``directory`` is one of many.
        """
        kind = self._kind(beside or directory)
        if kind in SERVED_KINDS:
            return
        if kind in LAZY_KINDS:
            self._sync_by_file(directory)
            return
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with Naming(directory):
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def sync_everything(self, directory: str) -> None:
        """Makes all that lies on the file system of ``directory`` last, with one call. Source: syncfs(2)."""
        kind = self._kind(directory)
        if kind in SERVED_KINDS:
            return
        if kind in LAZY_KINDS:
            self._sync_by_file(directory)
            return
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with Naming(directory):
            try:
                system.sync_file_system(fd, directory)
            finally:
                os.close(fd)

    def _sync_by_file(self, directory: str) -> None:
        """Makes the names on a share last whose server syncs files alone.

        SMB: a server whose file system keeps a journal writes all that came before with the file. Measured with Samba
        over ext4: without this the last seconds' names were gone after a power cut of the server, renames included.
        """
        path = f"{directory}/.new-sync-{self.chance.getrandbits(32):08x}"
        try:
            self.write_new(path, b"\n")
        finally:
            self.try_unlink(path)
