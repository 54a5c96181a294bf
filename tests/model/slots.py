"""What a slot does: choose, claim, begin, commit, settle; and between jobs give back what it does not run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.options import Option, back, becomes, rest_of, settling
from tests.model.state import (
    BAD,
    BEGUN,
    GOOD,
    HELD,
    LANDED,
    NEW,
    READY,
    RUNNABLE,
    RUNNING,
    WAITING,
    WON,
    Actor,
    Scope,
    State,
    Token,
    World,
)


def slot_options(state: State, me: int, worker: int, scope: Scope) -> Iterator[Option]:
    """What a slot can do next, besides settling and giving back."""
    actor = state.actors[me]
    name = state.names[worker]
    if actor.op in ("asleep", "awake"):
        yield from _choose(state, me, name, scope)
    elif actor.op == "list":
        yield from _list(state, me, name, scope)
    elif actor.op == "park":
        yield Option("parks", becomes(me, rest_of(me, scope)), ("entry", -1, WAITING))
    elif actor.op == "claim":
        yield from _claim(me, actor, scope)
        # After some tries the share is in trouble, and the slot looks anew.
        yield Option("gives the claim up", becomes(me, rest_of(me, scope)))
    elif actor.op == "have":
        yield from _begin(me, actor)
    elif actor.op == "exec":
        yield from _end(state, me, worker, scope)
    elif actor.op == "commit":
        yield from _commit(me, worker, actor, scope)


def _choose(state: State, me: int, name: int, scope: Scope) -> Iterator[Option]:
    """A sleeping slot is told to look when something is runnable, or a beat shows something under its number."""
    actor = state.actors[me]
    if state.entry == RUNNABLE:
        yield Option("notes the entry", becomes(me, Actor("list", entry=True)))
    if actor.op == "asleep" and state.entry != RUNNABLE and "look" in scope.without:
        return
    if "reconcile" not in scope.without:
        yield from _reconcile(state, me, name, scope)
    # Before it sleeps it has looked, as at the end of each step.
    has_own = any((token.name, token.slot) == (name, actor.number) for token in state.tokens)
    if actor.op == "awake" and state.entry != RUNNABLE and (not has_own or "reconcile" in scope.without):
        yield Option("falls asleep", becomes(me, Actor("asleep")))


def _reconcile(state: State, me: int, name: int, scope: Scope) -> Iterator[Option]:
    for node, token in enumerate(state.tokens):
        if (token.name, token.slot) != (name, state.actors[me].number):
            continue
        if token.place == RUNNING:
            target = back(token, scope, is_blamed=False)
            yield Option(f"finds job {node} under its number", becomes(me, Actor("back", node, HELD, target=target)))
        elif token.place == WON:
            yield Option(f"finds job {node} won under its number", becomes(me, settling(node, token, scope)))


def _list(state: State, me: int, name: int, scope: Scope) -> Iterator[Option]:
    number = state.actors[me].number
    ready = [node for node, token in enumerate(state.tokens) if token.place == READY]
    for node in ready:
        target = Token(RUNNING, name, number, NEW, state.tokens[node].charge)
        yield from _claim(me, Actor("claim", node, HELD, target=target), scope)
    if not ready:
        yield Option("finds nothing ready", becomes(me, Actor("park", entry=state.actors[me].entry)))


def _claim(me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    node, target = actor.node, actor.target
    assert target is not None

    def then(world: World, ok: bool) -> None:
        world.set(me, Actor("have", node, HELD) if ok else rest_of(me, scope))

    if actor.ref == LANDED:
        yield Option(f"finds that it has claimed job {node}", becomes(me, Actor("have", node, HELD)))
    elif actor.ref == HELD:
        yield Option(f"claims job {node}", then, ("token", node, target), actor)


def _begin(me: int, actor: Actor) -> Iterator[Option]:
    def then(world: World, ok: bool) -> None:
        if actor.ref == HELD:
            world.tokens[actor.node] = world.tokens[actor.node]._replace(mark=BEGUN)
        world.set(me, actor._replace(op="exec"))

    yield Option(f"begins job {actor.node}", then)


def _end(state: State, me: int, worker: int, scope: Scope) -> Iterator[Option]:
    """The attempt ends, well or badly, and is committed."""
    actor = state.actors[me]
    node = actor.node
    for mark, budget in ((GOOD, ""), (BAD, "errors")):
        won = Token(WON, state.names[worker], actor.number, mark, state.tokens[node].charge)
        commit = actor._replace(op="commit", target=won)
        if "commit" in scope.without and mark == GOOD:

            def publish(world: World, ok: bool, commit: Actor = commit) -> None:
                world.publish(node, is_current=actor.ref == HELD)
                world.set(me, commit)

            yield Option(f"writes the file of job {node}", publish)
        else:
            yield from _commit(me, worker, commit, scope, budget)


def _commit(me: int, worker: int, actor: Actor, scope: Scope, budget: str = "") -> Iterator[Option]:
    node, won = actor.node, actor.target

    def lose(world: World, ok: bool) -> None:
        world.forgive_later(worker, world.actors[me])
        world.set(me, rest_of(me, scope))

    if won is None or actor.ref < LANDED:
        if not budget:
            yield Option(f"finds job {node} taken from it", lose)
        return
    settle = settling(node, won, scope)

    def then(world: World, ok: bool) -> None:
        if ok:
            world.set(me, settle)
        else:
            lose(world, ok)

    if actor.ref == LANDED:
        yield Option(f"finds that it has committed job {node}", becomes(me, settle))
    else:
        words = "" if won.mark == GOOD else ", which has failed"
        yield Option(f"commits job {node}{words}", then, ("token", node, won), actor, budget)
