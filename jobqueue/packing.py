"""Packs a top-level job's directory into one zip file, with the index that `jobqueue.packed` reads it by.

Nothing of it is followed or waited for: a symbolic link is stored as one, of a FIFO or a device only the name. Empty
files are names in the index and nothing else, so that a token costs nothing but its name; those in token folders and
latches are known to be empty, and are not even looked at.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from jobqueue.errors import JobStateError
from jobqueue.layout import JobLayout
from jobqueue.packed import INDEX, Block, Listing, PackedFile, Top, comment, inflate
from jobqueue.share import Appender, Kind, Part, Share
from jobqueue.zipformat import (
    BLOCK_BYTES,
    Member,
    central_record,
    descriptor,
    ending,
    header_bytes,
    local_header,
)

# Lines of the index are packed together up to so many bytes.
_INDEX_BYTES = 1 << 16
_LEVEL = 6
# A large file is packed if that saves a twentieth of its first block: pictures and movies are packed already.
_WORTH = 0.95
_READ, _ENTER = 0o444, 0o111
# What a draft may be; and what an archive may be besides, whatever lies in it: who has made it may read and remove it.
_OWN, _OWN_TOO = 0o600, 0o622
_INDEX_MODE, _LINK_MODE = stat.S_IFREG | 0o444, stat.S_IFLNK | 0o777
# How many directories were packed, and how many bytes.
Progress = Callable[[int, int], None]


class ZipWriter:
    """Writes a zip file from its beginning to its end, with a large write now and then.

    Args:
        write: takes its bytes, one piece after the other.
    """

    def __init__(self, write: Callable[[bytes], object], *, at: int = 0) -> None:
        self._write = write
        self._waiting = bytearray()
        self._at = at
        self._count = 0

    def add(self, name: str, data: bytes, mtime_s: int, mode: int) -> PackedFile:
        """Adds a file that fits into a block; packed, where that makes it smaller."""
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
        packed = packer.compress(data) + packer.flush()
        if len(packed) >= len(data):
            packed = data
        start = self._at + header_bytes(name, is_large=False)
        file = PackedFile(start, len(packed), len(data), zlib.crc32(data), mtime_s, mode)
        self._put(local_header(file.member(name)))
        self._put(packed)
        self._count += 1
        return file

    def add_large(self, name: str, blocks: Iterable[bytes], mtime_s: int, mode: int) -> PackedFile:
        """Adds a file of several blocks, each of which can be unpacked by itself.

        Args:
            name: its path in the zip file.
            blocks: of `BLOCK_BYTES` each, but for the last one.
            mtime_s: when it was written last, in seconds since the epoch.
            mode: type and permission bits, as stat(2) has them.
        """
        rest = iter(blocks)
        first = next(rest, b"")
        points = [0] if len(_flushed(_packer(), first)) < _WORTH * len(first) else []
        start = self._at + header_bytes(name, is_large=True)
        file = PackedFile(start, 0, 0, 0, mtime_s, mode, points)
        self._put(local_header(file.member(name)))
        size = crc = 0
        packer, stored = _packer(), 0
        for block in chain([first], rest):
            if points and size:
                points.append(stored)
            size += len(block)
            crc = zlib.crc32(block, crc)
            stored += self._put(_flushed(packer, block) if points else block)
        if points:
            stored += self._put(packer.flush())
        file = file._replace(stored=stored, size=size, crc=crc)
        self._put(descriptor(file.member(name)))
        self._count += 1
        return file

    def end(self, members: Iterable[Member], comment: bytes) -> None:
        """Writes the zip file's own directory.

        Args:
            members: all that were added.
            comment: what it ends with.
        """
        at = self._at
        for member in members:
            self._put(central_record(member))
        self._put(ending(self._count, at, self._at - at, comment))
        self._flush()

    def _put(self, data: bytes) -> int:
        self._waiting += data
        self._at += len(data)
        if len(self._waiting) >= BLOCK_BYTES:
            self._flush()
        return len(data)

    def _flush(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        self._write(data)


def _packer() -> zlib._Compress:
    """For data without a header. Source: zlib's manual."""
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)


def _flushed(packer: zlib._Compress, block: bytes) -> bytes:
    """A block, packed so that what comes after it does not need it. Source: zlib's manual, Z_FULL_FLUSH."""
    return packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)


class _Index:
    """Writes the index of a zip file: some lines of it are one member.

    Args:
        zipped: that file.
    """

    def __init__(self, zipped: ZipWriter) -> None:
        self.blocks: list[Block] = []
        self._zipped = zipped
        self._lines: list[bytes] = []
        self._size = 0
        self._first = ""
        # Kept packed, for the zip file's own directory: there may be a million lines.
        self._packed: list[bytes] = []
        self._own: list[Member] = []

    def add(self, place: str, listing: Listing) -> None:
        line = listing.line(place)
        if not self._lines:
            self._first = place
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _INDEX_BYTES:
            self._flush()

    def end(self, top: Callable[[list[Block]], Top]) -> bytes:
        """Writes what is left, and the beginning of the index; the comment that leads there."""
        if self._lines:
            self._flush()
        return comment(self._add("top", top(self.blocks).text()))

    def members(self, job: str) -> Iterator[Member]:
        """All members of the zip file."""
        for packed in self._packed:
            for line in inflate(packed).splitlines():
                place, listing = Listing.parse(line)
                above = f"{job}/{place}" if place else job
                for name, file in listing.files.items():
                    yield file.member(f"{above}/{name}")
        yield from self._own

    def _flush(self) -> None:
        text = b"".join(self._lines)
        file = self._add(str(len(self.blocks)), text)
        self.blocks.append(Block(self._first, file.start, file.stored, file.size, file.crc))
        packer = _packer()
        self._packed.append(packer.compress(text) + packer.flush())
        self._lines, self._size = [], 0

    def _add(self, name: str, text: bytes) -> PackedFile:
        file = self._zipped.add(f"{INDEX}/{name}", text, 0, _INDEX_MODE)
        self._own.append(file.member(f"{INDEX}/{name}"))
        return file


class Packing:
    """Packs one top-level job.

    Args:
        share: to call with.
        job: what is packed.
        progress: told how far it is.

    Attributes:
        rights: the permission bits that the file may have: of what its user gives to files that he makes, those for
            reading of who may read each part of what was packed, and his own.
    """

    def __init__(self, share: Share, job: JobLayout, progress: Progress) -> None:
        self.rights = _READ
        self._share = share
        self._job = job
        self._progress = progress
        self._name = f"job{job.number}"
        self._seen = self._files = self._bytes = 0

    def pack(self, path: str, by: str) -> None:
        """Writes all of it into a file that nobody sees yet, and syncs that.

        Args:
            path: of the file.
            by: who does it, for people.

        Raises:
            FileNotFoundError: the directory is missing.
            JobStateError: something of it changes meanwhile.
            OSError: it cannot be read, or not be written whole.
        """
        # Whatever chance has called the same before is no part of it.
        self._share.try_unlink(path)
        draft: Appender = self._share.append_to(path)
        try:
            # Before it holds anything: what lies in it may be for few.
            usual = self._share.set_rights(path, _OWN)
            zipped = ZipWriter(draft.append)
            index = _Index(zipped)
            self._pack_all(zipped, index)
            now = self._share.clock.now()
            said = index.end(lambda blocks: Top(self._job.number, by, now, self._files, self._bytes, blocks))
            zipped.end(index.members(self._name), said)
            self.rights = usual & (self.rights | _OWN_TOO)
            draft.sync()
        finally:
            draft.close()

    def _pack_all(self, zipped: ZipWriter, index: _Index) -> None:
        pending = [""]
        while pending:
            place = pending.pop()
            listing = self._pack_directory(zipped, place)
            index.add(place, listing)
            self._seen += 1
            self._progress(self._seen, self._bytes)
            # Order matters: each directory is followed by all that lies in it; so the index is sorted.
            pending += [_below(place, name) for name in reversed(listing.dirs)]

    def _pack_directory(self, zipped: ZipWriter, place: str) -> Listing:
        """Packs the files in a directory."""
        directory = self._job.node_dir(place)
        # NFS: what this host remembers of it may be older than the job's end.
        found = self._share.contents(directory)
        if found is None:
            if not place:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), directory)
            raise self._changing(place)
        # Whoever may list a directory and not enter it can read nothing in it.
        self.rights &= found.mode & (found.mode & _ENTER) << 2
        are_names = self._job.holds_names_alone(place)
        listing = Listing([], [], [], {})
        for name, kind in sorted(found.entries):
            if kind is Kind.DIRECTORY:
                listing.dirs.append(name)
            elif are_names and kind is Kind.FILE:
                listing.empty.append(name)
            else:
                self._pack_name(zipped, _below(place, name), kind, listing)
        return listing

    def _pack_name(self, zipped: ZipWriter, place: str, kind: Kind, listing: Listing) -> None:
        """Packs what is no directory."""
        path, name = self._job.node_dir(place), place.rpartition("/")[2]
        if kind is Kind.LINK:
            target = self._share.link_target(path)
            if target is None:
                raise self._changing(place)
            listing.files[name] = zipped.add(f"{self._name}/{place}", os.fsencode(target), 0, _LINK_MODE)
        elif kind is Kind.OTHER:
            listing.other.append(name)
        else:
            part = self._share.read_plain(path, 0, BLOCK_BYTES + 1)
            if part is None:
                raise self._changing(place)
            self.rights &= part.mode
            if part.data:
                listing.files[name] = self._pack_file(zipped, place, part)
            else:
                listing.empty.append(name)

    def _pack_file(self, zipped: ZipWriter, place: str, part: Part) -> PackedFile:
        name, mtime_s = f"{self._name}/{place}", part.stamp.mtime_ns // 10**9
        self._files += 1
        if len(part.data) > BLOCK_BYTES:
            return zipped.add_large(name, self._blocks(place, part), mtime_s, part.mode)
        if len(part.data) != part.stamp.size:
            raise self._changing(place)
        self._bytes += len(part.data)
        return zipped.add(name, part.data, mtime_s, part.mode)

    def _blocks(self, place: str, first: Part) -> Iterator[bytes]:
        path, block, size = self._job.node_dir(place), first.data[:BLOCK_BYTES], 0
        while block:
            yield block
            size += len(block)
            self._bytes += len(block)
            self._progress(self._seen, self._bytes)
            part = self._share.read_plain(path, size, BLOCK_BYTES)
            # The beginning of one file with the end of another one would be neither.
            if part is None or (part.stamp, part.inode) != (first.stamp, first.inode):
                raise self._changing(place)
            block = part.data
        if size != first.stamp.size:
            raise self._changing(place)

    def _changing(self, place: str) -> JobStateError:
        """RACE: a process that a job has left writes, renames or removes something.

        What it calls otherwise since it was listed would be in no archive, and be removed.
        """
        reason = "it changes while it is archived: something still writes there; archive the job when that has ended"
        return JobStateError(reason, self._job.node_dir(place))


def _below(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name
