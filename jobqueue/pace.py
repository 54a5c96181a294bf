"""How often a worker looks for work and beats, where there are so many that the share would feel it.

By looking and beating all workers together are to ask the share no more often than the queue allows; what jobs need
comes on top. Each knows how many there are and takes an equal part. Pure: nothing here touches a share.

Looks may be as seldom as it takes, since nobody watches them. Beats may not: the others count how many of *their own*
beats a worker has been silent for. So all stretch their beats by the same rule, which is a power of two, and in single
steps: a worker's beat is at most twice as long as that of any other, but for moments.
"""

from __future__ import annotations

from jobqueue.config import QueueConfig

# What a server answers for a look of an idle slot, and for a beat with all that comes of it: the looks of the sweeper
# at this worker, and of this worker at the sweeper. Source: measured, see the page "Costs".
LOOK_CALLS, BEAT_CALLS = 1.3, 4.3
# So many times a beat is doubled at most. Others that do not stretch theirs, as they have read another queue.cfg, then
# see a change at every fifth of their beats; from the 24th on they would take a worker for dead.
MAX_DOUBLED = 2
# The longest time between two looks, unless the queue has a longer one.
LONGEST_POLL_S = 30.0
# Of its part a worker spends no more than this on beats, as long as they can be stretched.
_FOR_BEATS = 0.5


class Pace:
    """The pace of one worker.

    Args:
        config: the queue's.

    Attributes:
        workers: how many workers the queue has, this one included, when it was looked last.
    """

    def __init__(self, config: QueueConfig) -> None:
        self.workers = 1
        self._config = config
        self._doubled: int | None = None
        self._was_less = False

    @property
    def beat_s(self) -> float:
        """Seconds between two beats."""
        return self._config.beat_s * float(2 ** (self._doubled or 0))

    def poll_s(self, wanted_s: float) -> float:
        """Seconds between two looks for work.

        Args:
            wanted_s: what it would be with nobody else there.
        """
        limit = self._config.calls_per_s(self.workers)
        if limit is None:
            return wanted_s
        left = limit / self.workers - BEAT_CALLS / self.beat_s
        longest_s = max(wanted_s, LONGEST_POLL_S)
        return longest_s if left * longest_s <= LOOK_CALLS else max(wanted_s, LOOK_CALLS / left)

    def seen(self, workers: int) -> None:
        """To be called after each look at who is there, which is at every fourth beat.

        RACE: others may have looked earlier, and see more or fewer. So after its first look a worker goes one step at
        a time: up at once, and down when it has seen twice that less would do, for by then everybody has looked.

        Args:
            workers: how many there are, this one included.
        """
        self.workers = workers
        wanted = self._wanted()
        if self._doubled is None:
            self._doubled = wanted
        elif wanted > self._doubled:
            self._doubled += 1
        elif wanted < self._doubled and self._was_less:
            self._doubled -= 1
            wanted = self._doubled
        self._was_less = wanted < self._doubled

    def _wanted(self) -> int:
        """How often the beat is to be doubled for so many workers."""
        limit = self._config.calls_per_s(self.workers)
        if limit is None:
            return 0
        spent = BEAT_CALLS / self._config.beat_s
        allowed = _FOR_BEATS * limit / self.workers
        return next((doubled for doubled in range(MAX_DOUBLED) if spent / 2**doubled <= allowed), MAX_DOUBLED)
