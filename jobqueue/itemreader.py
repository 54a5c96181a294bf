"""What a queue holds of an array's items: read from tokens and journals, as there is no file for each of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from jobqueue import params as codec
from jobqueue.chunk import ArrayItems
from jobqueue.errors import JobNotFoundError, JobStateError
from jobqueue.history import AttemptView, ItemAttempt, attempts_of_item
from jobqueue.journal import read_record
from jobqueue.layout import AttemptLayout
from jobqueue.names import SHARD_ITEMS, ClosedToken, Span, Token, parse_shard
from jobqueue.notes import find_note, results_of
from jobqueue.reader import JobReader
from jobqueue.registry import owed, worker_names
from jobqueue.state import AnyToken, JobState, Sighting, raise_if_going


class Piece(NamedTuple):
    """The token that stands for an item and for its neighbours.

    Attributes:
        state: what its place means.
        span: the items that it stands for.
        token: the token; ``None`` if it moved while we looked.
        worker: who runs or ran them; ``None`` before.
    """

    state: JobState
    span: Span
    token: AnyToken | None
    worker: str | None


class ItemReader:
    """Reads what a queue holds of an array's items.

    Args:
        reader: of the array.

    Raises:
        JobStateError: the job is no array.
    """

    def __init__(self, reader: JobReader) -> None:
        self.reader = reader
        self.node = reader.node()
        if self.node.array is None:
            raise JobStateError(f"{reader.name} is no array, so it has no items", self.location)
        self.items = reader.wherever(lambda: ArrayItems(reader.store, reader.job, self.node))

    @property
    def count(self) -> int:
        return self.items.info.length

    @property
    def location(self) -> str:
        """The array's directory."""
        return self.reader.job.node_dir(self.reader.place)

    def name(self, span: Span) -> str:
        """What people call some of them: ``job100/job3:17-25``."""
        return f"{self.reader.name}:{self.items.name(span)}"

    def index(self, name: int) -> int:
        """The place of an item, from 0, that people call by its frame, or by its place where there are no frames.

        Raises:
            TypeError: it is no int.
            JobNotFoundError: there is none of this name.
        """
        if type(name) is not int:
            raise TypeError(f"an item's name has to be an int, not {type(name).__name__}")
        at = self.items.frames.find(name) if self.items.frames is not None else name
        if at is None or not 0 <= at < self.count:
            what = "frame" if self.items.frames is not None else "item"
            every = self.items.name(Span(0, self.count))
            raise JobNotFoundError(f"{self.reader.name} has no {what} {name}; there are {every}", self.reader.job.dir)
        return at

    def raise_if_missing(self, names: range) -> None:
        """Raises `JobNotFoundError` if there is no item of one of some names, as `index` does it."""
        parts = [range(self.count)] if self.items.frames is None else self.items.frames.parts
        for part in parts:
            if names[0] in part and names[-1] in part and names.step % part.step == 0:
                # So are all between.
                return
        for name in names:
            self.index(name)

    # --- tokens --------------------------------------------------------------------------------------------------

    def find(self, item: int) -> Piece:
        """The token that stands for an item; a few listings, however many items there are."""
        return self.reader.wherever(lambda: self._find(item))

    def _find(self, item: int) -> Piece:
        for _ in range(2):
            # RACE: in the order in which tokens flow, and twice, as `jobqueue.state.look_up` does it.
            for folder in ("blocked", "ready"):
                if found := self._in(folder, self.reader.job.token_folder(folder), item):
                    return found
            for folder in ("finished", "failed"):
                if found := self._in_shards(folder, item):
                    return found
            if found := self._in("cancelled", self.reader.job.cancelled, item):
                return found
            for piece in self._running():
                if piece.span.start <= item < piece.span.end:
                    return piece
        raise_if_going(self.reader.store, self.reader.job)
        return Piece(JobState.RUNNING, Span(item, item + 1), None, None)

    def _running(self) -> Iterator[Piece]:
        for files, _, token in owed(self.reader.store):
            if (token.job, token.node) == (self.reader.number, self.node.node):
                yield Piece(JobState.RUNNING, Span(token.span.start, token.span.end), token, files.worker)

    def _shards_before(self, folder: str, item: int) -> list[str]:
        """The shards that may hold it, the likeliest first: a token lies where its first item belongs."""
        last = item // SHARD_ITEMS
        shards = self.reader.store.pieces.shards(self.reader.job, folder, self.node.node)
        return [path for path in reversed(shards) if (parse_shard(path.rpartition("/")[2]) or (0, 0))[1] <= last]

    def _in_shards(self, folder: str, item: int) -> Piece | None:
        """Tokens do not overlap: below the shard of the last one that begins before an item none can hold it."""
        for directory in self._shards_before(folder, item):
            before = [piece for piece in self._pieces_in(folder, directory) if piece.span.start <= item]
            if before:
                last = max(before, key=lambda piece: piece.span)
                return last if item < last.span.end else None
        return None

    def _in(self, folder: str, directory: str, item: int) -> Piece | None:
        for piece in self._pieces_in(folder, directory):
            if piece.span.start <= item < piece.span.end:
                return piece
        return None

    def _pieces_in(self, folder: str, directory: str) -> Iterator[Piece]:
        parse = ClosedToken.parse if folder in ("finished", "failed") else Token.parse
        for name in self.reader.store.share.names_or_none(directory) or ():
            token = parse(name)
            if token and token.span and token.node == self.node.node:
                worker = token.worker if isinstance(token, ClosedToken) else None
                yield Piece(JobState(folder), token.span, token, worker)

    def pieces(self, state: JobState) -> list[Piece]:
        """All tokens in a state, in the order of their items; of those that run one may be there twice, as it moved."""
        return self.reader.wherever(lambda: self._pieces(state))

    def _pieces(self, state: JobState) -> list[Piece]:
        if state is JobState.RUNNING:
            return sorted(self._running(), key=lambda piece: piece.span)
        if state in (JobState.FINISHED, JobState.FAILED):
            places = self.reader.store.pieces.shards(self.reader.job, state.value, self.node.node)
        else:
            places = [self.reader.job.token_folder(state.value)]
        found = [piece for place in places for piece in self._pieces_in(state.value, place)]
        raise_if_going(self.reader.store, self.reader.job)
        return sorted(found, key=lambda piece: piece.span)

    # --- what came out -------------------------------------------------------------------------------------------

    def note(self, item: int, piece: Piece) -> dict[str, Any] | None:
        """What the attempt that counts has noted of an item; ``None`` where it has not ended, or the note is lost.

        Files:
            Reads journals of the hierarchy.
        """
        if not isinstance(piece.token, ClosedToken):
            return None
        token = piece.token
        return self.reader.wherever(lambda: self._note(item, token))

    def _note(self, item: int, token: ClosedToken) -> dict[str, Any] | None:
        job, share = self.reader.job, self.reader.store.share
        note = find_note(share, job, item, self.node.node, token.attempt)
        if note is not None:
            return note
        # An item that was made to fail by another than its procedure has no note, but a record.
        path = job.journal(token.worker, token.slot)
        record = read_record(share, path, token.offset, self.node.node, token.attempt)
        if record is None:
            # RACE: somebody may have archived or deleted it since its token was seen.
            raise_if_going(self.reader.store, job)
        return record

    def results(self) -> list[Any]:
        """What all items have returned; see `jobqueue.handle.JobHandle.listResults`."""
        counts = array("l", bytes(array("l").itemsize * self.count))
        left = self.count
        for piece in self.pieces(JobState.FINISHED):
            assert piece.token is not None
            counts[piece.span.start : piece.span.end] = array("l", [piece.token.attempt]) * piece.span.size
            left -= piece.span.size
        if left:
            raise JobStateError(
                f"{left} items of {self.reader.name} have not finished; wait for them, or try them again"
            )
        return self.reader.wherever(lambda: self._results(counts))

    def _results(self, counts: array[int]) -> list[Any]:
        found: list[Any] = [None] * self.count
        for item, result in results_of(self.reader.store.share, self.reader.job, self.node.node, counts):
            found[item] = codec.decode(result)
        # RACE: it may have been archived or deleted meanwhile; then results are missing that there were.
        raise_if_going(self.reader.store, self.reader.job)
        return found

    def attempts(self, item: int) -> list[AttemptView]:
        """The attempts of an item, in their order."""
        return [attempt.view for attempt in self._attempts(item, self.find(item))]

    def latest(self, item: int, piece: Piece) -> AttemptView | None:
        """The attempt that a token counts last of an item; ``None`` before the first."""
        number = piece.token.attempt if piece.token else 0
        return next((one.view for one in self._attempts(item, piece) if one.view.attempt == number), None)

    def _attempts(self, item: int, piece: Piece) -> list[ItemAttempt]:
        seen = Sighting(piece.state, piece.token, piece.worker)
        return attempts_of_item(self.reader.store, self.reader.job, self.node, item, seen)

    def printed(self, item: int, attempt: int | None = None) -> Printed | None:
        """What an attempt of an item has printed, of the latest one by default; ``None``: there is none.

        Of an attempt that has noted nothing of it that is what its chunk has printed after the items before, once these
        have ended.

        CRASH: what is printed is copied to the share twice a second, and a note gets there at once. So a worker that
        dies can leave items that have finished without what they printed.
        """
        while True:
            one = self._attempt(item, attempt)
            if one is None:
                return None
            found = self._printed(one)
            # RACE: what was read of an item that has ended meanwhile may be what the next one has printed.
            if one.noted.note is not None or one == self._attempt(item, attempt):
                return found

    def _attempt(self, item: int, attempt: int | None) -> ItemAttempt | None:
        found = [one for one in self._attempts(item, self.find(item)) if attempt in (None, one.view.attempt)]
        return found[-1] if found else None

    def _printed(self, one: ItemAttempt) -> Printed:
        share, note, worker = self.reader.store.share, one.noted.note, one.view.worker
        # RACE: a worker that leaves has saved what was printed before, so its name is looked for before that is read.
        is_gone = worker not in worker_names(self.reader.queue)
        files, texts, missing = AttemptLayout(one.view.directory), {}, 0
        if note is not None or one.has_begun:
            for name, path in (("stdout", files.stdout), ("stderr", files.stderr)):
                data = share.read_or_none(path) or b""
                at, end = note.get(name, (0, 0)) if note else (one.noted.printed.get(name, 0), len(data))
                texts[name] = data[at:end]
                missing += max(0, end - at - len(texts[name]))
        trace = (note or {}).get("traceback")
        if trace:
            texts["traceback"] = trace.encode("utf-8", "backslashreplace")
        return Printed(one.view.attempt, texts, missing, worker if is_gone else None)


class Printed(NamedTuple):
    """What an attempt of an item has printed.

    Attributes:
        attempt: its number.
        texts: by ``stdout``, ``stderr`` and ``traceback``, as far as there is something.
        missing: how many bytes more it has printed, by its note.
        lost_with: the worker with which these are lost; ``None``: it is there, and has not copied them yet.
    """

    attempt: int
    texts: dict[str, bytes]
    missing: int = 0
    lost_with: str | None = None
