"""The invariants of arrays: each item is covered by one token or owed by one, and committed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jobqueue.names import RunningToken, Span, Token, WonToken
from jobqueue.testing.server import Change
from tests.simulation.places import MOVES, SUCCEEDED, Place

Key = tuple[int, int]


class Items:
    """What has become of every item of every array.

    Args:
        violate: is told what must not be.
        is_success: what the record says that a token in won/ names.

    Attributes:
        places: of the tokens, by job and node, and by their first items.
    """

    def __init__(self, violate: Callable[[str], None], is_success: Callable[[Place, Change], bool]) -> None:
        self.places: dict[Key, dict[int, Place]] = {}
        self._lengths: dict[Key, int] = {}
        self._violate = violate
        self._is_success = is_success
        # What is owed and not born: first item and end.
        self._unborn: dict[Key, dict[int, int]] = {}
        # Of an item whose result was committed, whether it is a success.
        self._committed: dict[tuple[int, int, int], bool] = {}
        self._is_whole = True

    def all(self) -> Iterator[Place]:
        """All tokens of arrays."""
        return (place for places in self.places.values() for place in places.values())

    def created(self, place: Place) -> None:
        """A token of an array that is submitted."""
        assert place.token.span is not None
        key = place.job, place.node
        if key in self.places:
            self._violate(f"a second token of one array was created: {place}")
        self.places[key], self._unborn[key] = {place.token.span.start: place}, {}
        self._lengths[key] = place.token.span.end

    def removed(self, place: Place) -> None:
        """A token of an array that is deleted."""
        assert place.token.span is not None
        places = self.places.get((place.job, place.node), {})
        places.pop(place.token.span.start, None)
        if not places:
            # Where a submission has come to nothing, another one takes its number.
            self.places.pop((place.job, place.node), None)

    def has_succeeded(self, job: int, node: int) -> bool:
        """Whether all of its items were committed as successes."""
        return all(self._committed.get((job, node, item)) for item in range(self._lengths[job, node]))

    def folders(self, job: int, node: int) -> set[str]:
        """Where its tokens lie."""
        return {place.folder for place in self.places[job, node].values()}

    def moved(self, before: Place | None, after: Place | None, change: Change, *, is_published: bool) -> None:
        """A token of an array has moved, was born, or has gone to trash/."""
        # Of a job that is deleted parts are gone already, and nobody has to care for the others.
        self._is_whole = is_published
        if before is None:
            assert after is not None
            self._born(after, change)
            return
        span = before.token.span
        assert span is not None
        places = self.places[before.job, before.node]
        if places.get(span.start) != before:
            self._violate(f"a token of which there is another one was moved: {change}")
        if after is None:
            if is_published:
                self._violate(f"a token of a published job went astray: {change}")
            places.pop(span.start, None)
            return
        self._check(before, after, change)
        assert after.token.span is not None
        places[span.start] = after
        if after.folder == "won":
            self._commit(after, after.token.span, change)
        if before.folder == "won" and self._committed[after.job, after.node, span.start] != (
            after.folder == "finished"
        ):
            self._violate(f"what was settled is not what the record says: {change}")
        if before.folder == "failed":
            for item in range(span.start, span.end):
                self._committed.pop((after.job, after.node, item), None)
        self._check_cover(before.job, before.node, change)

    def _born(self, after: Place, change: Change) -> None:
        span = after.token.span
        assert span is not None
        key = after.job, after.node
        if "/spare/" not in change.path or self._unborn.get(key, {}).pop(span.start, None) != span.end:
            self._violate(f"a token came from nowhere: {change}")
        self.places[key][span.start] = after
        self._check_cover(*key, change)

    def _check(self, before: Place, after: Place, change: Change) -> None:
        old, new = before.token.span, after.token.span
        assert old is not None
        if new is None or (after.job, after.node, new.start) != (before.job, before.node, old.start):
            self._violate(f"a token has changed its job, or its first item: {change}")
            return
        move = before.folder, after.folder
        if move not in MOVES and move != ("running", "running"):
            self._violate(f"a token may not move so: {change}")
        # Whoever splits it in place of its slot raises it by chance.
        if after.token.move <= before.token.move:
            self._violate(f"its number of moves is wrong: {change}")
        if after.token.attempt != before.token.attempt + (move == ("ready", "running")):
            self._violate(f"the number of attempts is wrong: {change}")
        unborn = self._unborn[before.job, before.node]
        is_unborn = old.owed is not None and old.end in unborn and (new.end, new.owed) != (old.end, old.owed)
        if is_unborn and self._is_whole:
            self._violate(f"what it owes is forgotten: {change}")
        if new.end != old.end:
            if new.end > old.end or new.owed != old.end:
                self._violate(f"it covers other items than before: {change}")
            unborn[new.end] = old.end

    def _commit(self, after: Place, span: Span, change: Change) -> None:
        ok = self._is_success(after, change)
        for item in range(span.start, span.end):
            if (after.job, after.node, item) in self._committed:
                self._violate(f"a second result of item {item} was committed: {change}")
            self._committed[after.job, after.node, item] = ok

    def _check_cover(self, job: int, node: int, change: Change) -> None:
        """Each item has one token, or is owed."""
        if not self._is_whole:
            return
        spans = [place.token.span for place in self.places[job, node].values() if place.token.span]
        bounds = sorted([(span.start, span.end) for span in spans] + list(self._unborn[job, node].items()))
        at = 0
        for start, end in bounds:
            if start != at:
                self._violate(f"items {at} to {start} have no token, or two: {change}")
            at = end
        if at != self._lengths[job, node]:
            self._violate(f"items from {at} on have no token: {change}")

    def has_succeeded_or_stands(self, job: int, node: int) -> bool:
        """Whether what waits for it may go on."""
        return self.has_succeeded(job, node) and self.folders(job, node) <= set(SUCCEEDED)


def is_of_array(token: Token | RunningToken | WonToken | object) -> bool:
    return getattr(token, "span", None) is not None
