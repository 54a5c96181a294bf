"""One queue's directory, opened: its names, settings and moves, for the modules that work on it."""

from __future__ import annotations

import copy
import logging
import os
from functools import cached_property
from typing import TYPE_CHECKING

from jobqueue.archives import Archives
from jobqueue.config import QueueConfig, read_config
from jobqueue.index import Index
from jobqueue.layout import QueueLayout
from jobqueue.pieces import Pieces
from jobqueue.seldom import Seldom
from jobqueue.share import Share
from jobqueue.tokens import Tokens

if TYPE_CHECKING:
    from jobqueue.procedures import Procedures


class Store:
    """The parts of an attached queue.

    Args:
        location: the queue's directory.
        share: to call with.
        log: what happens next is said to it.

    Raises:
        QueueNotFoundError: the directory is missing or is not a queue.
        FormatVersionError: its format is not ours.
        ConfigError: its settings make no sense.
    """

    def __init__(self, location: str, share: Share | None = None, log: logging.Logger | None = None) -> None:
        self.share = share or Share()
        self.log = log or logging.getLogger("jobqueue")
        self.layout = QueueLayout(os.path.abspath(location))
        self.share.settle_in(self.layout.dir)
        self.config: QueueConfig = read_config(self.share, self.layout)
        self._put_together()

    @cached_property
    def procedures(self) -> Procedures:
        """The classes of its jobs. Late, since whoever looks at a queue needs none."""
        from jobqueue.procedures import Procedures

        return Procedures(self.share, self.layout, self.config)

    def _put_together(self) -> None:
        self.index = Index(self.share, self.layout)
        self.archives = Archives(self.share, self.layout)
        self.tokens = Tokens(self.share, self.layout, self.index)
        self.pieces = Pieces(self.share, self.layout, self.index, self.tokens)
        self.seldom = Seldom(self.share.clock)

    def twin(self) -> Store:
        """The same queue for another thread: what the moves remember is each one's own."""
        return self.seen_by(self.share)

    def seen_by(self, share: Share) -> Store:
        """The same queue, looked at by another share."""
        twin = copy.copy(self)
        twin.share = share
        twin._put_together()
        return twin
