"""A directory packed into one file, and read in parts: everything that may lie there comes back, and nothing else."""

from __future__ import annotations

import errno
import os
import random
import socket
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue.errors import BrokenJobError, JobStateError
from jobqueue.layout import JobLayout
from jobqueue.packed import Packed
from jobqueue.packing import Packing
from jobqueue.share import Share
from jobqueue.zipformat import BLOCK_BYTES
from tests.support_share import Call, HookedShare, watched_calls

__all__ = ["watched_calls"]


@pytest.fixture
def job(tmp_path: Path) -> JobLayout:
    found = JobLayout(str(tmp_path), 7)
    os.makedirs(f"{found.finished}/0000001-0000")
    return found


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "job7.zip"


def _pack(job: JobLayout, archive: Path, share: Share | None = None) -> Packing:
    packing = Packing(share or Share(), job, lambda _directories, _bytes: None)
    packing.pack(str(archive), "anna@desk")
    return packing


def _write(job: JobLayout, place: str, data: bytes | str) -> Path:
    path = Path(job.dir, place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def _read(packed: Packed, place: str, offset: int = 0, size: int = 1 << 40) -> bytes:
    file = packed.file(place)
    return packed.read(file, offset, size) if file else b""


def _files(job: JobLayout) -> Iterator[str]:
    for base, _, names in os.walk(job.dir):
        for name in names:
            if os.path.isfile(f"{base}/{name}") and not os.path.islink(f"{base}/{name}"):
                yield os.path.relpath(f"{base}/{name}", job.dir)


def assert_same(job: JobLayout, packed: Packed) -> None:
    """The archive holds the listings and files of a directory, and no others."""
    found = dict(packed.listings())
    for base, directories, names in os.walk(job.dir):
        place = os.path.relpath(base, job.dir).removeprefix(".") if base == job.dir else os.path.relpath(base, job.dir)
        listing = packed.listing(place)
        assert listing is not None
        assert listing == found.pop(place)
        assert sorted(listing.names) == sorted([*directories, *names])
    assert found == {}
    for place in _files(job):
        assert _read(packed, place) == Path(job.dir, place).read_bytes(), place


# --- all that may lie there -------------------------------------------------------------------------------------------


def test_all_that_was_there_is_in_the_archive(job: JobLayout, archive: Path) -> None:
    _write(job, ".hierarchy", "what to do")
    _write(job, "job0/.attempt1/stdout", b"printed\n" * 1000)
    _write(job, "job0/.attempt1/empty", b"")
    _write(job, "job0/.attempt1/deep/er/file", b"\0\xff")
    _write(job, "job10/.attempt1/stdout", b"ten")
    _write(job, "job1.x/y", b"between job1 and job1/")
    os.mkdir(f"{job.dir}/nothing in it")
    _pack(job, archive)
    packed = Packed(Share(), str(archive))
    assert_same(job, packed)
    assert (packed.top.number, packed.top.by, packed.top.files) == (7, "anna@desk", 5)
    assert packed.top.size == sum(os.path.getsize(f"{job.dir}/{place}") for place in _files(job))


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_in_a_tree_comes_back(job: JobLayout, archive: Path, seed: int) -> None:
    chance = random.Random(seed)
    names = [
        "a",
        "b",
        "a.b",
        "a-",
        "A",
        " ",
        "..x",
        "gro\u00df",
        "\u52d5\u753b",
        "x\ny",
        "\\",
        "\udcff\udc80",
        "n" * 200,
    ]
    places = [""]
    for _ in range(chance.randrange(60)):
        place = f"{chance.choice(places)}/{chance.choice(names)}".lstrip("/")
        path = f"{job.dir}/{place}"
        if os.path.lexists(path):
            continue
        if chance.random() < 0.4:
            os.mkdir(path)
            places.append(place)
        else:
            size = chance.choice([0, 1, 100, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 3_000_000])
            Path(path).write_bytes(chance.randbytes(size) if chance.random() < 0.3 else b"frame\n" * (size // 6))
    _pack(job, archive)
    packed = Packed(Share(), str(archive))
    assert_same(job, packed)
    for place in _files(job):
        data = Path(job.dir, place).read_bytes()
        for _ in range(8):
            offset, size = chance.randrange(len(data) + 2), chance.choice([1, 7, 8192, BLOCK_BYTES, 3 * BLOCK_BYTES])
            assert _read(packed, place, offset, size) == data[offset : offset + size]
    with zipfile.ZipFile(archive) as found:
        assert found.testzip() is None


def test_every_zip_tool_unpacks_the_files_as_they_were(job: JobLayout, archive: Path, tmp_path: Path) -> None:
    _write(job, "job0/.attempt1/stdout", b"printed")
    _write(job, "job0/.attempt1/large", b"frame\n" * 1_000_000).chmod(0o640)
    os.symlink("stdout", f"{job.dir}/job0/.attempt1/link")
    _pack(job, archive)
    with zipfile.ZipFile(archive) as found:
        names = {name for name in found.namelist() if not name.startswith(".index/")}
        assert names == {f"job7/job0/.attempt1/{name}" for name in ("stdout", "large", "link")}
        found.extractall(tmp_path / "out")
        assert found.getinfo("job7/job0/.attempt1/link").external_attr >> 16 == 0o120777
        assert found.getinfo("job7/job0/.attempt1/large").external_attr >> 16 == 0o100640
    assert (tmp_path / "out/job7/job0/.attempt1/large").read_bytes() == b"frame\n" * 1_000_000


# --- what is no file --------------------------------------------------------------------------------------------------


def test_links_are_kept_as_links_and_never_followed(job: JobLayout, archive: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("of the house")
    for name, target in (("file", secret / "key"), ("dir", secret), ("nowhere", "/does/not/exist"), ("self", "self")):
        os.symlink(target, f"{job.dir}/{name}")
    _pack(job, archive)
    assert b"of the house" not in archive.read_bytes()
    packed = Packed(Share(), str(archive))
    listing = packed.listing("")
    assert listing is not None
    assert (listing.dirs, sorted(listing.files)) == ([".tokens"], ["dir", "file", "nowhere", "self"])
    assert all(file.is_link for file in listing.files.values())
    assert packed.read(listing.files["dir"], 0, 1000) == bytes(secret)
    assert packed.listing("dir") is None
    with pytest.raises(FileNotFoundError):
        packed.file("file")


def test_a_link_that_takes_the_place_of_a_directory_or_file_is_not_followed(
    job: JobLayout, archive: Path, tmp_path: Path, watched_calls: None
) -> None:
    """RACE: a process that a job has left behind swaps them between the listing and the look."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("of the house")
    _write(job, "file", b"harmless")
    _write(job, "dir/key", b"harmless")
    share = HookedShare()

    def swap(call: Call, do: Any) -> Any:
        for name, target in (("file", secret / "key"), ("dir", secret)):
            path = f"{job.dir}/{name}"
            if call.name == "open" and call.args[0] == path and not os.path.islink(path):
                os.rename(path, f"{path}.was")
                os.symlink(target, path)
        return do()

    share.hook = swap
    for name in ("file", "dir"):
        with pytest.raises(JobStateError, match="it changes while it is archived") as caught:
            _pack(job, archive, share)
        assert caught.value.path == f"{job.dir}/{name}"
        os.unlink(f"{job.dir}/{name}")
    assert b"of the house" not in archive.read_bytes()


def test_of_what_is_no_file_only_the_name_is_kept(job: JobLayout, archive: Path) -> None:
    os.mkfifo(f"{job.dir}/fifo")
    with socket.socket(socket.AF_UNIX) as end:
        # The path of a socket may be short only.
        here = os.open(job.dir, os.O_RDONLY)
        end.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
    _pack(job, archive)
    packed = Packed(Share(), str(archive))
    listing = packed.listing("")
    assert listing is not None
    assert sorted(listing.other) == ["fifo", "socket"]
    with pytest.raises(FileNotFoundError):
        packed.file("fifo")


def _replace(path: str) -> None:
    Path(f"{path}.new").write_bytes(b"y" * (BLOCK_BYTES + 5))
    os.rename(f"{path}.new", path)


def _write_to(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


# The name of what changes, before which call on it, and what becomes of it.
_CHANGES: dict[str, tuple[str, str, int, Callable[[str], object]]] = {
    "a file goes": ("file", "open", 1, os.unlink),
    "a file is renamed": ("file", "open", 1, lambda path: os.rename(path, f"{path}-done")),
    "a link goes": ("link", "readlink", 1, os.unlink),
    "a directory goes": ("dir", "open", 1, os.rmdir),
    "a large file goes": ("large", "open", 2, os.unlink),
    "a large file is cut short": ("large", "open", 2, lambda path: os.truncate(path, 7)),
    "a large file grows": ("large", "open", 2, _write_to),
    "a large file is replaced": ("large", "open", 2, _replace),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_what_changes_while_it_is_packed_is_an_error(
    job: JobLayout, archive: Path, watched_calls: None, change: str
) -> None:
    name, call_name, nth, do_it = _CHANGES[change]
    _write(job, "file", b"small")
    os.mkdir(f"{job.dir}/dir")
    os.symlink("a", f"{job.dir}/link")
    _write(job, "large", b"x" * (BLOCK_BYTES + 5))
    share = HookedShare()

    def hook(call: Call, do: Any) -> Any:
        path = str(call.args[0])
        if call.name == call_name and path.endswith(f"/{name}") and share.count(call_name, f"/{name}") == nth:
            do_it(path)
        return do()

    share.hook = hook
    with pytest.raises(JobStateError, match="it changes while it is archived") as caught:
        _pack(job, archive, share)
    assert caught.value.path == f"{job.dir}/{name}"


def test_a_read_that_gives_only_the_beginning_is_gone_on_with(
    job: JobLayout, archive: Path, watched_calls: None
) -> None:
    texts = {"file": os.urandom(1000), "large": os.urandom(3 * BLOCK_BYTES + 5)}
    for name, text in texts.items():
        _write(job, name, text)
    share = HookedShare()

    def give_half(call: Call, do: Any) -> Any:
        data = do()
        return data[: len(data) // 2 + 1] if call.name == "pread" else data

    share.hook = give_half
    _pack(job, archive, share)
    packed = Packed(Share(), str(archive))
    assert {name: _read(packed, name) for name in texts} == texts


def test_what_can_be_read_in_part_alone_is_not_packed(job: JobLayout, archive: Path, watched_calls: None) -> None:
    _write(job, "file", os.urandom(1000))
    share = HookedShare()

    def give_half(call: Call, do: Any) -> Any:
        if call.name != "pread":
            return do()
        if share.count("pread") > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return do()[:500]

    share.hook = give_half
    with pytest.raises(OSError, match="Input/output error") as caught:
        _pack(job, archive, share)
    assert caught.value.filename == f"{job.dir}/file"


def test_while_it_is_made_it_is_for_nobody_else(job: JobLayout, archive: Path, watched_calls: None) -> None:
    _write(job, "file", b"text")
    share, modes = HookedShare(), set()

    def look(call: Call, do: Any) -> Any:
        if call.name == "write":
            modes.add(archive.stat().st_mode & 0o777)
        return do()

    share.hook = look
    packing = _pack(job, archive, share)
    assert modes == {0o600}
    assert packing.rights == 0o644


def test_a_job_without_a_directory_cannot_be_packed(tmp_path: Path, archive: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _pack(JobLayout(str(tmp_path), 8), archive)


# --- rights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode", "rights"),
    [
        ("file", 0o644, 0o644), ("file", 0o640, 0o640), ("file", 0o600, 0o600), ("file", 0o755, 0o644),
        ("dir", 0o755, 0o644), ("dir", 0o750, 0o640), ("dir", 0o744, 0o600), ("dir", 0o711, 0o600),
        (".tokens", 0o700, 0o600),
    ],
)  # fmt: skip
def test_an_archive_may_be_read_by_those_who_could_read_each_part(
    job: JobLayout, archive: Path, name: str, mode: int, rights: int
) -> None:
    _write(job, "file", b"1").chmod(0o644)
    os.mkdir(f"{job.dir}/dir")
    for directory in ("", "/dir", "/.tokens", "/.tokens/finished", "/.tokens/finished/0000001-0000"):
        os.chmod(f"{job.dir}{directory}", 0o755)
    os.chmod(f"{job.dir}/{name}", mode)
    assert _pack(job, archive).rights == rights


# --- how much is read -------------------------------------------------------------------------------------------------


def test_tokens_and_latches_are_listed_and_not_looked_at(job: JobLayout, archive: Path, watched_calls: None) -> None:
    os.makedirs(f"{job.waits}/0000002")
    for number in range(500):
        Path(job.finished, "0000001-0000", f"{number}").touch()
        Path(job.waits, "0000002", f"{number}").touch()
    share = HookedShare()
    _pack(job, archive, share)
    touched = {str(call.args[0]) for call in share.seen if call.name in ("open", "stat", "readlink")}
    below = {path for path in touched if path.startswith((job.tokens, job.waits))}
    shard = f"{job.finished}/0000001-0000"
    assert below == {job.tokens, job.finished, shard, job.waits, f"{job.waits}/0000002"}
    assert len(share.seen) < 60
    assert_same(job, Packed(Share(), str(archive)))


def test_a_part_is_read_with_a_few_reads_however_much_there_is(
    job: JobLayout, archive: Path, watched_calls: None
) -> None:
    for number in range(3000):
        _write(job, f"job0/.chunks/{number // 400:04d}/{number:08d}.1/stdout", f"item {number}\n")
    journal = b"".join(b'{"item":%d,"ok":true}\n' % number for number in range(300_000))
    _write(job, ".journal/w.1.jsonl", journal)
    _pack(job, archive)
    for place, offset in (("job0/.chunks/0005/00002017.1/stdout", 0), (".journal/w.1.jsonl", 4_000_000)):
        share = HookedShare()
        packed = Packed(share, str(archive))
        expected = Path(job.dir, place).read_bytes()[offset : offset + 10]
        assert _read(packed, place, offset, 10) == expected
        reads = [call for call in share.seen if call.name == "pread"]
        assert len(reads) == 4, "the end, the beginning of the index, a part of the index, a block"
        assert sum(call.args[1] for call in reads) < 400_000
        # What was read is not read again.
        assert _read(packed, place, offset + 10, 10) == Path(job.dir, place).read_bytes()[offset + 10 : offset + 20]
        assert share.count("pread") == 4


def test_a_large_journal_is_read_from_its_beginning_to_its_end_once(
    job: JobLayout, archive: Path, watched_calls: None
) -> None:
    _write(job, ".journal/w.1.jsonl", b"line\n" * (3 * BLOCK_BYTES))
    _pack(job, archive)
    share = HookedShare()
    packed = Packed(share, str(archive))
    file = packed.file(".journal/w.1.jsonl")
    assert file is not None
    assert b"".join(packed.read(file, at, 8192) for at in range(0, file.size, 8192)) == b"line\n" * (3 * BLOCK_BYTES)
    assert share.count("pread") == 3 + 15


# --- damage -----------------------------------------------------------------------------------------------------------


def _look_at_all(archive: Path) -> None:
    packed = Packed(Share(), str(archive))
    for place, listing in packed.listings():
        for name, file in listing.files.items():
            assert file.size == len(packed.read(file, 0, file.size)), f"{place}/{name}"


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_archive_is_said_to_be_one(job: JobLayout, archive: Path, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(40):
        _write(job, f"job{number}/.attempt1/stdout", f"frame {number}\n" * 50)
    _pack(job, archive)
    data = bytearray(archive.read_bytes())
    _look_at_all(archive)
    at = chance.randrange(len(data))
    damaged = data[:at] if chance.random() < 0.5 else data[:at] + chance.randbytes(8) + data[at + 8 :]
    archive.write_bytes(damaged)
    try:
        _look_at_all(archive)
    except BrokenJobError as error:
        assert str(archive) in str(error)
        assert "archive" in error.reason
    else:
        # It has hit what is there for zip tools alone, or a stream in its middle.
        assert len(damaged) == len(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "it does not end as one"),
        (b"PK\5\6" + b"\0" * 18, "it does not end as one"),
        (b"jobqueue archive 0002, index at 1 2 3 4", "format 2 is not known"),
        (b"jobqueue archive 0001, index at 0 5 9 0", "cannot be read"),
        (b"\xff" * 200, "cannot be read"),
    ],
)
def test_another_file_is_none(tmp_path: Path, text: bytes, words: str) -> None:
    (tmp_path / "a.zip").write_bytes(text)
    with pytest.raises(BrokenJobError, match=words):
        Packed(Share(), str(tmp_path / "a.zip"))


def test_a_missing_archive_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Packed(Share(), str(tmp_path / "a.zip"))


@pytest.mark.needs_program("unzip")
def test_unzip_finds_nothing_wrong(job: JobLayout, archive: Path) -> None:
    _write(job, "job0/.attempt1/stdout", b"printed")
    _write(job, "large", b"frame\n" * 1_000_000)
    _pack(job, archive)
    done = subprocess.run(["unzip", "-tq", str(archive)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
