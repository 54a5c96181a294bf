"""What an actor can do next, and the parts of it that slots, supervisors and people have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.model.state import (
    BAD,
    BEGUN,
    BLOCKED,
    CANCELLED,
    DONE,
    FAILED,
    FINISHED,
    GOOD,
    HAS_READY,
    HAS_REST,
    HELD,
    LANDED,
    READY,
    RUNNABLE,
    RUNNING,
    TRASH,
    WAITING,
    WON,
    Actor,
    Scope,
    State,
    Token,
    World,
)

# What `Actor.note` says of one who gives back: it sweeps.
SWEPT = 1

Then = Callable[[World, bool], None]
Call = tuple[str, int, Token | str]


class Option(NamedTuple):
    """One thing that an actor can do next.

    Attributes:
        label: in words.
        then: what follows from it, given whether the call was answered with success.
        call: the rename that it makes, if it makes one; it may be answered wrongly, or be under way when its caller
            dies.
        stay: what the caller is after an answer that may be wrong, when it looks; ``None``: what it was before.
        spends: the budget of things that happen, but on which nobody can count.
    """

    label: str
    then: Then
    call: Call | None = None
    stay: Actor | None = None
    spends: str = ""


def rest_of(me: int, scope: Scope) -> Actor:
    """What an actor is when it has nothing in hand."""
    if me >= scope.workers * scope.slots:
        return Actor("idle")
    # Where a sleeping slot looks as well, nothing tells the two apart.
    return Actor("awake" if "look" in scope.without else "asleep")


def worker_of(me: int, scope: Scope) -> int:
    """Whose slot or supervisor an actor is."""
    slots = scope.workers * scope.slots
    return me // scope.slots if me < slots else me - slots


def becomes(me: int, actor: Actor) -> Then:
    return lambda world, _: world.set(me, actor)


def either(me: int, good: Actor, bad: Actor) -> Then:
    return lambda world, ok: world.set(me, good if ok else bad)


def settling(node: int, token: Token, scope: Scope) -> Actor:
    """The first step of settling what lies in won/."""
    closed = Token(FINISHED if token.mark == GOOD else FAILED, charge=token.charge)
    if token.mark == BAD:
        return Actor("close", node, HELD, target=closed)
    if "close-last" in scope.without:
        return Actor("early", node, HELD, target=closed)
    return Actor("link" if "publish-first" in scope.without else "publish", node, HELD, target=closed)


def back(token: Token, scope: Scope, *, is_blamed: bool) -> Token:
    """What giving back makes of a token in running/: ready, or failed when too much is held against the job."""
    is_charged = is_blamed and token.mark == 1
    if is_blamed and "begun" in scope.without and token.mark == 0:
        is_charged = True
    if "charge" in scope.without:
        is_charged = False
    charge = token.charge + is_charged
    if is_charged and charge >= scope.max_attempts:
        return Token(FAILED, mark=1, charge=charge)
    return Token(READY, charge=charge)


def common(state: State, me: int, scope: Scope) -> Iterator[Option]:
    """The steps that any actor may be in: settling, giving back, waking."""
    actor = state.actors[me]
    step = _STEPS.get(actor.op)
    if step is not None:
        yield from step(state, me, actor, scope)


def _wake(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    """Lists the entry; `note` says whether it was listed before, since the token came into ready/."""
    after = actor._replace(op="close") if actor.target else rest_of(me, scope)
    if state.entry == RUNNABLE and (actor.note or "wake" in scope.without):
        yield Option("sees that somebody has woken it", becomes(me, after))
    elif state.entry in (RUNNABLE, WAITING):
        yield Option("looks for the entry", becomes(me, actor._replace(op="swap", entry=True, note=1)))
    else:
        yield Option("sees that it needs no wake", becomes(me, after))


def _swap(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    again = actor._replace(op="wake", entry=False)
    after = actor._replace(op="close", entry=False, note=0) if actor.target else rest_of(me, scope)

    def then(world: World, ok: bool) -> None:
        # The actor's knowledge of its token may have changed by the same step, so it is read from the world.
        world.set(me, (after if ok else again)._replace(ref=world.actors[me].ref))

    yield Option("wakes", then, ("entry", -1, RUNNABLE), again)


def _back(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    target, node = actor.target, actor.node
    assert target is not None
    rest = rest_of(me, scope)
    after = rest if target.place in (FAILED, CANCELLED) else Actor("wake")

    def then(world: World, ok: bool) -> None:
        if ok and actor.note == SWEPT:
            _excuse(world, state, node, target)
        world.set(me, after if ok else rest)

    if actor.ref == LANDED:
        yield Option(f"finds job {node} where it was to go", becomes(me, after))
    elif target.place in (READY, BLOCKED) and not state.job & HAS_READY:
        yield from _bin(me, node)
    else:
        yield Option(f"gives job {node} back: {target.place}", then, ("token", node, target))


def _excuse(world: World, state: State, node: int, target: Token) -> None:
    """An attempt that began after its sweeper had looked, and has died since, is not charged (see README.md)."""
    token = state.tokens[node]
    is_alive = any(
        actor.node == node and actor.ref == HELD and actor.op in ("exec", "commit") for actor in state.actors
    )
    if token.mark == BEGUN and target.charge == token.charge and not is_alive:
        world.killed[node] = max(0, world.killed[node] - 1)


def _bin(me: int, node: int) -> Iterator[Option]:
    def then(world: World, ok: bool) -> None:
        world.set(me, rest_of(me, world.scope))

    yield Option(f"drops job {node}, which is deleted", then, ("token", node, Token(TRASH)))


def _publish(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    node = actor.node
    follows = "done" if node == scope.root else "unlatch"
    if "publish-first" in scope.without:
        follows = "close"

    def then(world: World, ok: bool) -> None:
        if actor.ref == HELD:
            world.publish(node, is_current=True)
        world.set(me, actor._replace(op=follows))

    yield Option(f"gives the file of job {node} its final name", then)


def _link(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    yield Option("goes on", becomes(me, actor._replace(op="done" if actor.node == scope.root else "unlatch")))


def _unlatch(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    def then(world: World, ok: bool) -> None:
        if world.latch > 0:
            world.latch &= ~(1 << actor.node)
        world.set(me, actor._replace(op="rmdir"))

    yield Option(f"unlinks the latch entry of job {actor.node}", then)


def _rmdir(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    was_there = state.latch >= 0

    def then(world: World, ok: bool) -> None:
        is_empty = world.latch <= 0 if was_there else "missing" not in scope.without
        if world.latch == 0:
            world.latch = -1
        world.set(me, actor._replace(op="unblock" if is_empty else "close"))

    yield Option("tries to remove the latch", then)


def _unblock(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    root = scope.root
    token = state.tokens[root]
    if token.place == BLOCKED and state.job & HAS_READY:

        def then(world: World, ok: bool) -> None:
            world.move(root, Token(READY, charge=token.charge))
            world.set(me, actor._replace(op="wake", ref=world.actors[me].ref))

        yield Option("unblocks the parent", then)
        if "second-look" in scope.without:

            def fooled(world: World, ok: bool) -> None:
                world.move(root, Token(READY, charge=token.charge))
                world.set(me, actor._replace(op="close", ref=world.actors[me].ref))

            yield Option("unblocks the parent, and is told that it did not", fooled, spends="lies")
    elif token.place == READY and "follow-up" not in scope.without:
        yield Option("finds the parent ready", becomes(me, actor._replace(op="wake")))
    else:
        yield Option("finds the parent further on", becomes(me, actor._replace(op="close")))


def _done(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    yield Option("looks for the entry", becomes(me, actor._replace(op="finish", entry=True)))


def _finish(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    again = actor._replace(op="done", entry=False)

    def then(world: World, ok: bool) -> None:
        world.set(me, again._replace(op="close" if ok else "done", ref=world.actors[me].ref))

    yield Option("moves the entry to done/", then, ("entry", -1, DONE), again)


def _close(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    target, node = actor.target, actor.node
    assert target is not None
    if "publish-first" in scope.without and actor.note == 0 and target.place == FINISHED and actor.ref == HELD:
        yield Option("remembers the files", becomes(me, actor._replace(op="publish", note=1)))
    elif not state.job & HAS_REST:
        yield from _bin(me, node)
    else:
        yield Option(f"closes job {node}: {target.place}", becomes(me, rest_of(me, scope)), ("token", node, target))


def _early(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    """Without the rule that closing comes last: it comes first, and the rest after it."""
    target, node = actor.target, actor.node
    assert target is not None

    def then(world: World, ok: bool) -> None:
        world.publish(node, is_current=True)
        world.set(me, actor._replace(op="done" if node == scope.root else "unlatch", ref=LANDED))

    yield Option(f"closes job {node} first", then, ("token", node, target))


def _sweep_up(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    """Cancels what waits, until a look finds nothing; then goes on to the step that `note` names."""
    left = [node for node, token in enumerate(state.tokens) if token.place in (BLOCKED, READY)]
    for node in left:
        token = state.tokens[node]
        target = Token(CANCELLED, charge=token.charge)
        yield Option(f"takes job {node} out of {token.place}/", _sweeps(me, actor, node, target))
    if not left:
        after = Actor(AFTER_SWEEP[actor.note]) if actor.note else rest_of(me, scope)
        yield Option("finds nothing that waits", becomes(me, after))


def _sweeps(me: int, actor: Actor, node: int, target: Token) -> Then:
    # What the listing shows may have moved before the rename; then the next look shows it where it is.
    def then(world: World, ok: bool) -> None:
        world.move(node, target)
        world.set(me, actor)

    return then


def settled_mind(actor: Actor, me: int, world: World) -> Actor:
    """An actor without the steps at which it could only find out that there is nothing to do.

    To take such steps at once changes nothing for others, and saves most of the states.
    """
    op = actor.op
    if op == "swap" and not actor.entry:
        actor, op = actor._replace(op="wake"), "wake"
    if op == "wake" and world.entry in (DONE, TRASH):
        if not actor.target:
            is_cancelled = world.entry == DONE and "cancel-back" not in world.scope.without
            return Actor("sweep up") if is_cancelled else rest_of(me, world.scope)
        actor, op = actor._replace(op="close", note=0), "close"
    elif op in ("done", "finish") and world.entry in (DONE, TRASH):
        actor, op = actor._replace(op="close", entry=False), "close"
    elif op == "finish" and not actor.entry:
        return actor._replace(op="done")
    if op == "park" and not actor.entry:
        return rest_of(me, world.scope)
    if actor.ref == HELD or (actor.ref == LANDED and op != "close" and "follow-up" not in world.scope.without):
        return actor
    if op in ("back", "claim", "close", "retry", "fail"):
        return rest_of(me, world.scope)
    return actor._replace(target=None) if op == "commit" else actor


def owes(state: State, name: int) -> list[int]:
    """The jobs whose tokens lie in a worker's folder."""
    return [node for node, token in enumerate(state.tokens) if token.place in (RUNNING, WON) and token.name == name]


AFTER_SWEEP = ("", "ask", "clear failed", "take folders")
_STEPS: dict[str, Callable[[State, int, Actor, Scope], Iterator[Option]]] = {
    "wake": _wake,
    "swap": _swap,
    "back": _back,
    "publish": _publish,
    "link": _link,
    "unlatch": _unlatch,
    "rmdir": _rmdir,
    "unblock": _unblock,
    "done": _done,
    "finish": _finish,
    "close": _close,
    "early": _early,
    "sweep up": _sweep_up,
}


def needs_wake(state: State) -> bool:
    """Whether something is ready and nobody is on the way to say so.

    The backstop may look at any time. That it does no harm where somebody else is about to wake is seen where two
    settle at once; to explore it everywhere would be twenty times the states.
    """
    is_ready = any(token.place == READY for token in state.tokens)
    return is_ready and not any(actor.op in ("unblock", "wake", "swap", "resume") for actor in state.actors)
