"""What people do to the hierarchy: fail, retry, hold, release, prefer, cancel, delete."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.options import Option, Then, becomes, either, owes
from tests.model.state import (
    BLOCKED,
    CANCELLED,
    DONE,
    ERROR,
    FAILED,
    HAS_BLOCKED,
    HAS_READY,
    HAS_REST,
    HELD,
    HELD_BACK,
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

# Steps that follow once nothing waits any more; see `options.AFTER_SWEEP`.
_ASK, _CLEAR, _TAKE = 1, 2, 3
_OPEN = (BLOCKED, READY, RUNNING, FAILED)


def person_options(state: State, me: int, scope: Scope) -> Iterator[Option]:
    """What a person can do next; what a person has begun, one that comes after can do again."""
    actor = state.actors[me]
    if actor.op == "idle":
        yield from _begin(state, me, scope)
    elif actor.op == "fail":
        yield from _fail(state, me, actor)
    elif actor.op == "retry":
        yield from _retry(state, me, actor, scope)
    elif actor.op == "resume":
        yield from _resume(state, me, actor)
    elif actor.op in _FOLDERS:
        yield from _entry(state, me, actor)
    elif actor.op == "ask":
        yield from _ask(state, me, actor, scope)
    elif actor.op == "clear failed":
        yield from _clear_failed(state, me)
    elif actor.op == "take folders":
        yield from _take_folders(state, me, scope)


def _begin(state: State, me: int, scope: Scope) -> Iterator[Option]:
    for node, token in enumerate(state.tokens):
        if token.place == FAILED and state.entry not in (DONE, TRASH):
            target = Token(BLOCKED if node == scope.root > 0 and "blocked-first" not in scope.without else READY)
            seen = Actor("retry", node, HELD, target=target)
            yield Option(f"wants job {node} retried", becomes(me, seen), spends="retries")
        if token.place in (BLOCKED, READY) and scope.errors and scope.retries:
            target = Token(FAILED, mark=ERROR, charge=token.charge)
            seen = Actor("fail", node, HELD, target=target)
            yield Option(f"wants job {node} to fail", becomes(me, seen), spends="errors")
    if state.entry not in (DONE, TRASH):
        if state.entry in (RUNNABLE, WAITING):
            yield Option("wants the job held", becomes(me, Actor("hold")), spends="holds")
        yield Option("wants another priority", becomes(me, Actor("prefer")), spends="priorities")
        yield Option("wants the job cancelled", becomes(me, Actor("cancel")), spends="cancels")
    if state.entry != TRASH:
        yield Option("wants the job deleted", becomes(me, Actor("delete")), spends="deletes")
    yield from _repeat(state, me, scope)


def _repeat(state: State, me: int, scope: Scope) -> Iterator[Option]:
    """What may be counted on: a hold is taken back, and what was cut short is done again."""
    if state.entry == HELD_BACK:
        yield Option("wants the job released", becomes(me, Actor("release")))
    if state.entry == WAITING and scope.retries and _needs_resume(state):
        yield Option("wants what is left of a retry done", becomes(me, Actor("resume")))
    # Without a death nobody has a reason to.
    if state.entry == DONE and scope.deaths and any(token.place in _OPEN for token in state.tokens):
        yield Option("wants the job cancelled again", becomes(me, Actor("sweep up", note=_ASK)))
    if state.entry == TRASH and scope.deaths and state.job & (HAS_READY | HAS_BLOCKED):
        yield Option("wants the job deleted again", becomes(me, Actor("sweep up", note=_TAKE)))


def _needs_resume(state: State) -> bool:
    """Whether a parent that waits for nothing is blocked, and nobody is on the way to unblock it."""
    is_blocked = state.tokens[-1].place == BLOCKED and state.latch < 0
    return is_blocked and not any(actor.op in ("publish", "unlatch", "rmdir", "unblock") for actor in state.actors)


def _fail(state: State, me: int, actor: Actor) -> Iterator[Option]:
    assert actor.target is not None
    yield Option(f"makes job {actor.node} fail", becomes(me, Actor("idle")), ("token", actor.node, actor.target))


def _retry(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    node, target = actor.node, actor.target
    assert target is not None

    after = Actor("wake" if target.place == READY else "resume")
    if actor.ref == LANDED:
        yield Option(f"finds job {node} retried", becomes(me, after))
    else:
        yield Option(f"retries job {node}", either(me, after, Actor("idle")), ("token", node, target))


def _resume(state: State, me: int, actor: Actor) -> Iterator[Option]:
    """A job that has come back to blocked/ goes on if its latch holds nothing."""
    root = len(state.tokens) - 1
    token = state.tokens[root]
    if state.latch > 0 or token.place not in (BLOCKED, READY) or not state.job & HAS_READY:
        # A retry of others in the same go may still be unwoken.
        yield Option("leaves the parent where it is", becomes(me, Actor("wake")))
        return

    def then(world: World, ok: bool) -> None:
        if token.place == BLOCKED:
            world.move(root, Token(READY, charge=token.charge))
        if world.latch == 0:
            world.latch = -1
        world.set(me, Actor("wake"))

    yield Option("lets the parent go on, which waits for nothing", then)


def _entry(state: State, me: int, actor: Actor) -> Iterator[Option]:
    """One move of the entry, done over until it is where it is to be."""
    folder, after = _FOLDERS[actor.op]
    target = folder or state.entry
    if state.entry in (DONE, TRASH) and actor.op not in ("cancel", "delete"):
        yield Option("finds the job ended", becomes(me, Actor("idle")))
    elif state.entry in (folder, TRASH):
        yield Option("finds the entry there", becomes(me, Actor("idle") if state.entry == TRASH != folder else after))
    elif not actor.entry:
        yield Option("looks for the entry", becomes(me, actor._replace(entry=True)))
    else:

        def then(world: World, ok: bool) -> None:
            world.set(me, after if ok else actor._replace(entry=False))

        yield Option(f"moves the entry: {actor.op}", then, ("entry", -1, target), actor._replace(entry=False))


def _ask(state: State, me: int, actor: Actor, scope: Scope) -> Iterator[Option]:
    """Requests to all who run something of it, and where it is deleted to those who settle something, too."""
    action = "delete" if state.entry == TRASH else "cancel"
    after = Actor("idle") if action == "delete" else Actor("sweep up", note=_CLEAR)

    def then(world: World, ok: bool) -> None:
        for worker, name in enumerate(world.names):
            if any(action == "delete" or world.tokens[node].place == RUNNING for node in owes(state, name)):
                world.asked[worker] = action
        world.set(me, after)

    yield Option("asks the workers to end it", then)


def _clear_failed(state: State, me: int) -> Iterator[Option]:
    left = [node for node, token in enumerate(state.tokens) if token.place == FAILED]
    for node in left:
        yield Option(f"cancels job {node}, which has failed", _cancels(me, node, Token(CANCELLED)))
    if not left:
        yield Option("has cancelled all", becomes(me, Actor("idle")))


def _cancels(me: int, node: int, target: Token) -> Then:
    def then(world: World, ok: bool) -> None:
        world.move(node, target)

    return then


def _take_folders(state: State, me: int, scope: Scope) -> Iterator[Option]:
    """The fence of deleting: rmdir of blocked/ and ready/, which fails while a token lies there."""
    if "delete-fence" in scope.without:
        yield Option("goes on without removing ready/", _asks_and_removes(me))
        return
    if any(token.place in (BLOCKED, READY) for token in state.tokens):
        yield Option("finds that something has come in", becomes(me, Actor("sweep up", note=_TAKE)))
        return
    for bit, name in ((HAS_BLOCKED, "blocked"), (HAS_READY, "ready")):
        if state.job & bit:
            yield Option(f"removes {name}/", _removes(bit))
            return
    yield Option("has removed both", becomes(me, Actor("ask")))


def _removes(bit: int) -> Then:
    def then(world: World, ok: bool) -> None:
        world.job &= ~bit

    return then


def _asks_and_removes(me: int) -> Then:
    def then(world: World, ok: bool) -> None:
        if not any(token.place in (RUNNING, WON) for token in world.tokens):
            world.job &= ~HAS_REST
        world.set(me, Actor("idle"))

    return then


_FOLDERS: dict[str, tuple[str, Actor]] = {
    "hold": (HELD_BACK, Actor("idle")),
    "release": (RUNNABLE, Actor("idle")),
    "prefer": ("", Actor("idle")),
    "cancel": (DONE, Actor("sweep up", note=_ASK)),
    "delete": (TRASH, Actor("sweep up", note=_TAKE)),
}
