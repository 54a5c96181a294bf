"""The archives of a queue: which top-level jobs are in one, and how what lies there is read.

A job is archived once its archive has its name, and its entry is in no index folder. As long as it has an entry, its
directory is what counts.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, cast

from jobqueue.layout import QueueLayout
from jobqueue.names import archive_name, parse_archive
from jobqueue.share import Share

if TYPE_CHECKING:
    from jobqueue.layout import JobLayout
    from jobqueue.packed import Packed


class Archives:
    """The archives of one queue.

    Args:
        share: to call with.
        layout: the queue's names.
    """

    def __init__(self, share: Share, layout: QueueLayout) -> None:
        self._share = share
        self._layout = layout

    def numbers(self) -> list[int]:
        """The top-level jobs that have an archive, in their order; one listing."""
        names = self._share.names_or_none(self._layout.archives) or ()
        return sorted(number for name in names if (number := parse_archive(name)) is not None)

    def has(self, number: int) -> bool:
        """Whether a top-level job has an archive. NFS: a name that was missing once may stay missing to `open`."""
        return self._share.has(self._layout.archives, archive_name(number))

    def open(self, number: int) -> Packed | None:
        """A top-level job's archive, or ``None``; costs one call where there is none.

        Raises:
            BrokenJobError: it cannot be read as one.
        """
        # Late, since whoever looks at a queue mostly needs no archive.
        from jobqueue.packed import Packed

        path = self._layout.archive(number)
        try:
            return Packed(self._share, path)
        except (FileNotFoundError, NotADirectoryError):
            return Packed(self._share, path) if self.has(number) else None

    def new_draft(self, number: int) -> str:
        """The name in tmp/ of an archive that is being made."""
        return f"{archive_name(number)}.{self._share.chance.getrandbits(32):08x}"

    def publish(self, number: int, draft: str) -> bool:
        """Gives an archive its name; ``False`` if its job was deleted meanwhile. `make_last` makes it last."""
        layout = self._layout
        if not self._share.is_dir(layout.archives):
            self._share.try_make_dir(layout.archives)
        return self._share.try_move(layout.tmp, draft, layout.archives, archive_name(number))

    def make_last(self) -> None:
        """Makes what was published outlast a power cut, whoever has published it."""
        self._share.sync_dir(self._layout.dir)
        self._share.sync_dir(self._layout.archives)

    def remove(self, number: int) -> None:
        """Removes a top-level job's archive, and drafts of it.

        Order matters: without its draft nobody can publish one any more, a moment later.
        """
        for name in self._share.names_or_none(self._layout.tmp) or ():
            if name.startswith(f"{archive_name(number)}."):
                self._share.try_unlink(f"{self._layout.tmp}/{name}")
        try:
            self._share.try_unlink(self._layout.archive(number))
        except NotADirectoryError:
            # A file lies where archive/ belongs, so there are none.
            return


def share_on(packed: Packed, share: Share, job: JobLayout) -> Share:
    """A share on which a top-level job's directory is what its archive holds; all else is as it was.

    Not guaranteed: that what is changed there is anywhere. Whoever changes a job looks first whether it is archived.
    """
    # It does all that a share does, by handing it on, and so has to be one to a type checker.
    return cast("Share", _ArchiveShare(packed, share, job.dir))


class _ArchiveShare:
    """See `share_on`."""

    def __init__(self, packed: Packed, share: Share, directory: str) -> None:
        self._packed = packed
        self._share = share
        self._directory = directory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._share, name)

    def _place(self, path: str) -> str | None:
        """Where in the archive a path leads; ``None`` for all that lies elsewhere."""
        if path == self._directory:
            return ""
        start = f"{self._directory}/"
        return path[len(start) :] if path.startswith(start) else None

    def names_or_none(self, directory: str) -> list[str] | None:
        place = self._place(directory)
        if place is None:
            return self._share.names_or_none(directory)
        listing = self._packed.listing(place)
        return listing.names if listing else None

    def names(self, directory: str) -> list[str]:
        if self._place(directory) is None:
            return self._share.names(directory)
        names = self.names_or_none(directory)
        if names is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), directory)
        return names

    def has(self, directory: str, name: str) -> bool:
        return name in (self.names_or_none(directory) or ())

    def is_file_instead(self, path: str) -> bool:
        place = self._place(path)
        if place is None:
            return self._share.is_file_instead(path)
        above, _, name = place.rpartition("/")
        listing = self._packed.listing(above)
        return listing is not None and name in listing.names and name not in listing.dirs

    def size(self, path: str) -> int:
        place = self._place(path)
        if place is None:
            return self._share.size(path)
        try:
            file = self._packed.file(place)
        except FileNotFoundError:
            return 0
        return file.size if file else 0

    def read_part(self, path: str, offset: int, size: int) -> bytes:
        place = self._place(path)
        if place is None:
            return self._share.read_part(path, offset, size)
        file = self._packed.file(place)
        return self._packed.read(file, offset, size) if file else b""

    def read(self, path: str) -> bytes:
        place = self._place(path)
        if place is None:
            return self._share.read(path)
        file = self._packed.file(place)
        return self._packed.read(file, 0, file.size) if file else b""

    def read_or_none(self, path: str) -> bytes | None:
        try:
            return self.read(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
