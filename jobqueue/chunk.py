"""One attempt of one chunk of an array: the same as that of a job, but for running its items one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from jobqueue.attempt import JOB_VARIABLE, Attempt
from jobqueue.errors import BrokenJobError, FrameRangeError
from jobqueue.fields import Chunk as Piece
from jobqueue.hierarchy import Node
from jobqueue.items import ArrayInfo, Frames, Values, called
from jobqueue.layout import JobLayout
from jobqueue.names import RunningToken, Span, job_name, temporary_name
from jobqueue.outputs import Outputs
from jobqueue.store import Store
from jobqueue.streams import Spool

T = TypeVar("T")


class ArrayItems:
    """What is different from item to item of one array: their names, and their parameters.

    Args:
        store: the queue.
        job: the top-level job.
        node: the array.

    Raises:
        BrokenJobError: what the hierarchy or the items' file says cannot be read.
    """

    def __init__(self, store: Store, job: JobLayout, node: Node) -> None:
        if node.array is None:
            raise BrokenJobError(f"job {node.node} has a token for some of its items, and is no array", job.hierarchy)
        self.info: ArrayInfo = node.array
        self.store = store
        self.job = job
        self.node = node
        try:
            self.frames = None if self.info.frames is None else Frames(self.info.frames)
        except FrameRangeError as error:
            raise BrokenJobError(f"the frames of job {node.node} cannot be read ({error})", job.hierarchy) from error
        if self.frames is not None and len(self.frames) != self.info.length:
            raise BrokenJobError(f"the array has {self.info.length} items and {len(self.frames)} frames", job.hierarchy)
        self._values = Values(store.share, job.items(node.node), self.info.length) if self.frames is None else None

    def name(self, span: Span) -> str:
        """What people call some of them."""
        return called(self.frames, span)

    def until_gap(self, span: Span) -> int:
        """The end of the items that may be taken at once; a program that is told two frames works on all between."""
        return self.frames.until_gap(span) if self.frames is not None and self.info.is_by_chunk else span.end

    def parameters(self, given: dict[str, Any], span: Span) -> dict[str, Any]:
        """All parameters of the procedure for some items, of which there is one unless it runs by chunks."""
        if self._values is not None:
            return {**given, **self._values[span.start]}
        assert self.frames is not None
        if self.info.parameter == "frame":
            return {**given, "frame": self.frames[span.start]}
        if self.info.parameter == "frames":
            return {**given, "frames": self.frames.text(span)}
        procedure: Any = self.store.procedures.find(self.node.type or "")
        first, last = self.frames[span.start], self.frames[span.end - 1]
        step = abs(self.frames[span.start + 1] - first) if span.size > 1 else 1
        return {**given, **procedure.filled(given, Piece(first, last, step, span.start))}


class ChunkAttempt(Attempt):
    """Runs the items of one claimed chunk in this process.

    Args:
        items: of the array.
        token: the chunk's token in running/.
        worker: the name of the worker in whose running/ it lies.
        spool: takes what the items print.

    Files:
        As `Attempt`, in the directory of the chunk; all its items share that.
    """

    def __init__(self, items: ArrayItems, token: RunningToken, worker: str, spool: Spool) -> None:
        job, node = items.job, items.node
        super().__init__(items.store, job, node, token, worker, spool)
        assert token.span is not None
        self.span = Span(token.span.start, token.span.end)
        self._array = job_name(token.job, node.place)
        self.name = f"{self._array}:{items.name(self.span)}"
        self.files = job.chunk(node.place, self.span.start, token.attempt)
        self.running_dir = self.files.dir
        self._items = items
        self._given = super()._parameters()
        self.worker = worker
        self.is_by_chunk = items.info.is_by_chunk
        self._sizes = (0, 0)
        self._here = ""
        self._item = self.span.start
        # The item that has declared outputs last.
        self._outputs_of: int | None = None

    def environment_of(self, span: Span) -> dict[str, str]:
        """The variables of one item, or of as many as the procedure takes at once, that other items have otherwise."""
        return {JOB_VARIABLE: f"{self._array}:{self._items.name(span)}"}

    def prepare(self) -> None:
        share = self._store.share
        self._spool.begin()
        try:
            share.try_make_dir(self.files.dir)
        except FileNotFoundError:
            share.make_dirs_below(self._job.dir, self.files.dir[len(self._job.dir) + 1 :])
        share.enter(self.files.dir)
        self._here = os.getcwd()

    def start_event(self) -> dict[str, Any]:
        return {**super().start_event(), "items": [self.span.start, self.span.end]}

    def covers(self, token: RunningToken) -> bool:
        """Whether a token in running/ is that of this attempt, or of what is left of it."""
        ours = self.token._replace(move=token.move, charged=token.charged, span=token.span)
        return token == ours and token.span is not None and self.span.start <= token.span.start < self.span.end

    @property
    def has_outputs(self) -> bool:
        """Whether the item that has run has declared some."""
        return self._outputs_of == self._item

    def _patiently(self, path: str, declare: Callable[[Outputs], T]) -> T:
        if self._outputs_of != self._item:
            # Most items have none, so nothing is made for these. The temporary directories are each item's own.
            own = self.token._replace(span=Span(self._item, self._item + 1))
            folder = temporary_name(self.worker, own)
            self.outputs = Outputs(self._store.share, self._store.layout.dir, folder, self.files.outputs)
            self._outputs_of = self._item
        return super()._patiently(path, declare)

    def run_item(self, span: Span, *, is_interruptible: bool) -> dict[str, Any]:
        """Runs one item, or as many as the procedure takes at once; what is to be noted of that, but for its outputs.

        Raises:
            KeyboardInterrupt: as `Attempt.run`.
            OSError: the same.
            ConfigError: the same.
            BrokenJobError: its parameters cannot be read; nothing of it has run.
        """
        self._item = span.start
        self._failed, self.ending, self.status = False, None, ""
        parameters = self._items.parameters(self._given, span)
        began = self._store.share.clock.now()
        result, error, trace = self._call(lambda: parameters, is_interruptible=is_interruptible)
        sizes = self._spool.taken_back()
        if not self._is_here():
            self._come_back()
        note: dict[str, Any] = {
            "item": span.start, "node": self.token.node, "attempt": self.token.attempt,
            "ok": error is None and not self._failed, "start": began, "end": self._store.share.clock.now(),
        }  # fmt: skip
        if span.size > 1:
            note["to"] = span.end
        if self.status:
            note["status"] = self.status
        if sizes != self._sizes:
            self._add_streams(note, sizes)
        if not note["ok"]:
            note.update(self._failure(error, trace))
            self._trace = trace
        elif result is not None:
            note["result"] = result
        return note

    def _is_here(self) -> bool:
        try:
            return os.getcwd() == self._here
        except FileNotFoundError:
            # Source: getcwd(3); the item has removed it.
            return False

    def _come_back(self) -> None:
        """Enters the directory again, which the item has left, or tidied away; the next one is to find it."""
        try:
            self._store.share.enter(self.files.dir)
        except (FileNotFoundError, NotADirectoryError):
            self._make_anew()
            self._store.share.enter(self.files.dir)

    def leave(self) -> None:
        """Removes the directory where nothing was printed, if nothing lies in it; to be called when all was saved.

        An array may have a hundred thousand of them, and who deletes or archives it would have to look into each.
        """
        if self._sizes == (0, 0):
            try:
                self._store.share.remove_dir(self.files.dir)
            except OSError as error:
                self._store.log.debug("%s cannot be removed (%s); it stays.", self.files.dir, error)

    def _add_streams(self, note: dict[str, Any], sizes: tuple[int, int]) -> None:
        """Which part of what the chunk has printed was this item's."""
        for name, before, after in zip(("stdout", "stderr"), self._sizes, sizes, strict=True):
            if after > before:
                note[name] = [before, after]
        self._sizes = sizes
