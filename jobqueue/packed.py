"""A directory that was packed into one zip file, read in parts: its listings, and any bytes of its files.

The zip file ends with an index of its own, since a directory of a million files would have to be read whole to find one
in the directory that every zip file has. It is found by the comment at the very end. `jobqueue.packing` writes it.
"""

from __future__ import annotations

import errno
import json
import stat
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from jobqueue.errors import BrokenJobError
from jobqueue.params import dumps
from jobqueue.share import Share
from jobqueue.zipformat import BLOCK_BYTES, DEFLATED, STORED, Member

T = TypeVar("T")
ARCHIVE_FORMAT = 1
# The members that are the index; all others lie below the job's own name.
INDEX = ".index"
_COMMENT = "jobqueue archive {:04d}, index at {:020d} {:020d} {:020d} {:010d}"
COMMENT_BYTES = len(_COMMENT.format(0, 0, 0, 0, 0))
# So many blocks are kept: of the index, and of files.
_KEPT = 8


class PackedFile(NamedTuple):
    """A file, or a symbolic link, whose contents are a member of the zip file.

    Attributes:
        start: the byte at which they begin.
        stored: how many bytes of the zip file they are.
        size: how many bytes they are.
        crc: their CRC-32.
        mtime_s: when it was written last, in seconds since the epoch.
        mode: type and permission bits, as stat(2) has them.
        points: of one that is larger than a block, where in what is stored each block begins; none where it is stored
            as it is.
    """

    start: int
    stored: int
    size: int
    crc: int
    mtime_s: int
    mode: int
    points: list[int] | None = None

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def method(self) -> int:
        """How it is stored: packed only where that makes it smaller."""
        if self.points is not None:
            return DEFLATED if self.points else STORED
        return DEFLATED if self.stored < self.size else STORED

    def member(self, name: str) -> Member:
        """What the zip file says of it."""
        is_large = self.points is not None
        fields = (self.start, self.stored, self.size, self.crc, self.mtime_s, self.mode)
        return Member(name, *fields, is_large, self.method)


class Listing(NamedTuple):
    """What a directory held.

    Attributes:
        dirs: the names of directories.
        empty: of files without contents.
        other: of FIFOs, sockets and devices, and of files that could not be told.
        files: of files with contents, and of symbolic links.
    """

    dirs: list[str]
    empty: list[str]
    other: list[str]
    files: dict[str, PackedFile]

    @property
    def names(self) -> list[str]:
        return [*self.dirs, *self.empty, *self.other, *self.files]

    def line(self, place: str) -> bytes:
        """The line of the index that says this of the directory ``place``."""
        found: dict[str, Any] = {"dir": place}
        found.update((key, names) for key, names in zip(("dirs", "empty", "other"), self[:3], strict=True) if names)
        if self.files:
            found["files"] = {name: list(file) for name, file in self.files.items()}
        return dumps(found).encode("ascii") + b"\n"

    @staticmethod
    def parse(line: bytes) -> tuple[str, Listing]:
        """The directory and what it held.

        Raises:
            ValueError: the line says nothing of that kind; or KeyError, TypeError.
        """
        found = json.loads(line)
        files = {name: PackedFile(*fields) for name, fields in found.get("files", {}).items()}
        return found["dir"], Listing(found.get("dirs", []), found.get("empty", []), found.get("other", []), files)


class Block(NamedTuple):
    """A part of the index: the lines of some directories.

    Attributes:
        first: the first of these.
        start: the byte at which it begins.
        stored: how many bytes of the zip file it is.
        size: how many bytes its lines are.
        crc: their CRC-32.
    """

    first: str
    start: int
    stored: int
    size: int
    crc: int


class Top(NamedTuple):
    """What the index begins with.

    Attributes:
        number: of the top-level job.
        by: who has archived it.
        packed_at: when, in seconds since the epoch by his clock.
        files: how many files with contents there are.
        size: how many bytes they have.
        blocks: the rest of the index, in the order of the directories.
    """

    number: int
    by: str
    packed_at: float
    files: int
    size: int
    blocks: list[Block]

    def text(self) -> bytes:
        head = {"format": ARCHIVE_FORMAT, "job": self.number, "by": self.by, "time": self.packed_at}
        return dumps({**head, "files": self.files, "bytes": self.size, "blocks": self.blocks}).encode("ascii") + b"\n"

    @staticmethod
    def parse(text: bytes) -> Top:
        """The same back.

        Raises:
            ValueError: it is none; or KeyError, TypeError.
        """
        found = json.loads(text)
        if found["format"] != ARCHIVE_FORMAT:
            raise ValueError(f"format {found['format']} is not known to this jobqueue")
        blocks = [Block(*fields) for fields in found["blocks"]]
        return Top(found["job"], found["by"], found["time"], found["files"], found["bytes"], blocks)


def comment(top: PackedFile) -> bytes:
    """The zip file's comment, which says where the beginning of the index lies."""
    return _COMMENT.format(ARCHIVE_FORMAT, *top[:4]).encode("ascii")


def order_of(place: str) -> tuple[str, ...]:
    """What directories are sorted by: each is followed by all that lies in it."""
    return tuple(place.split("/")) if place else ()


def inflate(data: bytes) -> bytes:
    """Unpacks a member, or a block of one. Source: zlib's manual; -15 is for data without a header."""
    return zlib.decompressobj(-15).decompress(data)


class Packed:
    """Reads a packed directory; holds no file open, and keeps some of what it has read: the file never changes.

    Args:
        share: to read with.
        path: of the zip file.

    Raises:
        FileNotFoundError: it is missing.
        BrokenJobError: it cannot be read as one (from every method).
    """

    def __init__(self, share: Share, path: str) -> None:
        self.path = path
        self._share = share
        self._blocks: OrderedDict[int, dict[str, Listing]] = OrderedDict()
        self._data: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        end, _ = share.read_end(path, COMMENT_BYTES)
        self.top: Top = self._sound(lambda: Top.parse(self._text(*_where(end))))
        self._firsts = self._sound(lambda: [order_of(block.first) for block in self.top.blocks])

    def _sound(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except (ValueError, KeyError, TypeError, IndexError, zlib.error) as error:
            reason = f"the archive cannot be read ({error}); restore the file from a backup"
            raise BrokenJobError(reason, self.path) from error

    def _text(self, start: int, stored: int, size: int, crc: int) -> bytes:
        data = self._share.read_part(self.path, start, stored)
        text = inflate(data) if stored < size else data
        if zlib.crc32(text) != crc:
            raise ValueError("its index is damaged")
        return text

    # --- listings ------------------------------------------------------------------------------------------------

    def listing(self, place: str) -> Listing | None:
        """What the directory ``place`` held; ``""`` is the top one. ``None``: there was none."""
        at = bisect_right(self._firsts, order_of(place)) - 1
        return self._block(at).get(place) if at >= 0 else None

    def listings(self) -> Iterator[tuple[str, Listing]]:
        """All directories, each followed by all that lies in it."""
        for at in range(len(self._firsts)):
            yield from self._block(at).items()

    def _block(self, at: int) -> dict[str, Listing]:
        found = self._blocks.get(at)
        if found is None:
            lines = self._sound(lambda: self._text(*self.top.blocks[at][1:]).splitlines())
            found = self._blocks[at] = self._sound(lambda: dict(map(Listing.parse, lines)))
            if len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(at)
        return found

    # --- files ---------------------------------------------------------------------------------------------------

    def file(self, place: str) -> PackedFile | None:
        """The file at ``place`` that has contents; ``None`` for an empty one.

        Raises:
            FileNotFoundError: there was none, or a link or something else that is no file.
            IsADirectoryError: there was a directory.
        """
        above, _, name = place.rpartition("/")
        listing = self.listing(above)
        if listing is None or name not in listing.names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", f"{self.path}: {place}")
        if name in listing.dirs:
            raise IsADirectoryError(errno.EISDIR, "Is a directory", f"{self.path}: {place}")
        file = listing.files.get(name)
        if name in listing.other or (file and file.is_link):
            raise FileNotFoundError(errno.ENOENT, "It is no file", f"{self.path}: {place}")
        return file

    def read(self, file: PackedFile, offset: int, size: int) -> bytes:
        """At most ``size`` bytes of a file from ``offset`` on."""
        end = min(offset + size, file.size)
        if offset >= end:
            return b""
        if file.method == STORED:
            return self._share.read_part(self.path, file.start + offset, end - offset)
        first, last = offset // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        data = b"".join(self._unpacked(file, at) for at in range(first, last + 1))
        return data[offset - first * BLOCK_BYTES : end - first * BLOCK_BYTES]

    def _unpacked(self, file: PackedFile, at: int) -> bytes:
        key = (file.start, at)
        found = self._data.get(key)
        if found is None:
            begins = [*(file.points or [0]), file.stored]
            packed = self._share.read_part(self.path, file.start + begins[at], begins[at + 1] - begins[at])
            found = self._data[key] = self._sound(lambda: inflate(packed))
            is_whole = file.points is None and zlib.crc32(found) == file.crc
            if not is_whole and (file.points is None or len(found) != min(BLOCK_BYTES, file.size - at * BLOCK_BYTES)):
                raise BrokenJobError("the archive is damaged; restore the file from a backup", self.path)
            if len(self._data) > _KEPT:
                self._data.popitem(last=False)
        self._data.move_to_end(key)
        return found


def _where(end: bytes) -> tuple[int, int, int, int]:
    """Where the index begins, by the zip file's last bytes.

    Raises:
        ValueError: they are not those of an archive, or of one of another format.
    """
    words = end.decode("ascii").replace(",", "").split()
    if words[:2] != ["jobqueue", "archive"] or len(words) != 9:
        raise ValueError("it does not end as one")
    if int(words[2]) != ARCHIVE_FORMAT:
        raise ValueError(f"format {int(words[2])} is not known to this jobqueue")
    start, stored, size, crc = map(int, words[5:])
    return start, stored, size, crc
