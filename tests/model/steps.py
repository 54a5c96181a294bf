"""Every step out of a state: what actors do, how calls are answered, who dies, what is executed late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.options import Call, Option, common, rest_of, settled_mind, worker_of
from tests.model.people import person_options
from tests.model.slots import slot_options
from tests.model.state import (
    BLOCKED,
    BUDGETS,
    DEATHS,
    DONE,
    FAILED,
    GONE,
    HAS_REST,
    HELD,
    NOTHING,
    READY,
    RUNNABLE,
    TO_PARDON,
    TO_PARDON_CHARGED,
    TRASH,
    Actor,
    BrokenInvariantError,
    Scope,
    State,
    Token,
    World,
)
from tests.model.supervisors import supervisor_options

_AT_REST = ("asleep", "awake", "idle", "dead", "list", "park")


class Step(NamedTuple):
    """One step: in words, whether one can count on it (a fault or a person's wish is none), and where it leads."""

    label: str
    is_sure: bool
    state: State


def steps(state: State, scope: Scope) -> Iterator[Step]:
    """Every step out of a state.

    Raises:
        BrokenInvariantError: a step breaks an invariant.
    """
    for me, actor in enumerate(state.actors):
        if actor.op == "dead":
            continue
        who = _who(me, scope)
        for option in _options(state, me, scope):
            if not option.spends or _has_left(state, scope, option.spends):
                yield from _answers(state, scope, me, who, option)
    yield from _deaths(state, scope)
    for ghost in state.ghosts:
        world = World(state, scope)
        world.ghosts -= {ghost}
        _execute(world, ghost)
        yield Step(f"what was under way is executed: {_words(ghost)}", False, _frozen(world))


def _frozen(world: World) -> State:
    """The state that a step leads to, less what its actors know in vain."""
    for me, actor in enumerate(world.actors):
        mind = settled_mind(actor, me, world)
        if mind is not actor:
            world.set(me, mind)
    if world.scope.suspicions or world.scope.deaths:
        world.forget_what_is_moot()
    return world.frozen()


def _options(state: State, me: int, scope: Scope) -> Iterator[Option]:
    yield from common(state, me, scope)
    if me < scope.workers * scope.slots:
        yield from slot_options(state, me, worker_of(me, scope), scope)
    elif me < scope.workers * (scope.slots + 1):
        yield from supervisor_options(state, me, worker_of(me, scope), scope)
    else:
        yield from person_options(state, me, scope)


def _answers(state: State, scope: Scope, me: int, who: str, option: Option) -> Iterator[Step]:
    """A step and, if it is a rename that is executed, the ways in which its caller may not get to know that."""
    world = World(state, scope)
    if option.spends:
        world.spend(option.spends)
    is_sure = not option.spends
    if option.call is None:
        option.then(world, True)
        yield Step(f"{who} {option.label}", is_sure, _frozen(world))
        return
    _stand(world, me, option)
    is_done = _knows(world, me, option.call) and _execute(world, option.call)
    option.then(world, is_done)
    yield Step(f"{who} {option.label}", is_sure, _frozen(world))
    if not is_done:
        return
    if _has_left(state, scope, "lies"):
        yield Step(f"{who} {option.label}, and is told ENOENT", False, _lie(state, scope, me, option))
    if _has_left(state, scope, "ghosts"):
        yield Step(f"{who} {option.label}, later; it is told EIO now", False, _late(state, scope, me, option))
        if _has_left(state, scope, "deaths"):
            for label, dying in _who_may_die(state, scope, me):
                world = World(state, scope)
                _stand(world, me, option)
                _go_on_late(world, option)
                _die(world, dying, scope)
                yield Step(f"{label} dies while {who} {option.label}", False, _frozen(world))


def _stand(world: World, me: int, option: Option) -> None:
    """Makes the caller what it is while its call is under way."""
    if option.stay is not None and option.call is not None and option.call[0] == "token":
        world.set(me, option.stay)


def _knows(world: World, me: int, call: Call) -> bool:
    actor = world.actors[me]
    if call[0] == "token":
        return actor.ref == HELD
    # A call that does not know K finds the entry in its folder by the number alone.
    return actor.entry and (call[2] != "waiting" or world.entry == RUNNABLE)


def _execute(world: World, call: Call) -> bool:
    kind, node, target = call
    if kind == "token":
        assert isinstance(target, Token)
        return world.move(node, target)
    assert isinstance(target, str)
    world.move_entry(target)
    return True


def _lie(state: State, scope: Scope, me: int, option: Option) -> State:
    """The call is executed, and answered with ENOENT."""
    assert option.call is not None
    world = World(state, scope)
    world.spend("lies")
    if option.spends:
        world.spend(option.spends)
    _stand(world, me, option)
    _execute(world, option.call)
    _doubt(world, me, option)
    return _frozen(world)


def _late(state: State, scope: Scope, me: int, option: Option) -> State:
    """The call is answered with an error, and may be executed at any time."""
    world = World(state, scope)
    if option.spends:
        world.spend(option.spends)
    _stand(world, me, option)
    _go_on_late(world, option)
    _doubt(world, me, option)
    return _frozen(world)


def _go_on_late(world: World, option: Option) -> None:
    assert option.call is not None
    world.spend("ghosts")
    world.ghosts |= {option.call}


def _doubt(world: World, me: int, option: Option) -> None:
    """What a caller does that was told an error: it looks; for the entry that means to begin anew."""
    assert option.call is not None
    if option.call[0] == "entry":
        option.then(world, False)
    elif "second-look" in world.scope.without:
        world.actors[me] = world.actors[me]._replace(ref=0)
        option.then(world, False)


# --- deaths ------------------------------------------------------------------------------------------------------


def _deaths(state: State, scope: Scope) -> Iterator[Step]:
    if not _has_left(state, scope, "deaths"):
        return
    for me, actor in enumerate(state.actors):
        if actor.op in _AT_REST:
            continue
        for label, dying in _who_may_die(state, scope, me):
            world = World(state, scope)
            _die(world, dying, scope)
            yield Step(f"{label} dies", False, _frozen(world))


def _who_may_die(state: State, scope: Scope, me: int) -> Iterator[tuple[str, list[int]]]:
    """With whom an actor may die: a slot alone or with its worker; the last worker's supervisor does not."""
    slots, actors = scope.workers * scope.slots, state.actors
    if me == len(actors) - 1:
        yield "the person", [me]
        return
    worker = worker_of(me, scope)
    if me < slots:
        yield _who(me, scope), [me]
    if sum(actors[slots + other].op != "dead" for other in range(scope.workers)) > 1:
        yield f"worker {worker}", [*range(worker * scope.slots, (worker + 1) * scope.slots), slots + worker]


def _die(world: World, dying: list[int], scope: Scope) -> None:
    world.spend("deaths")
    for at in dying:
        actor = world.actors[at]
        if at == len(world.actors) - 1:
            # Another person may come.
            world.actors[at] = rest_of(at, scope)
            continue
        world.lose(actor)
        world.actors[at] = Actor("dead", number=actor.number)
        worker = at - scope.workers * scope.slots
        if worker >= 0:
            for node, due in enumerate(world.due[worker]):
                # What it cannot say any more stays charged, and counts as a death.
                world.unjust[node] -= due == TO_PARDON_CHARGED
                world.killed[node] += due in (TO_PARDON, TO_PARDON_CHARGED)
                world.set_due(worker, node, NOTHING)
            world.asked[worker] = ""


def _has_left(state: State, scope: Scope, budget: str) -> bool:
    return bool(state.used[BUDGETS.index(budget)] < getattr(scope, budget))


# --- looking -----------------------------------------------------------------------------------------------------


def check(state: State, scope: Scope) -> None:
    """What must hold in every state.

    Raises:
        BrokenInvariantError: it does not.
    """
    for node, token in enumerate(state.tokens):
        final = state.finals[node]
        if token.place == "finished" and final != 1:
            raise BrokenInvariantError(f"job {node} is finished, and its final file is not that of its attempt")
        if final and not (token.place in ("won", "finished", TRASH, GONE) and final == 1):
            raise BrokenInvariantError(f"job {node} is {token.place}, and has the file of a superseded attempt")
        if state.killed[node] > scope.max_attempts:
            raise BrokenInvariantError(f"{state.killed[node]} attempts have died under job {node}")
        if token.place in (READY, BLOCKED) and not state.job & HAS_REST:
            raise BrokenInvariantError(f"job {node} is {token.place}, of a top-level job that is deleted")


def is_good(state: State, scope: Scope) -> bool:
    """Whether the hierarchy has come to its end, or is stalled by failures that are none of the queue's making."""
    places = [token.place for token in state.tokens]
    if "running" in places or "won" in places:
        return False
    if state.entry not in (DONE, TRASH) and any(
        token.place == FAILED and token.mark == DEATHS and state.killed[node] < scope.max_attempts
        for node, token in enumerate(state.tokens)
    ):
        return False
    if state.entry == TRASH:
        return not state.job & HAS_REST
    if state.entry == DONE:
        return READY not in places and BLOCKED not in places
    return state.entry == "waiting" and FAILED in places and READY not in places


def _who(me: int, scope: Scope) -> str:
    slots = scope.workers * scope.slots
    if me < slots:
        return f"slot {me} (of worker {me // scope.slots})"
    return f"worker {me - slots}" if me < slots + scope.workers else "somebody"


def _words(call: Call) -> str:
    kind, node, target = call
    if isinstance(target, Token):
        return f"job {node} goes to {target.place}" + (f" of name {target.name}" if target.name >= 0 else "")
    return f"the {kind} goes to {target}"
