"""Directories: made, entered, listed for what they hold, removed with all below them."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from jobqueue.share.answers import Contents, Kind, Naming, Removal, kind_of
from jobqueue.share.moves import Moves

if TYPE_CHECKING:
    import os
else:
    from jobqueue.system import counted_os as os

T = TypeVar("T")


class Directories(Moves):
    """Calls on directories."""

    def make_dir(self, path: str, mode: int = 0o777) -> None:
        os.mkdir(path, mode)

    def try_make_dir(self, path: str) -> bool:
        """Makes a directory; ``False`` if the name is taken. NFS: the taker may be our own call, answered twice."""
        try:
            os.mkdir(path)
        except FileExistsError:
            return False
        return True

    def make_dirs_below(self, base: str, place: str) -> str:
        """Makes the directories that ``place`` names below ``base``, where they are missing; the last one's path.

        Raises:
            FileNotFoundError: ``base`` is missing; it is never made, for then somebody has deleted it.
        """
        path = base
        for part in place.split("/"):
            path = f"{path}/{part}"
            self.try_make_dir(path)
        return path

    def remove_dir(self, path: str) -> Removal:
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return Removal.MISSING
        except OSError as error:
            # Source: rmdir(2) allows either for a directory that is not empty.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return Removal.NOT_EMPTY
        return Removal.REMOVED

    def remove_tree(
        self,
        path: str,
        *,
        found: Callable[[str, list[str]], None] = lambda _directory, _names: None,
        until: float | None = None,
        removed: Callable[[], None] = lambda: None,
    ) -> bool:
        """Removes a directory and all below it, as far as it goes; whether nothing is left.

        A symbolic link is removed and never followed, also where it is ``path`` itself; so is a file in its place.

        Args:
            path: of the directory.
            found: is told each directory that holds something, with the names of its files before they are removed.
            until: by `Clock.monotonic`; then it stops, and goes on where it is called again.
            removed: told after each name that was removed.

        NFS: a file that somebody holds open stays as ``.nfs...`` and keeps its directory.
        """
        pending = [(path, False)]
        whole = True
        while pending:
            directory, emptied = pending.pop()
            if emptied:
                removal = self._remove_from(_above(directory, path), directory)
                whole = removal is not Removal.NOT_EMPTY and whole
                removed()
                if pending and self._is_over(until):
                    return False
                continue
            listed = self._listed_if_full(directory, _above(directory, path))
            if listed is None:
                removed()
                if pending and self._is_over(until):
                    return False
                continue
            pending.append((directory, True))
            found(directory, [name for name, kind in listed if kind is not Kind.DIRECTORY])
            for name, kind in listed:
                if kind is Kind.DIRECTORY:
                    pending.append((f"{directory}/{name}", False))
                    continue
                self._with_rights(directory, partial(self.try_unlink, f"{directory}/{name}"))
                removed()
                # Not before, so that each call comes further, however long the listing has taken.
                if self._is_over(until):
                    return False
        return whole

    def _listed_if_full(self, directory: str, above: str | None) -> list[tuple[str, Kind]] | None:
        """What a directory holds that is to be removed; ``None``: nothing, and it is gone, or what lay in its place is.

        To find a directory empty costs as much as to remove ten. Of a job's directories those that lie equally deep are
        most often alike: so where the last one was empty, the next one is removed without a look, if that succeeds.
        """
        depth = directory.count("/")
        try:
            if self._were_empty.get(depth) and self._remove_from(above, directory) is not Removal.NOT_EMPTY:
                return None
            listed = self._with_rights(directory, partial(self._entries, directory))
        except NotADirectoryError:
            listed = None
        except FileNotFoundError:
            return None
        if listed is None:
            self._with_rights(above, partial(self.try_unlink, directory))
        else:
            self._were_empty[depth] = not listed
        return listed

    def _remove_from(self, above: str | None, directory: str) -> Removal:
        return self._with_rights(above, partial(self.remove_dir, directory))

    def _with_rights(self, directory: str | None, call: Callable[[], T]) -> T:
        """Calls; once more where a job has taken the rights to a directory of its own from us, which are given back.

        Args:
            directory: which; ``None``: it is not the job's, and stays as it is.
            call: on something in it.
        """
        try:
            return call()
        except PermissionError:
            if directory is None or not self.try_make_writable(directory):
                raise
            return call()

    def _is_over(self, until: float | None) -> bool:
        return until is not None and self.clock.monotonic() >= until

    def own_names(self, directory: str) -> list[str] | None:
        """The names in a directory, or ``None`` if it is missing, or a file or a symbolic link is in its place."""
        try:
            found = self._entries(directory)
        except FileNotFoundError:
            return None
        return None if found is None else [name for name, _ in found]

    def contents(self, directory: str) -> Contents | None:
        """All that a directory holds, whatever this host remembers of it; ``None`` as for `own_names`.

        NFS: as `names_afresh`, but for the tick: whoever calls this has let it pass (`wait_a_tick`).
        """
        try:
            fd = self._open_own(directory)
        except FileNotFoundError:
            return None
        if fd is None:
            return None
        with Naming(directory):
            try:
                if self.is_remote(directory):
                    os.utime(fd)
                return Contents(os.fstat(fd).st_mode, self._kinds(fd))
            finally:
                os.close(fd)

    def _entries(self, directory: str) -> list[tuple[str, Kind]] | None:
        """The names in a directory, each with what it is itself. ``None``: it is a file or a symbolic link."""
        fd = self._open_own(directory)
        if fd is None:
            return None
        with Naming(directory):
            try:
                return self._kinds(fd)
            finally:
                os.close(fd)

    def _open_own(self, directory: str) -> int | None:
        """Opens a directory; ``None``: it is a file or a symbolic link.

        RACE: it was opened as none, so what is listed is its own, whatever takes its place meanwhile.
        """
        try:
            return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            # Source: open(2) with O_DIRECTORY and O_NOFOLLOW, of a file or of a symbolic link.
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            return None

    def _kinds(self, fd: int) -> list[tuple[str, Kind]]:
        with os.scandir(fd) as entries:
            return [(entry.name, kind_of(entry)) for entry in entries]

    def try_make_writable(self, directory: str) -> bool:
        """Gives this user all rights to a directory of ours; ``False`` if they were there."""
        mode = stat.S_IMODE(os.stat(directory).st_mode)
        if mode & stat.S_IRWXU == stat.S_IRWXU:
            return False
        os.chmod(directory, mode | stat.S_IRWXU)
        return True

    def enter(self, directory: str) -> None:
        """Makes ``directory`` this process's working directory."""
        os.chdir(directory)


def _above(directory: str, top: str) -> str | None:
    """The directory in which another one lies, if that is to be removed, too."""
    return directory.rpartition("/")[0] if directory != top else None
