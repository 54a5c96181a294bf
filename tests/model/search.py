"""The search: every state that can be reached, and from which of them nothing good can follow any more."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import NamedTuple

from tests.model.state import BrokenInvariantError, Scope, State, start
from tests.model.steps import check, is_good, steps

_EVERY = 20_000


class Found(NamedTuple):
    """What a search came to.

    Attributes:
        states: how many there are (or were seen, where it ended early).
        steps: how many lead from one to another.
        good: in how many the hierarchy has ended, or is stalled.
        problem: what is wrong, in words; empty if nothing is.
        story: the shortest way there, a step a line.
    """

    states: int
    steps: int
    good: int
    problem: str = ""
    story: tuple[str, ...] = ()


class Search:
    """A breadth-first search, so that the first way found to anything is a shortest one.

    Args:
        scope: what is explored.
        progress: told now and then how many states are known, and how many of them have been looked at.
        most: ends the search with an error when there are more states than this.
    """

    def __init__(
        self, scope: Scope, progress: Callable[[int, int], None] | None = None, most: int = 50_000_000
    ) -> None:
        self._scope = scope
        self._progress = progress
        self._most = most
        self._parts: dict[object, object] = {}
        first = start(scope)
        self._known: dict[State, int] = {first: 0}
        self._order = [first]
        # How each state was reached first, and where one surely can go from it.
        self._before = array("l", [-1])
        self._begins = array("l")
        self._sure = array("l")
        self._count = 0

    def run(self) -> Found:
        """Explores all; the first violation, or a stuck state, ends it.

        Raises:
            MemoryError: there are more states than were allowed.
        """
        at = 0
        while at < len(self._order):
            problem = self._expand(at)
            if problem is not None:
                return problem
            at += 1
            if self._progress is not None and at % _EVERY == 0:
                self._progress(len(self._order), at)
            if len(self._order) > self._most:
                raise MemoryError(f"more than {self._most} states")
        return self._judge()

    def _expand(self, at: int) -> Found | None:
        state = self._order[at]
        self._begins.append(len(self._sure))
        try:
            check(state, self._scope)
            for step in steps(state, self._scope):
                self._count += 1
                to = self._number(step.state, at)
                if step.is_sure:
                    self._sure.append(to)
        except BrokenInvariantError as violation:
            return self._found(str(violation), at)
        return None

    def _number(self, state: State, before: int) -> int:
        known = self._known.get(state)
        if known is None:
            # Most of a state is the same as in others, and is kept once.
            keep = self._parts
            state = State(*(keep.setdefault(part, part) for part in state))  # type: ignore[arg-type]
            known = self._known[state] = len(self._order)
            self._order.append(state)
            self._before.append(before)
        return known

    def _judge(self) -> Found:
        """Looks for states from which, without any more faults or wishes, the hierarchy cannot end."""
        count = len(self._order)
        self._begins.append(len(self._sure))
        is_fine = bytearray(is_good(state, self._scope) for state in self._order)
        good = sum(is_fine)
        # Steps mostly lead to higher numbers, so a few passes from the end reach all.
        has_changed = True
        while has_changed:
            has_changed = False
            for at in range(count - 1, -1, -1):
                if not is_fine[at]:
                    for edge in range(self._begins[at], self._begins[at + 1]):
                        if is_fine[self._sure[edge]]:
                            is_fine[at] = has_changed = True
                            break
        stuck = is_fine.find(0)
        if stuck >= 0:
            return self._found(f"stuck: {count - sum(is_fine)} states from which the hierarchy cannot end", stuck)
        return Found(count, self._count, good)

    def _found(self, problem: str, at: int) -> Found:
        return Found(len(self._order), self._count, 0, problem, self._story(at))

    def _story(self, at: int) -> tuple[str, ...]:
        numbers = []
        while at >= 0:
            numbers.append(at)
            at = self._before[at]
        lines = []
        for before, after in zip(numbers[:0:-1], numbers[-2::-1], strict=True):
            wanted = self._order[after]
            label = next(step.label for step in steps(self._order[before], self._scope) if step.state == wanted)
            lines.append(label)
        return (*lines, _describe(self._order[numbers[0]]))


def _describe(state: State) -> str:
    places = ", ".join(
        f"job {node} {token.place}" + (f" of name {token.name} slot {token.slot}" if token.name >= 0 else "")
        for node, token in enumerate(state.tokens)
    )
    return f"then: {places}; entry {state.entry}; latch {state.latch}; workers {state.workers}; {state.actors}"
