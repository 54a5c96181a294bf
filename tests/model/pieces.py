"""The logic of splitting: an array's tokens, slots that take chunks of one item, deaths, late renames, sweeps.

A state is small: where the tokens lie and what they cover, the spares, the duties, and what each slot is at. Each step
is one call on the share. At the end of the array one latch entry is removed ("free").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

READY, RUNNING, WON, FINISHED = "ready", "running", "won", "finished"
RULES = ("bear", "duty", "one-spare", "spares-last")


class Tok(NamedTuple):
    """A token: where it lies, in whose folder, and what it covers and owes (`owed` is `end` where it owes nothing)."""

    place: str
    slot: int
    start: int
    end: int
    owed: int


class Spare(NamedTuple):
    """A spare in a slot's folder, for the items of one split."""

    slot: int
    start: int
    end: int


class Move(NamedTuple):
    """A rename: of a token, or of a spare, to a token."""

    source: Tok | Spare
    target: Tok


class Slot(NamedTuple):
    """What a slot, or whoever clears up after it, is at.

    Attributes:
        op: the next step.
        token: as it lies by all that this one knows.
        is_dead: a sweeper acts in its place.
        is_swept: a sweeper acts beside it, which takes it for dead.
        is_closed: its folders are gone.
    """

    op: str = "idle"
    token: Tok | None = None
    is_dead: bool = False
    is_swept: bool = False
    is_closed: bool = False


class State(NamedTuple):
    tokens: frozenset[Tok]
    spares: frozenset[Spare]
    duties: frozenset[int]
    slots: tuple[Slot, ...]
    late: frozenset[Move]
    is_free: bool
    deaths: int
    ghosts: int
    suspicions: int


class Scope(NamedTuple):
    """How much of it is explored."""

    items: int = 2
    slots: int = 2
    deaths: int = 1
    ghosts: int = 1
    suspicions: int = 0
    without: frozenset[str] = frozenset()


class BrokenError(Exception):
    """Something must not be."""


def start(scope: Scope) -> State:
    whole = Tok(READY, -1, 0, scope.items, scope.items)
    slots = tuple(Slot() for _ in range(scope.slots))
    none: frozenset[int] = frozenset()
    return State(
        frozenset({whole}), frozenset(), none, slots, frozenset(), False, scope.deaths, scope.ghosts, scope.suspicions
    )


def check(state: State, scope: Scope) -> None:
    """Each item has one token or is owed by one whose spare is there; what waits begins when all have finished."""
    covered = [0] * scope.items
    for token in state.tokens:
        for item in range(token.start, token.end):
            covered[item] += 1
        if Spare(token.slot, token.end, token.owed) in state.spares and token.owed > token.end:
            for item in range(token.end, token.owed):
                covered[item] += 1
    if covered != [1] * scope.items:
        raise BrokenError(f"items are covered {covered} times")
    if state.is_free and any(token.place != FINISHED for token in state.tokens):
        raise BrokenError("what waits for the array begins too early")


def is_good(state: State) -> bool:
    return state.is_free


def steps(state: State, scope: Scope) -> Iterator[tuple[str, State, bool]]:
    """What can happen next: in words, what it leads to, and whether one may count on it."""
    for me, slot in enumerate(state.slots):
        for label, after, move in () if slot.is_dead or slot.is_closed else _options(state, me, scope):
            yield f"{me}: {label}", after if move is None else _move(after, move, scope), True
            if state.deaths:
                dead = _with(state._replace(deaths=state.deaths - 1), me, Slot(is_dead=True))
                yield f"{me} dies", dead, False
                if move is not None and state.ghosts:
                    ghost = dead._replace(ghosts=state.ghosts - 1, late=state.late | {move})
                    yield f"{me} dies, and {label} later", ghost, False
        if (slot.is_dead or slot.is_swept) and not slot.is_closed:
            for label, after, move in _sweep(state, me, scope):
                yield f"sweeper of {me}: {label}", after if move is None else _move(after, move, scope), True
        elif state.suspicions and not slot.is_closed:
            suspicious = state._replace(suspicions=state.suspicions - 1)
            yield f"{me} is taken for dead", _with(suspicious, me, slot._replace(is_swept=True)), False
    for late in state.late:
        rest = state._replace(late=state.late - {late})
        # A server may have it executed when it likes, or never.
        yield f"late: {late.target.place}", _move(rest, late, scope), False
        yield "a late call is lost", rest, True


def _with(state: State, me: int, slot: Slot) -> State:
    return state._replace(slots=(*state.slots[:me], slot, *state.slots[me + 1 :]))


def _move(state: State, move: Move, scope: Scope) -> State:
    """One rename, if its source is there and the folder that it leads to."""
    source, target = move
    if target.place in (RUNNING, WON) and state.slots[target.slot].is_closed:
        return state
    if isinstance(source, Spare):
        if source not in state.spares and "one-spare" not in scope.without:
            return state
        return state._replace(spares=state.spares - {source}, tokens=state.tokens | {target})
    if source not in state.tokens:
        return state
    return state._replace(tokens=state.tokens - {source} | {target})


Option = tuple[str, State, Move | None]


def _options(state: State, me: int, scope: Scope) -> Iterator[Option]:
    """What a slot can do next."""
    slot = state.slots[me]
    if slot.op == "idle":
        for token in sorted(state.tokens):
            if token.place == READY:
                yield from _take(state, me, slot, token)
        if me in state.duties:
            looked = _look(state, scope)
            yield "does its duty", looked._replace(duties=looked.duties - {me}), None
        return
    assert slot.token is not None
    yield from _work(state, me, slot, slot.token, scope)


def _take(state: State, me: int, slot: Slot, token: Tok) -> Iterator[Option]:
    mine = Tok(RUNNING, me, token.start, token.start + 1, token.owed)
    spare = Spare(me, mine.end, mine.owed)
    if mine.owed > mine.end and spare not in state.spares:
        yield "makes a spare", state._replace(spares=state.spares | {spare}), None
    else:
        yield "claims", _with(state, me, slot._replace(op="claimed", token=mine)), Move(token, mine)


def _work(state: State, me: int, slot: Slot, token: Tok, scope: Scope) -> Iterator[Option]:
    idle = slot._replace(op="idle", token=None)
    if slot.op == "claimed":
        # It knows of its success by the answer.
        after = slot._replace(op="bear") if token in state.tokens else idle
        yield "hears the answer", _with(state, me, after), None
    elif slot.op == "bear":
        yield from _bear(_with(state, me, slot._replace(op="run")), token)
    elif slot.op == "run":
        won = token._replace(place=WON, owed=token.end)
        yield "commits", _with(state, me, slot._replace(op="won", token=won)), Move(token, won)
    elif slot.op == "closed":
        yield "looks", _with(_look(state, scope), me, idle), None
    elif token not in state.tokens:
        yield "finds that it was superseded", _with(state, me, idle), None
    else:
        # Without its duty a slot looks when it has closed its token, and perhaps dies before that.
        after = slot._replace(op="closed") if "duty" in scope.without else idle
        yield from _settle(state, me, token, scope, _with(state, me, after))


def _bear(after: State, token: Tok) -> Iterator[Option]:
    spare = Spare(token.slot, token.end, token.owed)
    born = Tok(READY, -1, token.end, token.owed, token.owed)
    yield "gives birth", after, Move(spare, born) if token.owed > token.end else None


def _settle(state: State, me: int, token: Tok, scope: Scope, after: State) -> Iterator[Option]:
    if me not in state.duties and "duty" not in scope.without:
        yield "notes a duty", state._replace(duties=state.duties | {me}), None
    else:
        yield "closes", after, Move(token, Tok(FINISHED, -1, token.start, token.end, token.end))


def _look(state: State, scope: Scope) -> State:
    done = sum(token.end - token.start for token in state.tokens if token.place == FINISHED)
    return state._replace(is_free=state.is_free or done == scope.items)


def _sweep(state: State, me: int, scope: Scope) -> Iterator[Option]:
    """Whoever clears up after a dead slot: one thing after the other, as the listings show them."""
    mine = sorted(token for token in state.tokens if token.slot == me)
    for token in mine:
        owes = token.owed > token.end and Spare(me, token.end, token.owed) in state.spares
        if owes and "bear" not in scope.without:
            yield from _bear(state, token)
        elif token.place == WON:
            yield from _settle(state, me, token, scope, state)
        else:
            yield "gives back", state, Move(token, Tok(READY, -1, token.start, token.end, token.end))
    if mine:
        return
    if "spares-last" in scope.without and any(spare.slot == me for spare in state.spares):
        yield "removes the spares", _without_spares(state, me), None
    if me in state.duties:
        looked = _look(state, scope)
        yield "does the duty", looked._replace(duties=looked.duties - {me}), None
    else:
        closed = _with(state, me, state.slots[me]._replace(is_closed=True))
        yield "takes the folders away", _without_spares(closed, me), None


def _without_spares(state: State, me: int) -> State:
    return state._replace(spares=frozenset(spare for spare in state.spares if spare.slot != me))


class Found(NamedTuple):
    """What a search came to: how many states there are, what is wrong, and the shortest way there."""

    states: int
    problem: str = ""
    story: tuple[str, ...] = ()


def search(scope: Scope) -> Found:
    """Visits every state, and asks of each whether the array can still come to its end."""
    first = start(scope)
    before: dict[State, tuple[State, str] | None] = {first: None}
    sure: dict[State, list[State]] = {}
    pending = [first]
    for state in pending:
        sure[state] = []
        try:
            check(state, scope)
        except BrokenError as broken:
            return Found(len(before), str(broken), _story(before, state))
        for label, after, is_sure in steps(state, scope):
            if after not in before:
                before[after] = state, label
                pending.append(after)
            if is_sure:
                sure[state].append(after)
    fine = {state for state in pending if is_good(state)}
    has_changed = True
    while has_changed:
        more = [state for state in reversed(pending) if state not in fine and not fine.isdisjoint(sure[state])]
        fine.update(more)
        has_changed = bool(more)
    stuck = next((state for state in pending if state not in fine), None)
    if stuck is not None:
        return Found(len(before), "stuck: the array cannot come to its end", _story(before, stuck))
    return Found(len(before))


def _story(before: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    lines = [str(state)]
    step = before[state]
    while step is not None:
        state, label = step
        lines.append(label)
        step = before[state]
    return tuple(reversed(lines))
