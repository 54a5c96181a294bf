"""Which ready job to try next. Works off listings that may be old: the claim is the test."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import NamedTuple

from jobqueue.errors import JobQueueError
from jobqueue.layout import JobLayout
from jobqueue.names import Entry, Token
from jobqueue.store import Store
from jobqueue.worker.broken import set_aside

# A listing that is older than this is made anew, so that what others submit, retry or prefer is seen.
_REFRESH_S = 1.0
# A listing of a million names takes a second; no more than this part of the time goes into listing.
_LISTING_SHARE = 0.05
# Once we have lost a job to somebody, slots begin at least so far apart, and at most so far.
_APART, _MAX_SPREAD = 32, 4096
# So many wins for each place of the spread mean that there is more room than needed.
_CALM = 4
# How often one choice may begin anew because entries moved under it.
_ROUNDS = 3
# How long a top-level job is passed over whose files are in trouble while the rest of the share is not.
_FIRST_PASS_S, _LONGEST_PASS_S = 0.5, 30.0


class Candidate(NamedTuple):
    """A job that was seen ready."""

    entry: Entry
    job: JobLayout
    token: Token


def first_to_try(count: int, spread: int, dice: int) -> int:
    """Where in a fresh listing of ``count`` ready jobs, in post-order, to begin.

    Alone (``spread`` 1) it is the first: depth-first. Slots that work off the same listing begin apart from one
    another and go on from there, or each would run into every token of the others.

    Args:
        count: 1 or more.
        spread: 1 or more.
        dice: a random number.
    """
    return dice % min(count, spread)


class Chooser:
    """The next job to try, for one slot.

    Args:
        store: the queue.
        rivals: how many slots, this one included, are known to choose from the same listings.
        is_for_others: whether a token is better left to other workers, for now.
    """

    def __init__(
        self,
        store: Store,
        rivals: int = 1,
        is_for_others: Callable[[JobLayout, Token], bool] = lambda _job, _token: False,
    ) -> None:
        self._store = store
        self._rivals = rivals
        self._is_for_others = is_for_others
        # Whether one of the current entry's job was.
        self._has_left_some = False
        # Top-level jobs in trouble: for how long they were passed over last, and until when.
        self._passed: dict[int, tuple[float, float]] = {}
        self._spread = rivals
        self._wins = 0
        self._cursor = 0
        # Whether a listing of ready/ has shown a token that was gone.
        self._is_haunted = False
        self._entries: list[Entry] = []
        self._listed_at = float("-inf")
        self._refresh_s = _REFRESH_S
        self._moved = False
        # Nothing was found at the last choice, so the next one begins from the beginning.
        self._is_exhausted = True
        self._seen: set[str] = set()
        self._at: Entry | None = None
        self._job: JobLayout | None = None
        # The names in ready/ of the current entry's job, sorted; None: not listed since it was changed by others.
        self._ready: list[str] | None = None

    def next(self) -> Candidate | None:
        """The next job to try, or ``None`` if nothing is ready; parks what has nothing ready.

        Raises:
            OSError: a listing failed, and nothing else is ready; FileNotFoundError is dealt with here.
        """
        clock = self._store.share.clock
        failed: OSError | None = None
        if clock.monotonic() - self._listed_at > self._refresh_s:
            self._refresh()
        rounds = _ROUNDS
        while True:
            if self._at is None and not self._advance():
                if not self._moved or not rounds:
                    self._is_exhausted = True
                    if failed is not None:
                        raise failed
                    return None
                rounds -= 1
                self._is_exhausted = True
                self._refresh()
                continue
            assert self._at is not None
            entry = self._at
            try:
                if candidate := self._next_here():
                    return candidate
            except OSError as error:
                # What keeps us from one job must not keep us from the others.
                failed = error
                self._seen.discard(entry.name)
                self.pass_over(entry.number, error)

    def _next_here(self) -> Candidate | None:
        """The next job of the current entry; ``None``: nothing of it is ready, and we leave it."""
        assert self._at is not None and self._job is not None
        if not self._ready:
            self._list_ready()
        while self._ready:
            if self._cursor >= len(self._ready):
                self._cursor = 0
            token = Token.parse(self._ready[self._cursor])
            if token and not self._is_left(token):
                return Candidate(self._at, self._job, token)
            del self._ready[self._cursor]
        self._leave()
        return None

    def won(self, candidate: Candidate) -> None:
        """The candidate was claimed."""
        if self._ready and self._at and candidate.entry.number == self._at.number:
            # The cursor stands now at what came after it.
            del self._ready[self._cursor]
        # While its job runs others may submit something: to be idle then until the next look would be a pity.
        self._moved = True
        self._wins += 1
        if self._spread > self._rivals and self._wins >= _CALM * self._spread:
            self._spread = max(self._rivals, self._spread // 2) if self._spread > _APART else self._rivals
            self._wins = 0
            if self._spread == 1:
                self._cursor = 0

    def lost(self, candidate: Candidate, left: list[str]) -> None:
        """The candidate went to somebody else: we are not alone, and what is ready now is ``left``."""
        if candidate.token.name in left:
            # NFS: the listing is older than the claim that we have lost to, and may stay so until we ask afresh.
            self._is_haunted = True
            left = [name for name in left if name != candidate.token.name]
        if self._wins < self._spread:
            self._spread = min(_MAX_SPREAD, max(_APART, self._spread * 2))
        self._wins = 0
        self._take(left)

    def unblocked(self, number: int, tokens: list[Token], entry: Entry | None) -> None:
        """Jobs have become ready by our own settling; ``entry`` is what their top-level job's entry is now."""
        if self._at is None or self._at.number != number or (not tokens and entry is self._at):
            return
        if entry is not None and entry.folder == "runnable":
            # RACE: where K has risen by more than our own wakes, somebody has given the job another priority, or made
            # more of it ready. Then the name stays unknown to us, and the next look lists everything anew.
            if entry == self._at._replace(moves=self._at.moves + len(tokens)):
                self._seen.discard(self._at.name)
                self._seen.add(entry.name)
            self._at = entry
        if self._ready is not None:
            for token in tokens:
                at = bisect.bisect_left(self._ready, token.name)
                self._ready.insert(at, token.name)
                # Alone this changes nothing, for then we stand at the first; beside others it keeps us in our branch.
                self._cursor = at if at < self._cursor or self._spread > 1 else self._cursor

    def forget(self, number: int) -> None:
        """A top-level job has ended, or is set aside."""
        self.went_well(number)
        if self._at is not None and self._at.number == number:
            self._seen.discard(self._at.name)
            self._at = None

    def pass_over(self, number: int, error: OSError | JobQueueError) -> None:
        """The files of a top-level job are in trouble: the others come first, for a while, and each time for longer."""
        wait_s = min(_LONGEST_PASS_S, 2 * self._passed[number][0] if number in self._passed else _FIRST_PASS_S)
        self._passed[number] = wait_s, self._store.share.clock.monotonic() + wait_s
        self._store.log.warning("job%d is passed over for %g s (%s); the others go on.", number, wait_s, error)
        if self._at is not None and self._at.number == number:
            self._seen.discard(self._at.name)
            self._at = None

    def went_well(self, number: int) -> None:
        """A job of this top-level job has come to its end."""
        self._passed.pop(number, None)

    def _is_passed_over(self, number: int) -> bool:
        return number in self._passed and self._store.share.clock.monotonic() < self._passed[number][1]

    def _is_left(self, token: Token) -> bool:
        """Whether a token is left to others: none that nothing is held against, so that the usual one costs nothing."""
        assert self._job is not None
        is_left = token.charged > 0 and self._is_for_others(self._job, token)
        self._has_left_some = self._has_left_some or is_left
        return is_left

    def look_again(self) -> None:
        """Something may have changed: the next choice works off new listings."""
        self._listed_at = float("-inf")

    def _refresh(self) -> None:
        clock = self._store.share.clock
        began = clock.monotonic()
        names = set(self._store.share.names(self._store.layout.index_folder("runnable")))
        self._listed_at = clock.monotonic()
        self._refresh_s = max(_REFRESH_S, (self._listed_at - began) / _LISTING_SHARE)
        # Whatever makes a job ready raises K in its entry's name. So where all names are the same as before, ours or
        # known to us, only claims by others can have changed a ready/, and these we notice when we lose one.
        if names == self._seen and not self._is_exhausted:
            return
        self._seen = names
        entries = [entry for name in names if (entry := Entry.parse("runnable", name))]
        # The next one is taken from the end.
        self._entries = sorted(entries, key=lambda entry: (entry.priority, -entry.number))
        self._at, self._ready, self._moved, self._is_exhausted = None, None, False, False

    def _advance(self) -> bool:
        while self._entries and self._is_passed_over(self._entries[-1].number):
            # Its name is to be news to the next look.
            self._seen.discard(self._entries.pop().name)
        if not self._entries:
            return False
        self._at = self._entries.pop()
        self._has_left_some = False
        self._job = self._store.layout.job(self._at.number)
        self._ready = None
        return True

    def _list_ready(self) -> None:
        assert self._job is not None and self._at is not None
        clock = self._store.share.clock
        began = clock.monotonic()
        try:
            share = self._store.share
            self._take(share.names_afresh(self._job.ready) if self._is_haunted else share.names(self._job.ready))
            self._is_haunted = False
        except (FileNotFoundError, NotADirectoryError):
            self._set_aside()
            self._ready = []
        self._refresh_s = max(self._refresh_s, (clock.monotonic() - began) / _LISTING_SHARE)

    def _take(self, names: list[str]) -> None:
        """A fresh listing of ready/."""
        self._ready = sorted(names)
        self._cursor = 0
        if self._spread > 1 and names:
            self._cursor = first_to_try(len(names), self._spread, self._store.share.chance.getrandbits(30))

    def _leave(self) -> None:
        """Goes on to the next entry, after a last look at the one that seems to have nothing ready."""
        entry, job = self._at, self._job
        assert entry is not None and job is not None
        self._at = None
        if self._has_left_some:
            # It stays in runnable/, for those whom it is left to.
            return
        try:
            if self._store.index.try_park(entry, lambda: self._nothing_ready(job)):
                self._seen.discard(entry.name)
            else:
                # RACE: something became ready, or somebody woke the job, after our listing: it is to be listed again.
                self._moved = True
        except (FileNotFoundError, NotADirectoryError):
            # ready/ is gone: the job is being deleted, or was set aside just now.
            return

    def _nothing_ready(self, job: JobLayout) -> bool:
        self._store.tokens.retest(job)
        names = self._store.share.names_afresh(job.ready)
        return not any(Token.parse(name) for name in names)

    def _set_aside(self) -> None:
        """Keeps a top-level job whose directory is broken out of everybody's way; a deleted one has no entry."""
        assert self._at is not None
        set_aside(self._store, self._at.number, "its ready/ is missing")
