"""What a supervisor does: clears up after its slots, sweeps other workers, and comes back after having been swept."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.options import SWEPT, Option, Then, back, becomes, needs_wake, owes, rest_of, settling
from tests.model.state import (
    CANCELLED,
    DEATHS,
    FAILED,
    FENCED,
    FORGOTTEN,
    GONE,
    HAS_BLOCKED,
    HAS_READY,
    HAS_REST,
    HAS_RUNNING,
    HAS_WON,
    HELD,
    NOTHING,
    PARDONED,
    READY,
    RUNNING,
    TO_LOOK,
    TO_PARDON,
    TO_PARDON_CHARGED,
    TRASH,
    WAITING,
    WON,
    Actor,
    Scope,
    State,
    Token,
    World,
)

ENDED = {"died": 0, "cancel": 1, "delete": 2}


def supervisor_options(state: State, me: int, worker: int, scope: Scope) -> Iterator[Option]:
    """What a supervisor with nothing in hand can do next."""
    if state.actors[me].op != "idle":
        return
    slots = range(worker * scope.slots, (worker + 1) * scope.slots)
    yield from _bury(state, me, worker, slots, scope)
    yield from _sweep(state, me, worker, scope)
    if state.workers[state.names[worker]] & FENCED and "notice" not in scope.without:
        yield Option("finds itself fenced, and comes again under a new name", _comes_again(worker, slots))
    if "pardon" not in scope.without:
        yield from _pardon(state, me, worker, scope)
    if "backstop" not in scope.without and state.entry == WAITING and needs_wake(state):
        yield Option("finds a ready job of one that waits", becomes(me, Actor("wake")))
    if state.asked[worker]:
        yield Option(f"reads its inbox: {state.asked[worker]}", _obeys(state, worker, slots))
    is_fenced = state.entry == TRASH and state.job & (HAS_READY | HAS_BLOCKED | HAS_REST) == HAS_REST
    if is_fenced and not any(owes(state, name) for name in range(len(state.workers))):
        yield Option("removes the rest of the deleted job", remove_rest)


def remove_rest(world: World, ok: bool) -> None:
    """All that is left of a deleted job; nobody holds a token of it."""
    world.job &= ~HAS_REST
    for node, token in enumerate(world.tokens):
        if token.place not in (RUNNING, WON, TRASH):
            world.tokens[node] = Token(GONE)
    world.latch = -1


# --- its own slots -----------------------------------------------------------------------------------------------


def _bury(state: State, me: int, worker: int, slots: range, scope: Scope) -> Iterator[Option]:
    """Clears up after slots that have died, and looks at each beat for what lies under numbers that nobody has."""
    living = {state.actors[slot].number for slot in slots if state.actors[slot].op != "dead"}
    ended = {state.actors[slot].number: state.actors[slot].note for slot in slots if state.actors[slot].op == "dead"}
    left = set(ended)
    for node, token in enumerate(state.tokens):
        if token.name != state.names[worker] or token.slot in living:
            continue
        if token.slot not in ended and "look" in scope.without:
            continue
        left.discard(token.slot)
        if token.place == WON:
            yield Option(f"finds job {node} won by a dead slot", becomes(me, settling(node, token, scope)))
        elif token.place == RUNNING:
            target = _ending(token, ended.get(token.slot, 0), scope)
            yield Option(f"finds job {node} of a dead slot", becomes(me, Actor("back", node, HELD, target=target)))
    for slot in slots:
        if state.actors[slot].op == "dead" and state.actors[slot].number in left:
            yield Option(f"starts slot {slot} anew", _starts(me, slot))


def _ending(token: Token, note: int, scope: Scope) -> Token:
    if note == ENDED["cancel"]:
        return Token(CANCELLED, charge=token.charge)
    return back(token, scope, is_blamed=note == ENDED["died"])


def _starts(me: int, slot: int) -> Then:
    def then(world: World, ok: bool) -> None:
        number = world.actors[me].number
        world.actors[slot] = rest_of(slot, world.scope)._replace(number=number)
        world.actors[me] = world.actors[me]._replace(number=number + 1)

    return then


def _obeys(state: State, worker: int, slots: range) -> Then:
    """Ends the slots under whose numbers something lies, by the listing and not by what they have said."""
    action = state.asked[worker]
    meant = {token.slot for token in state.tokens if token.place == RUNNING and token.name == state.names[worker]}

    def then(world: World, ok: bool) -> None:
        world.asked[worker] = ""
        for slot in slots:
            actor = world.actors[slot]
            if actor.op != "dead" and actor.number in meant:
                world.actors[slot] = Actor("dead", number=actor.number, note=ENDED[action])

    return then


# --- other workers -----------------------------------------------------------------------------------------------


def _sweep(state: State, me: int, worker: int, scope: Scope) -> Iterator[Option]:
    """A sweep remembers nothing: each step follows from what the swept worker's folder shows."""
    for name, folder in enumerate(state.workers):
        other = name % scope.workers
        if name == state.names[worker] or name > state.names[other] or not folder & (HAS_RUNNING | HAS_WON):
            continue
        if folder & FENCED:
            if not folder & FORGOTTEN and not _is_left_to_others(state, me, scope):
                yield from _sweep_on(state, me, name, scope)
        elif state.actors[scope.workers * scope.slots + other].op == "dead":
            yield Option(f"fences worker {other}, which is dead", _marks(name, FENCED))
        elif _is_worth_a_suspicion(state, name, scope):
            yield Option(f"takes worker {other} for dead, and fences it", _marks(name, FENCED), spends="suspicions")


def _is_left_to_others(state: State, me: int, scope: Scope) -> bool:
    """Whether as many sweep already as are to be explored at once; it is safe for all to do so."""
    slots = scope.workers * scope.slots
    busy = sum(
        state.actors[slots + worker].op not in ("idle", "dead") and slots + worker != me
        for worker in range(scope.workers)
    )
    return busy >= scope.sweepers


def _is_worth_a_suspicion(state: State, name: int, scope: Scope) -> bool:
    """Whether a worker has anything to lose; to suspect an idle one leads nowhere new."""
    worker = name % scope.workers
    slots = state.actors[worker * scope.slots : (worker + 1) * scope.slots]
    return bool(owes(state, name)) or any(slot.op in ("list", "claim", "have") for slot in slots)


def _sweep_on(state: State, me: int, name: int, scope: Scope) -> Iterator[Option]:
    other, folder = f"worker {name % scope.workers}", state.workers[name]
    owed = owes(state, name)
    for node in owed:
        token = state.tokens[node]
        if token.place == WON:
            yield Option(f"finds job {node} won by {other}", becomes(me, settling(node, token, scope)))
        else:
            target = back(token, scope, is_blamed=True)
            seen = Actor("back", node, HELD, target=target, note=SWEPT)
            yield Option(f"finds job {node} in running/ of {other}", becomes(me, seen))
    if "rmdir" in scope.without:
        if not owed:
            yield Option(f"has swept {other}", _marks(name, FORGOTTEN))
    elif folder & HAS_RUNNING:
        if not any(state.tokens[node].place == RUNNING for node in owed):
            yield Option(f"removes running/ of {other}", _removes(name, HAS_RUNNING))
    elif not owed:
        yield Option(f"removes won/ of {other}", _removes(name, HAS_WON))


def _marks(name: int, mark: int) -> Then:
    def then(world: World, ok: bool) -> None:
        world.workers[name] |= mark

    return then


def _removes(name: int, folder: int) -> Then:
    def then(world: World, ok: bool) -> None:
        world.workers[name] &= ~folder

    return then


# --- having been swept -------------------------------------------------------------------------------------------


def _comes_again(worker: int, slots: range) -> Then:
    """Ends what runs, drops it, and registers under a name that was never used."""

    def then(world: World, ok: bool) -> None:
        scope = world.scope
        for number, slot in enumerate(slots):
            world.forgive_later(worker, world.actors[slot])
            world.actors[slot] = rest_of(slot, world.scope)._replace(number=number)
        world.names[worker] += scope.workers
        world.asked[worker] = ""
        at = scope.workers * scope.slots + worker
        world.actors[at] = world.actors[at]._replace(number=scope.slots)

    return then


def _pardon(state: State, me: int, worker: int, scope: Scope) -> Iterator[Option]:
    """Takes back what was charged while it lived: says so in its journal, then looks for jobs that failed by it."""
    for node, due in enumerate(state.due[worker]):
        token = state.tokens[node]
        if due in (TO_PARDON, TO_PARDON_CHARGED):
            yield Option(f"says that job {node} did not kill it", _says(worker, node, due))
        elif due == TO_LOOK and token.place != RUNNING:
            is_unjust = token.charge < scope.max_attempts
            if token.place == FAILED and token.mark == DEATHS and is_unjust:
                target = Token(READY, charge=token.charge)
                seen = Actor("back", node, HELD, target=target)
                yield Option(f"finds that job {node} has failed by deaths that were none", becomes(me, seen))
            else:
                yield Option(f"needs do no more for job {node}", _forgets(worker, node))


def _says(worker: int, node: int, due: int) -> Then:
    def then(world: World, ok: bool) -> None:
        if due == TO_PARDON:
            world.tokens[node] = world.tokens[node]._replace(mark=PARDONED)
            world.set_due(worker, node, TO_LOOK)
        else:
            world.pardon(worker, node)

    return then


def _forgets(worker: int, node: int) -> Then:
    return lambda world, _: world.set_due(worker, node, NOTHING)
