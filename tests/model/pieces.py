"""The logic of splitting: an array's tokens, slots that take chunks, deaths, late renames, sweeps.

A state is small: where the tokens lie and what they cover, the spares, the duties, what each slot is at, and the splits
that those have in mind who clear up. Each step is one call on the share. At the end of the array one latch entry is
removed ("free").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

READY, RUNNING, WON, FINISHED = "ready", "running", "won", "finished"
# Nobody knows of a number that is further from a token's own than two.
_APART = 3
RULES = ("bear", "duty", "one-spare", "spares-last", "made-once", "own-number")


class Tok(NamedTuple):
    """A token: where it lies, in whose folder, and what it covers and owes (`owed` is `end` where it owes nothing).

    `move` is raised whenever it is renamed. `by` is what somebody who was not its slot has raised it by in addition.
    """

    place: str
    slot: int
    start: int
    end: int
    owed: int
    move: int
    by: int = 0


class Spare(NamedTuple):
    """A spare in a slot's folder, for the items of one split, by which a token gets the number `move` and `by`."""

    slot: int
    start: int
    end: int
    move: int
    by: int = 0


class Move(NamedTuple):
    """A rename: of a token, or of a spare, to a token."""

    source: Tok | Spare
    target: Tok


class Plan(NamedTuple):
    """A split of what runs, by somebody who is not its slot: seen as it was, it may be gone by now.

    Attributes:
        move: the rename.
        is_made: the spare is.
        may_repeat: he may not hear the answer, and do it all again.
    """

    move: Move
    is_made: bool = False
    may_repeat: bool = True


class Slot(NamedTuple):
    """What a slot, or whoever clears up after it, is at.

    Attributes:
        op: the next step.
        token: as it lies by all that this one knows.
        rest: of a chunk of which a part was committed.
        is_dead: a sweeper acts in its place.
        is_swept: a sweeper acts beside it, which takes it for dead.
        is_closed: its folders are gone.
    """

    op: str = "idle"
    token: Tok | None = None
    rest: Tok | None = None
    is_dead: bool = False
    is_swept: bool = False
    is_closed: bool = False


class State(NamedTuple):
    tokens: frozenset[Tok]
    spares: frozenset[Spare]
    duties: frozenset[int]
    slots: tuple[Slot, ...]
    late: frozenset[Move]
    plans: frozenset[Plan]
    is_free: bool
    deaths: int
    ghosts: int
    suspicions: int
    splits: int


class Scope(NamedTuple):
    """How much of it is explored: so many of each, and in `chunk` items. `splits` are by those who clear up."""

    items: int = 2
    chunk: int = 1
    slots: int = 2
    deaths: int = 1
    ghosts: int = 1
    suspicions: int = 0
    splits: int = 0
    without: frozenset[str] = frozenset()


class BrokenError(Exception):
    """Something must not be."""


def start(scope: Scope) -> State:
    whole = Tok(READY, -1, 0, scope.items, scope.items, 0)
    return State(
        tokens=frozenset({whole}),
        spares=frozenset(),
        duties=frozenset(),
        slots=tuple(Slot() for _ in range(scope.slots)),
        late=frozenset(),
        plans=frozenset(),
        is_free=False,
        deaths=scope.deaths,
        ghosts=scope.ghosts,
        suspicions=scope.suspicions,
        splits=scope.splits,
    )


def check(state: State, scope: Scope) -> None:
    """Each item has one token or is owed by one whose spare is there; what waits begins when all have finished."""
    covered = [0] * scope.items
    for token in state.tokens:
        owes = _spare(token) in state.spares
        for item in range(token.start, token.owed if owes else token.end):
            covered[item] += 1
    if covered != [1] * scope.items:
        raise BrokenError(f"items are covered {covered} times")
    if state.is_free and any(token.place != FINISHED for token in state.tokens):
        raise BrokenError("what waits for the array begins too early")


def is_good(state: State) -> bool:
    return state.is_free


def _spare(token: Tok) -> Spare | None:
    """What a token's rest is born of, if it owes one."""
    return Spare(token.slot, token.end, token.owed, token.move, token.by) if token.owed > token.end else None


def steps(state: State, scope: Scope) -> Iterator[tuple[str, State, bool]]:
    """What can happen next: in words, what it leads to, and whether one may count on it."""
    for me, slot in enumerate(state.slots):
        yield from _steps_of(state, me, slot, scope)
        if (slot.is_dead or slot.is_swept) and not slot.is_closed:
            for label, after, move in _sweep(state, me, scope):
                yield f"sweeper of {me}: {label}", after if move is None else _move(after, move, scope), True
            for plan in _plans(state, me, scope):
                planned = state._replace(plans=state.plans | {plan}, splits=state.splits - 1)
                yield f"sweeper of {me}: is to split", planned, False
        elif state.suspicions and not slot.is_closed:
            suspicious = state._replace(suspicions=state.suspicions - 1)
            yield f"{me} is taken for dead", _with(suspicious, me, slot._replace(is_swept=True)), False
    for plan in state.plans:
        for label, after in _pursue(state, plan, scope):
            yield f"sweeper: {label}", after, True
    for late in state.late:
        rest = state._replace(late=state.late - {late})
        # A server may have it executed when it likes, or never.
        yield f"late: {late.target.place}", _move(rest, late, scope), False
        yield "a late call is lost", rest, True


def _steps_of(state: State, me: int, slot: Slot, scope: Scope) -> Iterator[tuple[str, State, bool]]:
    """What a slot that lives can do, and how it can die of it."""
    if slot.is_dead or slot.is_closed:
        return
    for label, after, move in _options(state, me, scope):
        yield f"{me}: {label}", after if move is None else _move(after, move, scope), True
        if state.deaths:
            dead = _with(state._replace(deaths=state.deaths - 1), me, Slot(is_dead=True))
            yield f"{me} dies", dead, False
            if move is not None and state.ghosts:
                ghost = dead._replace(ghosts=state.ghosts - 1, late=state.late | {move})
                yield f"{me} dies, and {label} later", ghost, False
    for token in sorted(state.tokens):
        # What its supervisor has committed for others, who settles it.
        if token.place == WON and token.slot == me and token not in (slot.token, slot.rest):
            for label, after, move in _clear(state, me, token, scope):
                yield f"supervisor of {me}: {label}", after if move is None else _move(after, move, scope), True


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


def _make_spare(state: State, token: Tok) -> State:
    spare = _spare(token)
    if spare is None or state.slots[spare.slot].is_closed:
        return state
    return state._replace(spares=state.spares | {spare})


Option = tuple[str, State, Move | None]


def _options(state: State, me: int, scope: Scope) -> Iterator[Option]:
    """What a slot can do next."""
    slot = state.slots[me]
    if slot.op == "idle":
        for token in sorted(state.tokens):
            if token.place == READY:
                yield from _take(state, me, slot, token, scope)
        if me in state.duties:
            looked = _look(state, scope)
            yield "does its duty", looked._replace(duties=looked.duties - {me}), None
        return
    assert slot.token is not None
    yield from _work(state, me, slot, slot.token, scope)


def _take(state: State, me: int, slot: Slot, token: Tok, scope: Scope) -> Iterator[Option]:
    end = min(token.start + scope.chunk, token.end)
    mine = Tok(RUNNING, me, token.start, end, token.owed, token.move + 1)
    if _spare(mine) not in (None, *state.spares):
        yield "makes a spare", _make_spare(state, mine), None
    else:
        yield "claims", _with(state, me, slot._replace(op="claimed", token=mine)), Move(token, mine)


def _work(state: State, me: int, slot: Slot, token: Tok, scope: Scope) -> Iterator[Option]:
    idle = slot._replace(op="idle", token=None, rest=None)
    if slot.op == "claimed":
        # It knows of its success by the answer.
        after = slot._replace(op="bear") if token in state.tokens else idle
        yield "hears the answer", _with(state, me, after), None
    elif slot.op == "bear":
        # What is born owes nothing, and the name stays as it is.
        yield from _bear(_with(state, me, slot._replace(op="run")), token)
    elif slot.op == "run":
        for end in range(token.start + 1, token.end + 1):
            # A part, or all of it.
            part = Tok(WON, me, token.start, end, token.end, token.move + 1)
            after = slot._replace(op="part" if end < token.end else "won", token=part)
            prepared = _make_spare(state, part)
            if prepared != state:
                yield f"makes a spare for {end}", prepared, None
            else:
                yield f"commits up to {end}", _with(state, me, after), Move(token, part)
    elif slot.op == "closed":
        yield "looks", _with(_look(state, scope), me, idle), None
    elif token not in state.tokens:
        yield "finds that it was superseded", _with(state, me, idle), None
    elif slot.op == "part":
        rest = Tok(RUNNING, me, token.end, token.owed, token.owed, token.move)
        spare = _spare(token)
        assert spare is not None
        # Where somebody has made it ready it is not this one's any more, which shows when it is to be committed.
        yield "goes on with the rest", _with(state, me, slot._replace(op="won", rest=rest)), Move(spare, rest)
    else:
        # Without its duty a slot looks when it has closed its token, and perhaps dies before that.
        after = slot._replace(op="closed") if "duty" in scope.without else idle
        if slot.rest is not None:
            after = slot._replace(op="run" if slot.rest in state.tokens else "idle", token=slot.rest, rest=None)
        yield from _settle(state, me, token, scope, _with(state, me, after))


def _bear(after: State, token: Tok) -> Iterator[Option]:
    spare = _spare(token)
    if spare is None:
        yield "owes nothing", after, None
    else:
        yield "gives birth", after, Move(spare, Tok(READY, -1, token.end, token.owed, token.owed, token.move))


def _settle(state: State, me: int, token: Tok, scope: Scope, after: State) -> Iterator[Option]:
    if me not in state.duties and "duty" not in scope.without:
        yield "notes a duty", state._replace(duties=state.duties | {me}), None
    else:
        closed = Tok(FINISHED, -1, token.start, token.end, token.end, token.move + 1)
        yield "closes", after, Move(token, closed)


def _look(state: State, scope: Scope) -> State:
    done = sum(token.end - token.start for token in state.tokens if token.place == FINISHED)
    return state._replace(is_free=state.is_free or done == scope.items)


def _sweep(state: State, me: int, scope: Scope) -> Iterator[Option]:
    """Whoever clears up after a dead slot: one thing after the other, as the listings show them."""
    mine = sorted(token for token in state.tokens if token.slot == me)
    for token in mine:
        yield from _clear(state, me, token, scope)
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


def _clear(state: State, me: int, token: Tok, scope: Scope) -> Iterator[Option]:
    """The next step with a token in a slot's folder, in the place of that slot."""
    if _spare(token) in state.spares and "bear" not in scope.without:
        yield from _bear(state, token)
    elif token.place == WON:
        yield from _settle(state, me, token, scope, state)
    else:
        yield "gives back", state, Move(token, Tok(READY, -1, token.start, token.end, token.end, token.move + 1))


def _plans(state: State, me: int, scope: Scope) -> Iterator[Plan]:
    """What somebody who clears up after a slot may split: what was done from what was not, and one item from the rest.

    What was done goes to won/ of a worker that lives, who has found it noted.
    """
    if not state.splits:
        return
    # RACE: of two who do so at once each has another number.
    by = 0 if "own-number" in scope.without else state.splits
    for token in state.tokens:
        if (token.place, token.slot) != (RUNNING, me) or _spare(token) in state.spares:
            continue
        for end in range(token.start + 1, token.end):
            yield Plan(Move(token, Tok(RUNNING, me, token.start, end, token.end, token.move + 1, by)))
        for other, slot in enumerate(state.slots):
            if other != me and not (slot.is_dead or slot.is_swept or slot.is_closed):
                for end in range(token.start + 1, token.end + 1):
                    yield Plan(Move(token, Tok(WON, other, token.start, end, token.end, token.move + 1, by)))


def _pursue(state: State, plan: Plan, scope: Scope) -> Iterator[tuple[str, State]]:
    rest = state._replace(plans=state.plans - {plan})
    if not plan.is_made:
        made = _make_spare(rest, plan.move.target)
        yield "makes a spare", made._replace(plans=made.plans | {plan._replace(is_made=True)})
        return
    split = _move(rest, plan.move, scope)
    yield "splits", split
    if plan.may_repeat:
        again = plan._replace(is_made="made-once" not in scope.without, may_repeat=False)
        yield "splits, and hears no answer", split._replace(plans=split.plans | {again})


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
        for label, found, is_sure in steps(state, scope):
            after = _lowered(found)
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


def _lowered(state: State) -> State:
    """The same with lower numbers: what counts is which are equal, or follow upon one another.

    What can change nothing any more is left out: a token's number never comes again, so no rename finds one that is
    gone, and a spare that is older than all who could owe it is nobody's.
    """
    tokens = state.tokens
    late = frozenset(move for move in state.late if isinstance(move.source, Spare) or move.source in tokens)
    plans = frozenset(plan for plan in state.plans if not tokens.isdisjoint(plan.move))
    owing = [*tokens, *(move.target for move in late), *(plan.move.target for plan in plans)]
    spares = frozenset(
        spare
        for spare in state.spares
        if any(spare.move >= token.move for token in owing if token.start < spare.start <= token.owed)
    )
    state = state._replace(late=late, plans=plans, spares=spares)
    new: dict[int, int] = {}
    last = number = 0
    for move in sorted(set(_numbers(state))):
        number += min(move - last, _APART) if new else 0
        last, new[move] = move, number
    return _renumbered(state, new)


def _numbers(state: State) -> Iterator[int]:
    yield from (token.move for token in state.tokens)
    yield from (spare.move for spare in state.spares)
    for move in (*state.late, *(plan.move for plan in state.plans)):
        yield move.source.move
        yield move.target.move
    for slot in state.slots:
        for token in (slot.token, slot.rest):
            if token is not None:
                yield token.move


def _renumbered(state: State, new: dict[int, int]) -> State:
    def token(old: Tok) -> Tok:
        return old._replace(move=new[old.move])

    def move(old: Move) -> Move:
        return Move(old.source._replace(move=new[old.source.move]), token(old.target))

    return state._replace(
        tokens=frozenset(token(old) for old in state.tokens),
        spares=frozenset(old._replace(move=new[old.move]) for old in state.spares),
        late=frozenset(move(old) for old in state.late),
        plans=frozenset(plan._replace(move=move(plan.move)) for plan in state.plans),
        slots=tuple(
            slot._replace(token=slot.token and token(slot.token), rest=slot.rest and token(slot.rest))
            for slot in state.slots
        ),
    )


def _story(before: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    lines = [str(state)]
    step = before[state]
    while step is not None:
        state, label = step
        lines.append(label)
        step = before[state]
    return tuple(reversed(lines))
