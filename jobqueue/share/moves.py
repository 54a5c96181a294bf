"""Renames and locks: whoever is first, and the second look after an ambiguous answer."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobqueue.share.answers import AMBIGUOUS, LINGERING_KINDS, MOVE_TRIES, Stamp
from jobqueue.share.handles import Lock
from jobqueue.share.lasting import Lasting

if TYPE_CHECKING:
    import os
else:
    from jobqueue.system import counted_os as os


class Moves(Lasting):
    """Calls of which only one succeeds."""

    def swap(self, source: str, target: str) -> OSError | None:
        """One rename as a compare-and-swap; ``None`` if it was answered with success, else the answer.

        A caller that is given an error lists and decides anew: the rename may have been executed all the same.

        Raises:
            OSError: one that says that the rename was not executed.
        """
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno not in AMBIGUOUS:
                raise
            return error
        return None

    def try_move(
        self, source_dir: str, source: str, target_dir: str, target: str, *, left: list[str] | None = None
    ) -> bool:
        """One rename, with the second look; whether the target is there.

        Args:
            source_dir: directory of the file.
            source: its name.
            target_dir: where it is to go.
            target: its name there.
            left: after a loss, receives what ``source_dir`` seemed to hold when we looked last.

        Where the target's name carries the mover, ``True`` means "done by me"; where it does not, "done by somebody".

        RACE: ``False`` is provisional. A rename that was lost on the way can still be executed after we have looked;
        then the token lies under a name that we own, and reconciling finds it there.

        Raises:
            OSError: an error that a second try would not cure, or one that stayed for 4 tries.
        """
        failed = None
        for _ in range(MOVE_TRIES):
            try:
                os.rename(f"{source_dir}/{source}", f"{target_dir}/{target}")
                return True
            except OSError as error:
                if error.errno not in AMBIGUOUS:
                    raise
                failed = error
            if self.has(target_dir, target):
                return True
            names = self.names_or_none(source_dir) or []
            if left is not None:
                # NFS: also where it still shows the source, for then whoever called should not believe the next one.
                left[:] = names
            if source not in names:
                return False
        if failed is not None and failed.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise failed
        return False

    def publish(self, source_dir: str, target_dir: str, name: str, stamp: Stamp) -> bool:
        """Renames a file over whatever has its name in another directory; whether it lies there, by whomever.

        Only the very file with this stamp is moved. Where it is not (any more) what lies at the target decides: it
        was moved already, or it is lost.

        Raises:
            OSError: an error that a second try would not cure, or one that stayed for 4 tries.
        """
        failed = None
        for _ in range(MOVE_TRIES):
            if self.stamp(source_dir, name) != stamp:
                return self.stamp(target_dir, name) == stamp
            try:
                os.rename(f"{source_dir}/{name}", f"{target_dir}/{name}")
                return True
            except OSError as error:
                if error.errno not in AMBIGUOUS:
                    raise
                failed = error
        assert failed is not None
        raise failed

    def write_whole(self, path: str, data: bytes, *, sync: bool = True) -> None:
        """Makes ``path`` hold ``data``: readers see the old file or the new one, never a part.

        Args:
            path: of the file.
            data: its new contents.
            sync: whether it has to outlast a power cut; what only shows how far a job is need not.

        CRASH: before the rename a ``.new-`` file is left, which nobody reads.
        """
        directory, name = os.path.split(path)
        new = f".new-{name}-{self.chance.getrandbits(32):08x}"
        try:
            self.write_new(f"{directory}/{new}", data, sync=sync)
            self._rename_new(directory, new, name)
        except OSError:
            self.try_unlink(f"{directory}/{new}")
            raise
        if sync:
            self.sync_dir(directory)

    def _rename_new(self, directory: str, new: str, name: str) -> None:
        left = MOVE_TRIES
        while True:
            left -= 1
            try:
                os.rename(f"{directory}/{new}", f"{directory}/{name}")
                return
            except OSError as error:
                # Nobody else moves our new file, so where it is gone from its directory the rename was executed; where
                # it is still there, not even ENOENT says that the directory is missing.
                names = self.names_or_none(directory) if error.errno in AMBIGUOUS else None
                if names is None or (new in names and not left) or (new not in names and name not in names):
                    raise
                if new not in names:
                    return

    def move_file_aside(self, path: str, target: str) -> None:
        """Renames what lies at ``path``, unless that is a directory (any more).

        Args:
            path: of the file.
            target: where it goes; a name that nobody else uses.

        RACE: whoever does the same beside us may have put a directory in its place since we looked. No directory can be
        renamed over a file (rename(2)), so one that is empty waits at the target. CRASH: it is left there.
        """
        self.create(target)
        self.swap(path, target)

    def try_set_aside(self, path: str) -> str | None:
        """Renames a file or directory, for people to find beside its old name; where to, if the answer was success.

        Raises:
            OSError: one that says that it was not done.
        """
        aside = f"{path}.job-{self.chance.getrandbits(32):08x}"
        return aside if self.swap(path, aside) is None else None

    def take_out(self, directory: str, name: str) -> None:
        """Removes a file, so that no later listing shows its name.

        SMB: a host keeps a file open for a second after it has closed it, and so long an unlinked name stays listed. A
        renamed one does not. CRASH: between the two a ``.gone-`` file is left, which nobody reads.
        """
        path = f"{directory}/{name}"
        if self._kind(directory) in LINGERING_KINDS:
            gone = f"{directory}/.gone-{name}-{self.chance.getrandbits(32):08x}"
            if self.swap(path, gone) is None:
                path = gone
        self.try_unlink(path)

    def lock(self, path: str) -> Lock:
        return Lock(path)

    def is_locked(self, path: str) -> bool:
        """Whether somebody else holds the lock on a file. What cannot be asked counts as held; a missing file does not.

        NFS: a share mounted with ``nolock`` says no, whatever is true.
        """
        import portalocker

        try:
            with open(path, "rb+") as file:
                portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except FileNotFoundError:
            return False
        except (portalocker.LockException, OSError):
            return True
        return False

    def try_soft_lock(self, path: str) -> Callable[[], None] | None:
        """Takes a lock that is nothing but a file that must not be there yet; ``None`` if it is taken.

        For `jobqueue doctor`, which tells whether other programs may rely on such locks. Source: open(2), O_EXCL.

        Returns:
            What releases it.
        """
        import filelock

        lock = filelock.SoftFileLock(path)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            return None
        return lock.release
