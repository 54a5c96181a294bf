"""What a slot did, one line of JSON for each event, in a file that this process alone appends to.

The record that counts for a job is the line that its token names by WORKER, SLOT and OFFSET; whatever else stands in a
journal is history for people.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from jobqueue.layout import JobLayout
from jobqueue.params import dumps, loads
from jobqueue.share import Appender, Share

_BLOCK_BYTES = 1 << 13
_LARGE_BLOCK_BYTES = 1 << 20
_MAX_RECORD_BYTES = 1 << 26
# What the line of a note on an array's item begins with; so it is told from other events without being parsed.
NOTE = b'{"item":'
# How many keys the note of an item has that has succeeded and told nothing.
_PLAIN_NOTE = 6
# The same of the beginning of a job that is no chunk, and of its end.
_PLAIN_START, _PLAIN_END = 4, 9
_MISSING = (FileNotFoundError, NotADirectoryError)


class Journal:
    """The journal of one slot in one top-level job; the file comes into being with the first event.

    Args:
        share: to write with.
        job: the top-level job.
        worker: the writer's name.
        slot: its number.
    """

    def __init__(self, share: Share, job: JobLayout, worker: str, slot: int) -> None:
        self.path = job.journal(worker, slot)
        self.slot = slot
        self._share = share
        self._file: Appender | None = None

    def append(self, event: Mapping[str, Any], *, sync: bool) -> int:
        """Appends one event and returns the offset of its line.

        Raises:
            OSError: it did not get there whole; the writer goes on in a journal of another slot number.
        """
        if self._file is None:
            self._file = self._share.append_to(self.path)
        at = self._file.append(_line(event))
        if sync:
            self._file.sync()
        return at

    def close(self) -> None:
        """Closes the file; whatever that is answered, the descriptor is gone, and what counts was synced before."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()


def _line(event: Mapping[str, Any]) -> bytes:
    # What most lines say, of which there may be a million: a general encoder takes five times as long.
    kind, count = event.get("event"), len(event)
    if count == _PLAIN_NOTE and "item" in event:
        head = f'{{"item":{event["item"]},"node":{event["node"]},"attempt":{event["attempt"]}'
        ok = "true" if event["ok"] else "false"
        return f'{head},"ok":{ok},"start":{event["start"]!r},"end":{event["end"]!r}}}\n'.encode("ascii")
    if kind == "start" and count == _PLAIN_START:
        head = f'{{"event":"start","node":{event["node"]},"attempt":{event["attempt"]}'
        return f'{head},"time":{event["time"]!r}}}\n'.encode("ascii")
    if kind == "end" and count == _PLAIN_END and _is_plain_success(event):
        head = f'{{"event":"end","node":{event["node"]},"attempt":{event["attempt"]},"ok":true'
        times = f'"start":{event["start"]!r},"end":{event["end"]!r}'
        return f'{head},{times},"progress":{event["progress"]!r},"status":"","result":null}}\n'.encode("ascii")
    return dumps(event).encode("ascii") + b"\n"


def _is_plain_success(record: Mapping[str, Any]) -> bool:
    # A chunk's record has no result, which is another thing than none.
    return bool(record["ok"]) and record["status"] == "" and record.get("result", "") is None


def read_record(share: Share, path: str, offset: int, node: int, attempt: int) -> dict[str, Any] | None:
    """The record at an offset of a journal, or ``None`` where it is lost or is not that of this attempt.

    NFS: a journal that this host once found missing may seem to be so still; whoever decides by a record calls
    `find_record`.
    """
    try:
        return _read_record(share, path, offset, node, attempt)
    except _MISSING:
        return None


def find_record(share: Share, path: str, offset: int, node: int, attempt: int) -> dict[str, Any] | None:
    """The same as `read_record`, where ``None`` is certain: a listing says whether the journal is missing.

    Raises:
        OSError: the share is in trouble, or shows a journal that it does not open; call again.
    """
    try:
        return _read_record(share, path, offset, node, attempt)
    except _MISSING:
        directory, _, name = path.rpartition("/")
        try:
            if name not in share.names_afresh(directory):
                return None
        except _MISSING:
            return None
    try:
        return _read_record(share, path, offset, node, attempt)
    except _MISSING as error:
        raise OSError(errno.EIO, "the journal is listed and cannot be opened", path) from error


def _read_record(share: Share, path: str, offset: int, node: int, attempt: int) -> dict[str, Any] | None:
    data = share.read_part(path, offset, _BLOCK_BYTES)
    while b"\n" not in data and len(data) < _MAX_RECORD_BYTES:
        more = share.read_part(path, offset + len(data), len(data) + _BLOCK_BYTES)
        if not more:
            break
        data += more
    return _record(data.partition(b"\n")[0], node, attempt)


def record_in(data: bytes, offset: int, node: int, attempt: int) -> dict[str, Any] | None:
    """The same as `read_record` in the contents of a journal."""
    end = data.find(b"\n", offset)
    return _record(data[offset : end if end >= 0 else None], node, attempt)


def _record(line: bytes, node: int, attempt: int) -> dict[str, Any] | None:
    event = _parse(line)
    matches = event is not None and event.get("node") == node and event.get("attempt") == attempt and "ok" in event
    return event if matches else None


def _parse(line: bytes) -> dict[str, Any] | None:
    """One event; ``None`` for a line that a crash or a power cut left torn."""
    try:
        event = loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def lines(share: Share, path: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a journal with their offsets, read a block at a time; the last one may be torn.

    None where it is gone, since its job is being deleted, or where somebody has made a directory of such a name.
    """
    at, rest = 0, b""
    while True:
        try:
            block = share.read_part(path, at + len(rest), _LARGE_BLOCK_BYTES)
        except (*_MISSING, IsADirectoryError):
            return
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield at, line + b"\n"
            at += len(line) + 1
        if not block:
            break
    if rest:
        yield at, rest


def events(share: Share, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """All events of a journal with their offsets, but for the notes of an array's items; `jobqueue.notes` reads those.

    Lines that do not parse are passed over.
    """
    for at, line in lines(share, path):
        event = None if line.startswith(NOTE) else _parse(line)
        if event is not None:
            yield at, event
