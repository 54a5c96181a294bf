"""The records of a zip file, as bytes. Pure: nothing here touches a file system.

Source: PKWARE, APPNOTE.TXT 6.3, sections 4.3 and 4.5.3 (zip64). A file that fits into one block is written with its
sizes before it. Of a larger one they come after it, in a data descriptor, since it is written as it is read.
"""

from __future__ import annotations

import struct
import time
from typing import NamedTuple

STORED, DEFLATED = 0, 8
# Of what one file is cut into. Each block but the first can be unpacked without those before it.
BLOCK_BYTES = 1 << 20

_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_64 = struct.Struct("<2H2Q")
_DESCRIPTOR_64 = struct.Struct("<4sL2Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_AFTERWARDS, _UTF_8 = 1 << 3, 1 << 11
_UNIX = 3 << 8
_PLAIN_VERSION, _VERSION_64 = 20, 45
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_ZIP64 = 1


class Member(NamedTuple):
    """One file in a zip file.

    Attributes:
        name: its path there.
        start: the byte at which its contents begin.
        stored: how many bytes of the zip file they are.
        size: how many bytes they are.
        crc: their CRC-32.
        mtime_s: when it was written last, in seconds since the epoch.
        mode: type and permission bits, as stat(2) has them.
        is_large: its sizes come after it.
        method: `STORED` or `DEFLATED`.
    """

    name: str
    start: int
    stored: int
    size: int
    crc: int
    mtime_s: int
    mode: int
    is_large: bool
    method: int

    @property
    def at(self) -> int:
        """The byte at which its local header begins."""
        return self.start - header_bytes(self.name, is_large=self.is_large)


def header_bytes(name: str, *, is_large: bool) -> int:
    """How long the local header of a member is."""
    return _LOCAL.size + len(_encoded(name)) + (_LOCAL_64.size if is_large else 0)


def local_header(member: Member) -> bytes:
    """What stands before the contents of a member; of a large one without sizes."""
    name = _encoded(member.name)
    date, hour = _dos_time(member.mtime_s)
    if member.is_large:
        fixed = (_VERSION_64, _AFTERWARDS | _UTF_8, member.method, hour, date, 0, _MAX_32, _MAX_32)
        extra = _LOCAL_64.pack(_ZIP64, 16, 0, 0)
    else:
        fixed = (_PLAIN_VERSION, _UTF_8, member.method, hour, date, member.crc, member.stored, member.size)
        extra = b""
    return _LOCAL.pack(b"PK\3\4", *fixed, len(name), len(extra)) + name + extra


def descriptor(member: Member) -> bytes:
    """What comes after the contents of a large member."""
    return _DESCRIPTOR_64.pack(b"PK\7\10", member.crc, member.stored, member.size)


def central_record(member: Member) -> bytes:
    """What the directory at the end says of a member."""
    name = _encoded(member.name)
    date, hour = _dos_time(member.mtime_s)
    large = [value for value in (member.size, member.stored, member.at) if value >= _MAX_32]
    extra = struct.pack(f"<2H{len(large)}Q", _ZIP64, 8 * len(large), *large) if large else b""
    is_64 = bool(large) or member.is_large
    return (
        _CENTRAL.pack(
            b"PK\1\2",
            _UNIX | _VERSION_64,
            _VERSION_64 if is_64 else _PLAIN_VERSION,
            _UTF_8 | (_AFTERWARDS if member.is_large else 0),
            member.method,
            hour,
            date,
            member.crc,
            min(member.stored, _MAX_32),
            min(member.size, _MAX_32),
            len(name),
            len(extra),
            0,
            0,
            0,
            member.mode << 16,
            min(member.at, _MAX_32),
        )
        + name
        + extra
    )


def ending(count: int, at: int, size: int, comment: bytes) -> bytes:
    """What comes after the directory.

    Args:
        count: how many members there are.
        at: the byte at which the directory begins.
        size: how many bytes it is.
        comment: for people, and for whoever has written it.
    """
    found = b""
    if count >= _MAX_16 or at >= _MAX_32 or size >= _MAX_32:
        versions = (_UNIX | _VERSION_64, _VERSION_64, 0, 0)
        found = _END_64.pack(b"PK\6\6", _END_64.size - 12, *versions, count, count, size, at)
        found += _LOCATOR_64.pack(b"PK\6\7", 0, at + size, 1)
    few = min(count, _MAX_16)
    return found + _END.pack(b"PK\5\6", 0, 0, few, few, min(size, _MAX_32), min(at, _MAX_32), len(comment)) + comment


def _encoded(name: str) -> bytes:
    """A path in UTF-8; a byte that is none of that on the disk is written out, with a backslash."""
    return name.encode("utf-8", "backslashreplace")


def _dos_time(seconds: int) -> tuple[int, int]:
    """Date and time of the day as MS-DOS has them: from 1980 to 2107, here."""
    found = time.localtime(min(max(seconds, 0), 4_000_000_000))
    if found.tm_year < 1980:
        return (1 << 5) | 1, 0
    date = (min(found.tm_year, 2107) - 1980) << 9 | found.tm_mon << 5 | found.tm_mday
    return date, found.tm_hour << 11 | found.tm_min << 5 | found.tm_sec // 2
