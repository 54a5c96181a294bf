"""The hand that writes one process's journals: when one goes bad it goes on in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobqueue.journal import Journal
from jobqueue.layout import JobLayout
from jobqueue.names import Record
from jobqueue.share import Share


class Pen:
    """Appends events to the journal of one slot, in the top-level job that was opened last.

    Args:
        share: to write with.
        worker: the slot's worker.
        slot: its number.
        new_slot: gives a number that was never used by this worker.

    Attributes:
        numbers: all numbers that its journals have had.
    """

    def __init__(self, share: Share, worker: str, slot: int, new_slot: Callable[[], int]) -> None:
        self.numbers = {slot}
        self._share = share
        self._worker = worker
        self._slot = slot
        self._new_slot = new_slot
        self._job: JobLayout | None = None
        self._journal: Journal | None = None

    def open(self, job: JobLayout) -> None:
        """From here on events go to the journal in this top-level job."""
        self.close()
        self._job = job
        self._journal = Journal(self._share, job, self._worker, self._slot)

    def close(self) -> None:
        """Closes the file."""
        if self._journal is not None:
            self._journal.close()
        self._job = self._journal = None

    def append(self, event: dict[str, Any], *, sync: bool) -> Record:
        """Appends an event; where it lies.

        Raises:
            OSError: it did not get there whole; it is to be appended again.
        """
        assert self._journal is not None and self._job is not None
        slot = self._slot
        try:
            return Record(self._worker, slot, self._journal.append(event, sync=sync))
        except OSError:
            # CRASH: the file may end in a torn line, or hold a whole one that nobody synced: never append to it again.
            self._journal.close()
            self._slot = self._new_slot()
            self.numbers.add(self._slot)
            self._journal = Journal(self._share, self._job, self._worker, self._slot)
            raise
