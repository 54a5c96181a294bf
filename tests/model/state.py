"""What a state of the model is, and what each call on the share does to it.

A state holds no counters of moves. A name that was never used before can be spelled only by someone who saw it: so
what an actor knows of a name is either good (`HELD`), or stale for ever. That is all that MOVE and K in the names are
for, and it keeps the number of states finite.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

# Where a token can be. The last two are those of a job that is deleted.
BLOCKED, READY, RUNNING, WON = "blocked", "ready", "running", "won"
FINISHED, FAILED, CANCELLED, TRASH, GONE = "finished", "failed", "cancelled", "trash", "gone"
CLOSED = (FINISHED, FAILED, CANCELLED)
# Where the entry can be, besides TRASH.
RUNNABLE, WAITING, HELD_BACK, DONE = "runnable", "waiting", "held", "done"

# What an actor knows of a token's name: it is the token's; it is that which the actor wanted to give it; it was moved
# and the attempt charged; it was moved, and nothing was charged to the attempt.
HELD, LANDED, CHARGED, STALE = 3, 2, 1, 0

# Marks of a token: of one that runs, how far its attempt is; of one that is won, success; of one that failed, why.
NEW, BEGUN, PARDONED = 0, 1, 2
BAD, GOOD = 0, 1
ERROR, DEATHS = 0, 1

# A worker's folder: running/ is there, won/ is there, `fenced` is there; without the rmdir: nobody looks at it again.
HAS_RUNNING, HAS_WON, FENCED, FORGOTTEN = 1, 2, 4, 8
# A job's folder: ready/ is there, blocked/ is there, the rest is there.
HAS_READY, HAS_BLOCKED, HAS_REST = 1, 2, 4

# What a returned worker still has to say of an attempt: the attempt's token may be in its old running/; it was charged;
# it has been said, and the token is to be looked for.
NOTHING, TO_PARDON, TO_PARDON_CHARGED, TO_LOOK = 0, 1, 2, 3


class BrokenInvariantError(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True)
class Scope:
    """How much is explored: who takes part, how often what may happen, and which rules are taken out."""

    workers: int = 2
    slots: int = 1
    leaves: int = 1
    sweepers: int = 1
    max_attempts: int = 2
    deaths: int = 0
    suspicions: int = 0
    ghosts: int = 0
    lies: int = 0
    errors: int = 0
    retries: int = 0
    holds: int = 0
    priorities: int = 0
    cancels: int = 0
    deletes: int = 0
    without: frozenset[str] = frozenset()

    @property
    def root(self) -> int:
        return self.leaves


SIZES = ("workers", "slots", "leaves", "sweepers", "max_attempts")
BUDGETS = tuple(field.name for field in fields(Scope) if field.name not in (*SIZES, "without"))


class Token(NamedTuple):
    """Where a token is, of which worker's name and slot's number, its mark, and the charges not taken back."""

    place: str
    name: int = -1
    slot: int = -1
    mark: int = 0
    charge: int = 0


class Actor(NamedTuple):
    """A slot, a supervisor or a person: what it is about to do, and what it knows.

    Attributes:
        op: the step that comes next.
        node: the job that it is about.
        ref: what it knows of that job's token.
        entry: whether it knows the entry's name.
        target: what it wants to make of the token.
        number: of a slot: its number; of a supervisor: the next number that it gives.
        note: one more thing to remember, by `op`.
    """

    op: str
    node: int = -1
    ref: int = STALE
    entry: bool = False
    target: Token | None = None
    number: int = 0
    note: int = 0


class State(NamedTuple):
    """Everything on the share, what each actor knows, what is under way, and what has been spent."""

    tokens: tuple[Token, ...]
    finals: tuple[int, ...]  # by job, whose file has the final name: nobody's, the token's attempt, a superseded one's
    latch: int  # a bit for each sub-job in it; -1: it is not there
    entry: str
    job: int  # HAS_READY and so on
    workers: tuple[int, ...]  # by name: HAS_RUNNING and so on
    names: tuple[int, ...]  # by worker: its name; it is a multiple of workers away from the one before
    actors: tuple[Actor, ...]
    asked: tuple[str, ...]  # by worker: what is asked in its inbox
    due: tuple[tuple[int, ...], ...]  # by worker and job: NOTHING ... TO_LOOK
    unjust: tuple[int, ...]  # by job: how many of what is charged are not deaths, and can still be taken back
    killed: tuple[int, ...]  # by job: deaths under it, since it was retried
    ghosts: frozenset[tuple[str, int, Token | str]]
    used: tuple[int, ...]


NOBODYS, CURRENT, SUPERSEDED = 0, 1, 2


def start(scope: Scope) -> State:
    """A hierarchy that was just published, and workers with nothing to do."""
    nodes = scope.leaves + 1
    zeros = (0,) * nodes
    names = scope.workers * (1 + scope.suspicions)
    slots = tuple(Actor("asleep", number=number) for number in range(scope.slots)) * scope.workers
    rests = (Actor("idle", number=scope.slots),) * scope.workers + (Actor("idle"),)
    return State(
        tokens=(Token(READY),) * scope.leaves + (Token(BLOCKED if scope.leaves else READY),),
        finals=zeros,
        latch=(1 << scope.leaves) - 1 if scope.leaves else -1,
        entry=RUNNABLE,
        job=HAS_READY | HAS_BLOCKED | HAS_REST,
        workers=(HAS_RUNNING | HAS_WON,) * names,
        names=tuple(range(scope.workers)),
        actors=slots + rests,
        asked=("",) * scope.workers,
        due=(zeros,) * scope.workers,
        unjust=zeros,
        killed=zeros,
        ghosts=frozenset(),
        used=(0,) * len(BUDGETS),
    )


class World:
    """A state that is being changed by one step.

    Args:
        state: where the step begins.
        scope: what is explored.
    """

    def __init__(self, state: State, scope: Scope) -> None:
        self.scope = scope
        self.tokens = list(state.tokens)
        self.finals = list(state.finals)
        self.latch = state.latch
        self.entry = state.entry
        self.job = state.job
        self.workers = list(state.workers)
        self.names = list(state.names)
        self.actors = list(state.actors)
        self.asked = list(state.asked)
        self.due = list(state.due)
        self.unjust = list(state.unjust)
        self.killed = list(state.killed)
        self.ghosts = state.ghosts
        self.used = state.used

    def frozen(self) -> State:
        return State(
            tuple(self.tokens), tuple(self.finals), self.latch, self.entry, self.job, tuple(self.workers),
            tuple(self.names), tuple(self.actors), tuple(self.asked), tuple(self.due),
            tuple(self.unjust), tuple(self.killed), self.ghosts, self.used,
        )  # fmt: skip

    def spend(self, budget: str) -> None:
        at = BUDGETS.index(budget)
        self.used = (*self.used[:at], self.used[at] + 1, *self.used[at + 1 :])

    def set_due(self, worker: int, node: int, value: int) -> None:
        due = self.due[worker]
        self.due[worker] = (*due[:node], value, *due[node + 1 :])

    # --- calls ---------------------------------------------------------------------------------------------------

    def can_land(self, target: Token) -> bool:
        """Whether the folder that a token is to go to is there."""
        if target.place == RUNNING:
            return bool(self.workers[target.name] & HAS_RUNNING)
        if target.place == WON:
            return bool(self.workers[target.name] & HAS_WON)
        if target.place == READY:
            return bool(self.job & HAS_READY)
        if target.place == BLOCKED:
            return bool(self.job & HAS_BLOCKED)
        return target.place == TRASH or bool(self.job & HAS_REST)

    def move(self, node: int, target: Token) -> bool:
        """One rename of a token, by somebody who knows its name; whether its target's folder was there."""
        before = self.tokens[node]
        if not self.can_land(target):
            return False
        self._check_move(node, before, target)
        is_charged = before.place == RUNNING and target.charge > before.charge
        if is_charged:
            self._charge(node, before)
        if target.place == RUNNING and self.finals[node] == CURRENT:
            self.finals[node] = SUPERSEDED
        self.tokens[node] = target
        is_forgiven = is_charged and before.mark == PARDONED
        for at, actor in enumerate(self.actors):
            if actor.node == node and actor.ref >= LANDED:
                self.actors[at] = actor._replace(ref=self._knows_now(actor, target, is_charged=is_charged))
        for worker, due in enumerate(self.due):
            if due[node] == TO_PARDON:
                self.set_due(worker, node, TO_PARDON_CHARGED if is_charged else NOTHING)
        if before.place == FAILED and target.place in (READY, BLOCKED) and not target.charge:
            self._forget_charges(node)
        # A rename that is under way finds its source gone, for good.
        self.ghosts = frozenset(ghost for ghost in self.ghosts if ghost[1] != node)
        if is_forgiven:
            # The pardon came between the sweeper's look and its rename.
            self.forgive(node)
        return True

    def forget_what_is_moot(self) -> None:
        """Of a job whose result stands, or that is gone, nobody asks any more what was held against it.

        Nor does a returned worker look for a job again that it finds where it is not failed: to look as early as may
        be is the worst case, since whoever decides later has seen what it said.
        """
        for node, token in enumerate(self.tokens):
            is_over = token.place in (FINISHED, CANCELLED, TRASH, GONE) or (token.place == WON and token.mark == GOOD)
            if is_over:
                self.unjust[node] = self.killed[node] = 0
            for worker, due in enumerate(self.due):
                if due[node] and (is_over or (due[node] == TO_LOOK and token.place in (READY, BLOCKED, WON))):
                    self.set_due(worker, node, NOTHING)
            if is_over:
                for at, actor in enumerate(self.actors):
                    if actor.node == node and actor.ref == CHARGED:
                        self.actors[at] = actor._replace(ref=STALE)

    def forgive(self, node: int) -> None:
        """One charge less counts. All decide by the difference, so the model keeps only that."""
        less = self.tokens[node].charge - 1
        self.tokens[node] = self.tokens[node]._replace(charge=less)
        for at, actor in enumerate(self.actors):
            if actor.node == node and actor.target and actor.ref >= LANDED:
                target = actor.target._replace(charge=actor.target.charge - 1)
                self.actors[at] = actor._replace(target=target)
        self.ghosts = frozenset(
            (kind, at, to._replace(charge=to.charge - 1)) if at == node and isinstance(to, Token) else (kind, at, to)
            for kind, at, to in self.ghosts
        )

    def _knows_now(self, actor: Actor, target: Token, *, is_charged: bool) -> int:
        if actor.ref == HELD and actor.target == target:
            return LANDED
        return CHARGED if is_charged and actor.op in ("exec", "commit") else STALE

    def _charge(self, node: int, before: Token) -> None:
        """Keeps the truth about what is charged."""
        if before.mark == PARDONED:
            return
        is_alive = any(
            actor.node == node and actor.ref == HELD and actor.op in ("exec", "commit") for actor in self.actors
        )
        self.unjust[node] += is_alive or any(due[node] == TO_PARDON for due in self.due)

    def _check_move(self, node: int, before: Token, target: Token) -> None:
        if target.place == RUNNING:
            if node == self.scope.root:
                for leaf in range(self.scope.leaves):
                    child = self.tokens[leaf]
                    if not (child.place == FINISHED or (child.place == WON and child.mark == GOOD)):
                        raise BrokenInvariantError(f"the parent begins while job {leaf} is {child.place}")
                    if self.finals[leaf] != CURRENT:
                        raise BrokenInvariantError(f"the parent begins before job {leaf} is published")
            if self.killed[node] >= self.scope.max_attempts:
                raise BrokenInvariantError(f"job {node} is taken up after {self.killed[node]} deaths under it")
        stood = before.place == FINISHED or (before.place == WON and before.mark == GOOD)
        if stood and target.place not in (FINISHED, TRASH, GONE):
            raise BrokenInvariantError(f"the result of job {node}, which stood, goes to {target.place}")

    def move_entry(self, folder: str) -> None:
        """One rename of the entry, by somebody who knows its name."""
        self.entry = folder
        for at, actor in enumerate(self.actors):
            if actor.entry and "swap" not in self.scope.without:
                self.actors[at] = actor._replace(entry=False)
        self.ghosts = frozenset(ghost for ghost in self.ghosts if ghost[0] != "entry")

    def publish(self, node: int, *, is_current: bool) -> None:
        """An attempt's file gets its final name; nothing happens where it has it already."""
        if is_current:
            self.finals[node] = CURRENT
        else:
            self.finals[node] = SUPERSEDED

    # --- what happens to actors ----------------------------------------------------------------------------------

    def set(self, me: int, actor: Actor) -> None:
        self.actors[me] = actor._replace(number=self.actors[me].number)

    def forgive_later(self, worker: int, actor: Actor) -> None:
        """A worker that lives has lost an attempt: it has something to say of it."""
        if actor.op not in ("exec", "commit"):
            return
        node = actor.node
        if actor.ref == CHARGED or self.due[worker][node] == TO_PARDON_CHARGED:
            # Its journal is open, so it says so before it does anything else.
            self.pardon(worker, node)
        if actor.ref == HELD:
            self.set_due(worker, node, TO_PARDON)

    def pardon(self, worker: int, node: int) -> None:
        """A worker says that an attempt for which its job was charged has killed nobody; then it looks for the job."""
        self.forgive(node)
        self.unjust[node] -= 1
        self.set_due(worker, node, TO_LOOK)

    def lose(self, actor: Actor) -> None:
        """A process dies: what is charged to what it ran is a death now."""
        if actor.op in ("exec", "commit"):
            if actor.ref == HELD:
                self.killed[actor.node] += 1
            elif actor.ref == CHARGED:
                self.unjust[actor.node] -= 1
                self.killed[actor.node] += 1

    def _forget_charges(self, node: int) -> None:
        """A person's retry: nothing is held against the job, and nothing is to be taken back."""
        self.unjust[node] = self.killed[node] = 0
        for at, actor in enumerate(self.actors):
            if actor.node == node and actor.ref == CHARGED:
                self.actors[at] = actor._replace(ref=STALE)
        for worker in range(self.scope.workers):
            self.set_due(worker, node, NOTHING)
