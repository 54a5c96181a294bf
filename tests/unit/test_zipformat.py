"""The records of zip files, held against Python's own reader of them."""

from __future__ import annotations

import random
import stat
import time
import zipfile
from pathlib import Path

import pytest

from jobqueue.packed import PackedFile
from jobqueue.packing import ZipWriter
from jobqueue.zipformat import BLOCK_BYTES

_MODE = stat.S_IFREG | 0o640


def _write(path: Path, files: dict[str, bytes], *, at: int = 0) -> dict[str, PackedFile]:
    """Writes a zip file, from a byte on that others have come to before."""
    with path.open("wb") as file:
        file.truncate(at)
        file.seek(at)
        zipped = ZipWriter(file.write, at=at)
        made = {}
        for name, data in files.items():
            if len(data) > BLOCK_BYTES:
                blocks = (data[begin : begin + BLOCK_BYTES] for begin in range(0, len(data), BLOCK_BYTES))
                made[name] = zipped.add_large(name, blocks, 1_500_000_000, _MODE)
            else:
                made[name] = zipped.add(name, data, 1_500_000_000, _MODE)
        zipped.end((file.member(name) for name, file in made.items()), b"for people")
    return made


_NOISE = random.Random(1).randbytes(3 * BLOCK_BYTES + 7)
_FILES = {
    "small": b"hello",
    "packed": b"frame\n" * 10_000,
    "noise": _NOISE[:5000],
    "a/b/gro\u00df \u52d5\u753b": b"x" * 100,
    "back\\slash\n": b"y",
    "one block": b"z" * BLOCK_BYTES,
    "large": b"frame 1\n" * (3 * BLOCK_BYTES // 8) + b"end",
    "large noise": _NOISE,
}


def test_python_reads_what_was_written(tmp_path: Path) -> None:
    _write(tmp_path / "a.zip", _FILES)
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        assert found.testzip() is None
        assert {info.filename: found.read(info) for info in found.infolist()} == _FILES
        assert found.comment == b"for people"
        info = found.getinfo("small")
        assert info.external_attr >> 16 == _MODE
        assert info.date_time == (*time.localtime(1_500_000_000)[:5], time.localtime(1_500_000_000)[5] // 2 * 2)


def test_only_what_becomes_smaller_is_packed(tmp_path: Path) -> None:
    made = _write(tmp_path / "a.zip", _FILES)
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        methods = {info.filename: info.compress_type for info in found.infolist()}
        for info in found.infolist():
            assert info.compress_size <= info.file_size
            assert (info.compress_size, info.CRC) == (made[info.filename].stored, made[info.filename].crc)
    assert [name for name, method in methods.items() if method == zipfile.ZIP_STORED] == [
        "small", "noise", "back\\slash\n", "large noise"]  # fmt: skip


@pytest.mark.parametrize("at", [(1 << 32) - 60, 5 << 30])
def test_what_lies_beyond_four_gigabytes_is_found(tmp_path: Path, at: int) -> None:
    # Most of the file is a hole, which takes no room.
    _write(tmp_path / "a.zip", {"first": b"1" * 30, "last": b"2"}, at=at)
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        assert (found.read("first"), found.read("last")) == (b"1" * 30, b"2")


@pytest.mark.parametrize("count", [0, 65_534, 65_535])
def test_more_files_than_sixteen_bits_can_count(tmp_path: Path, count: int) -> None:
    with (tmp_path / "a.zip").open("wb") as out:
        zipped = ZipWriter(out.write)
        file = zipped.add("x", b"contents of all of them", 0, _MODE)
        zipped._count = count
        zipped.end([file.member("x")] * count, b"")
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        assert len(found.infolist()) == count
        assert not count or found.read("x") == b"contents of all of them"


def test_a_file_of_more_than_four_gigabytes_has_its_size(tmp_path: Path) -> None:
    """Its bytes are not written: only what is said of it."""
    file = PackedFile(start=100, stored=5 << 30, size=6 << 30, crc=7, mtime_s=0, mode=_MODE, points=[0, 1])
    with (tmp_path / "a.zip").open("wb") as out:
        out.truncate(file.stored + 100)
        out.seek(0, 2)
        zipped = ZipWriter(out.write, at=out.tell())
        zipped._count = 1
        zipped.end([file.member("x" * 5)], b"")
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        (info,) = found.infolist()
        assert (info.file_size, info.compress_size, info.header_offset) == (6 << 30, 5 << 30, file.member("xxxxx").at)


@pytest.mark.parametrize(
    ("seconds", "date"),
    [(0, (1980, 1, 1, 0, 0, 0)), (-5, (1980, 1, 1, 0, 0, 0)), (1 << 40, (2096, 10, 2))],
)
def test_times_that_a_zip_file_cannot_tell_are_the_nearest(tmp_path: Path, seconds: int, date: tuple[int, ...]) -> None:
    with (tmp_path / "a.zip").open("wb") as out:
        zipped = ZipWriter(out.write)
        file = zipped.add("x", b"x", seconds, _MODE)
        zipped.end([file.member("x")], b"")
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        assert found.getinfo("x").date_time[: len(date)] == date
