"""How much of an array one slot takes at once, and what it remembers of the arrays that it works on."""

from __future__ import annotations

from jobqueue.chunk import ArrayItems, ChunkAttempt
from jobqueue.hierarchy import Node
from jobqueue.layout import JobLayout
from jobqueue.names import Span
from jobqueue.store import Store

# What a chunk aims at where the submitter left its size to us.
TARGET_S = 10.0
# What is left of an array is not shared out in chunks that are shorter than this.
_LEAST_S = 0.5
# A chunk is at most so many times as long as the one before, since a first item says little.
_GROWTH = 64
# Each slot of this worker leaves as much for each of the others, and once more for other workers.
_SHARE = 2


class Arrays:
    """The arrays that one slot works on.

    Args:
        store: the queue.
        rivals: how many slots, this one included, are known to work on the same ones.
    """

    def __init__(self, store: Store, rivals: int) -> None:
        self._store = store
        self._rivals = rivals
        self._at: tuple[int, int] | None = None
        self._items: ArrayItems | None = None
        # Of the array that was worked on last: seconds for an item, and how many were taken at once.
        self._pace: tuple[float, int] | None = None

    @property
    def is_used(self) -> bool:
        """Whether there was an array to work on."""
        return self._at is not None

    def items(self, job: JobLayout, node: Node) -> ArrayItems:
        """The items of an array; those of the last one are kept.

        Raises:
            BrokenJobError: they cannot be read.
        """
        if self._items is None or self._at != (job.number, node.node):
            self._items = ArrayItems(self._store, job, node)
            self._at, self._pace = (job.number, node.node), None
        return self._items

    def end_of_chunk(self, job: JobLayout, node: Node, span: Span) -> int:
        """Where a chunk ends that begins with the first item of a ready token.

        Raises:
            BrokenJobError: the job is no array, or its items cannot be read.
        """
        items = self.items(job, node)
        size = items.info.chunk or self._auto(span.size)
        return items.until_gap(Span(span.start, min(span.end, span.start + size)))

    def _auto(self, left: int) -> int:
        if self._pace is None:
            return 1
        seconds, before = self._pace
        wanted = int(TARGET_S / seconds) if seconds > 0 else before * _GROWTH
        fair = max(-(-left // (_SHARE * self._rivals)), int(_LEAST_S / seconds) if seconds > 0 else before)
        return max(1, min(wanted, before * _GROWTH, fair))

    def learn(self, attempt: ChunkAttempt, count: int, took_s: float) -> None:
        """How long a chunk has taken."""
        if count:
            self._pace = took_s / count, attempt.span.size
