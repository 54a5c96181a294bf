"""What a worker does for the queue at its beats: finds dead workers and sweeps them, and tests waiting jobs again."""

from __future__ import annotations

from jobqueue.errors import JobQueueError
from jobqueue.liveness import Death, Watch
from jobqueue.names import Entry
from jobqueue.pace import Pace
from jobqueue.store import Store
from jobqueue.worker.aftermath import Aftermath
from jobqueue.worker.sweep import sweep

# The sweeper tests a waiting job at every so many beats, and so many of its blocked sub-jobs.
_RETEST_EVERY = 12
_RETESTED = 20


class Caretaker:
    """The part of one worker in keeping a queue sound.

    Args:
        store: the queue.
        me: this worker's name.
        aftermath: this worker's.
        pace: this worker's.
    """

    def __init__(self, store: Store, me: str, aftermath: Aftermath, pace: Pace) -> None:
        self._store = store
        self._watch = Watch(store, me, pace)
        self._aftermath = aftermath
        # Of the waiting jobs and their nodes, where the next test goes on.
        self._next = (0, 0)
        self._beats = 0

    def beaten(self, *, may_look: bool) -> None:
        """To be called after each successful beat.

        Args:
            may_look: whether the beat itself has cost little, so that one may look who is there.

        Raises:
            OSError: the share is in trouble; what was begun is done again at the next beat.
        """
        deaths = self._watch.beaten(may_look=may_look)
        # Who owes what cannot be settled for good is dead at each beat.
        with self._store.seldom.on(self._store.log):
            for death in deaths:
                self._take_up(death)
        self._beats += 1
        if self._beats % _RETEST_EVERY == 0 and self._watch.is_sweeper:
            self._retest()
        self._aftermath.settle_own()

    def _take_up(self, death: Death) -> None:
        self._store.log.warning(
            "Worker %s is dead: %s. Taking up what it left.",
            death.worker,
            death.why,
            extra={"subject": f"the death of {death.worker}"},
        )
        try:
            is_swept = sweep(self._store, self._aftermath, death.worker, death.why)
        except (OSError, JobQueueError) as error:
            # What keeps us from one must not keep us from the others.
            self._store.log.warning("Worker %s cannot be swept now (%s); trying again.", death.worker, error)
            return
        if is_swept:
            self._watch.forget(death.worker)
            self._store.log.info("Worker %s is swept; nothing that it had is lost.", death.worker)

    def _retest(self) -> None:
        """Looks at one of the jobs that wait, whether it really has to.

        CRASH: whoever unblocks, retries or gives back may die before he has woken the job.
        """
        entries = sorted(self._store.index.folder("waiting"), key=lambda entry: entry.number)
        number, node = self._next
        entry = next((entry for entry in entries if entry.number >= number), None)
        if entry is None:
            self._next = (0, 0)
            return
        self._next = self._retest_job(entry, node if entry.number == number else 0)

    def _retest_job(self, entry: Entry, first: int) -> tuple[int, int]:
        """Tests some of the blocked sub-jobs of a job, from ``first`` on; where to go on."""
        more = self._store.tokens.resume(self._store.layout.job(entry.number), first, _RETESTED)
        return (entry.number + 1, 0) if more is None else (entry.number, more)
