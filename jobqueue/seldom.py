"""What would be logged again and again is logged seldom."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from jobqueue.clock import Clock

_AGAIN_S = 600.0


class Seldom(logging.Filter):
    """Holds back what was logged in the last ten minutes.

    Two lines are the same if their words are; or, of a line that is logged with ``extra={"subject": ...}``, that.

    Args:
        clock: by which it counts.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[str, float] = {}
        self._depth = 0

    @contextmanager
    def on(self, log: logging.Logger) -> Iterator[None]:
        """Holds back what is logged meanwhile; also by other threads, if they say the same."""
        self._depth += 1
        log.addFilter(self)
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                log.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock.monotonic()
        self._said = {text: at for text, at in self._said.items() if now - at < _AGAIN_S}
        text = getattr(record, "subject", None) or record.getMessage()
        is_new = text not in self._said
        if is_new:
            self._said[text] = now
        return is_new
