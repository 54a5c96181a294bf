"""Items of arrays, as scripts see them (public): one by one, and several that somebody has named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jobqueue import control
from jobqueue import params as codec
from jobqueue.errors import JobStateError
from jobqueue.itemreader import ItemReader
from jobqueue.names import ClosedToken, Span
from jobqueue.state import JobState


class ItemHandle:
    """An item of an array in a queue; made by `JobHandle.item` and `JobHandle.listItems`.

    Each answer is read from the queue when it is asked for, as with a `JobHandle`.

    Raises:
        JobNotFoundError: the job was deleted (from everything but `name` and `index`).
    """

    def __init__(self, reader: ItemReader, index: int) -> None:
        self._reader = reader
        self.index = index

    @property
    def reader(self) -> ItemReader:
        """Reads the array's items."""
        return self._reader

    @property
    def name(self) -> str:
        """What people call it: ``job100/job3:17``."""
        return self._reader.name(Span(self.index, self.index + 1))

    @property
    def frame(self) -> int | None:
        """Its frame, or ``None`` in an array of parameters' values."""
        frames = self._reader.items.frames
        return None if frames is None else int(frames[self.index])

    @property
    def state(self) -> JobState:
        """Where it stands; what a slot has taken is running, though it may not have come to this item."""
        return self._reader.find(self.index).state

    @property
    def attempt(self) -> int:
        """The number of its latest attempt, 0 before the first."""
        token = self._reader.find(self.index).token
        return token.attempt if token else 0

    @property
    def worker(self) -> str | None:
        """Who runs it or has run it; ``None`` before."""
        piece = self._reader.find(self.index)
        view = self._reader.latest(self.index, piece)
        # The token names whoever has committed it: after a death that is the worker that has swept.
        return view.worker if view else piece.worker

    @property
    def startTime(self) -> float | None:
        """When its latest attempt began, seconds since the epoch by the worker's clock; ``None`` before.

        Of an attempt that could not note it that is when the item before it had ended.
        """
        view = self._reader.latest(self.index, self._reader.find(self.index))
        return view.began if view else None

    @property
    def endTime(self) -> float | None:
        """When it ended, by the worker's clock; ``None`` before."""
        piece = self._reader.find(self.index)
        view = self._reader.latest(self.index, piece) if isinstance(piece.token, ClosedToken) else None
        return view.ended if view else None

    @property
    def error(self) -> str | None:
        """What went wrong, in one line; ``None`` if nothing did."""
        piece = self._reader.find(self.index)
        if piece.state is not JobState.FAILED:
            return "cancelled" if piece.state is JobState.CANCELLED else None
        note = self._reader.note(self.index, piece)
        return str(note.get("error")) if note else "record lost"

    @property
    def outputs(self) -> list[str]:
        """The files that it has published, by their final paths."""
        piece = self._reader.find(self.index)
        note = self._reader.note(self.index, piece) if piece.state is JobState.FINISHED else None
        return [output["path"] for output in (note or {}).get("outputs", ())]

    @property
    def result(self) -> Any:
        """The value that its procedure's ``run`` returned.

        Raises:
            JobStateError: it has not finished.
        """
        piece = self._reader.find(self.index)
        if piece.state is not JobState.FINISHED:
            raise JobStateError(f"{self.name} has no result, it is {piece.state.value}: {self.error or 'wait for it'}")
        note = self._reader.note(self.index, piece)
        if note is None:
            raise JobStateError(f"the record of {self.name} is lost, and its result with it")
        return codec.decode(note.get("result"))

    @property
    def stdout(self) -> str:
        """What its latest attempt has printed so far, as text; ``""`` if nothing."""
        return self._printed("stdout")

    @property
    def stderr(self) -> str:
        """What its latest attempt has printed so far to the standard error, as text; ``""`` if nothing."""
        return self._printed("stderr")

    @property
    def traceback(self) -> str:
        """The traceback of its latest attempt, if that raised an exception; else ``""``."""
        return self._printed("traceback")

    def _printed(self, name: str) -> str:
        printed = self._reader.printed(self.index)
        return printed.texts.get(name, b"").decode("utf-8", "replace") if printed else ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ItemHandle):
            return NotImplemented
        return (self._reader.location, self.index) == (other._reader.location, other.index)

    def __hash__(self) -> int:
        return hash((self._reader.location, self.index))

    def __repr__(self) -> str:
        return f"<ItemHandle {self.name}>"

    def __str__(self) -> str:
        return f"{self.name}, {self.state.value}"


class Selection:
    """Items of an array that somebody has named; of ten million nothing is made for each.

    Args:
        reader: of the array.
        names: their names, part by part.

    Raises:
        JobNotFoundError: there is none of one of the names.
    """

    def __init__(self, reader: ItemReader, names: Sequence[range]) -> None:
        self.reader = reader
        self._names = names
        for part in names:
            reader.raise_if_missing(part)

    def __len__(self) -> int:
        """How many names there are; one may be there twice."""
        return sum(map(len, self._names))

    def __iter__(self) -> Iterator[int]:
        """Their places, in the order in which they were named."""
        return (self.reader.index(name) for part in self._names for name in part)

    def handles(self) -> list[ItemHandle]:
        """A handle for each, each once."""
        return [ItemHandle(self.reader, index) for index in dict.fromkeys(self)]

    def retry(self) -> int:
        """Makes them ready again, as `jobqueue.queue.JobQueue.retryItems` does it."""
        return _retry(self.reader, self)


def _retry(array: ItemReader, items: Iterable[int]) -> int:
    reader = array.reader
    return control.retry_items(reader.queue, reader.number, array.node.node, items, array.name)


def retry_items(items: Iterable[ItemHandle]) -> int:
    """Makes items of one array that have failed ready again; see `jobqueue.queue.JobQueue.retryItems`."""
    chosen = list(items)
    for item in chosen:
        if not isinstance(item, ItemHandle):
            raise TypeError(f"items has to be several ItemHandles, not {type(item).__name__}")
    if not chosen:
        return 0
    arrays = {(item.reader.reader.number, item.reader.node.node) for item in chosen}
    if len(arrays) > 1:
        raise JobStateError("these are items of several arrays; try those of one array again at a time")
    return _retry(chosen[0].reader, (item.index for item in chosen))
