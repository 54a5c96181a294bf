"""Lets a few actors make their calls on the share in every order that can make a difference.

Each actor runs in a thread of its own and stops before each of its calls; one at a time is let go. All orders are
tried, depth first, from the same queue each time. Of orders that differ only in calls that have nothing to do with
one another
one is tried. Source: C. Flanagan, P. Godefroid, Dynamic Partial-Order Reduction for Model Checking Software, POPL 2005,
with sleep sets.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.support_share import Call, WatchedShare

Actor = Callable[[], Any]
# What acts on an open file; it goes with the call that has opened it.
_ON_DESCRIPTORS = frozenset(
    {"close", "write", "pread", "fsync", "fstat", "names_bit_by_bit", "sync_file_system", "utime"}
)


class Touch(NamedTuple):
    """What a call has to do with: names that it relies on or sets, directories that it lists or changes."""

    uses: frozenset[str]
    sets: frozenset[str]
    lists: frozenset[str]
    changes: frozenset[str]

    @staticmethod
    def of(call: Call) -> Touch:
        paths = [str(path) for path in call.args[:2] if isinstance(path, str)]
        parents = {os.path.dirname(path) for path in paths}
        if (
            call.name == "rename"
            or call.name in ("mkdir", "unlink", "symlink")
            or (call.writes and call.name == "open")
        ):
            names = paths if call.name == "rename" else paths[-1:] if call.name == "symlink" else paths[:1]
            return Touch(frozenset(parents), frozenset(names), frozenset(), frozenset(parents))
        path = frozenset(paths[:1])
        if call.name == "rmdir":
            return Touch(frozenset(), path, path, frozenset(parents))
        return Touch(path, frozenset(), path, frozenset())

    def matters_to(self, other: Touch) -> bool:
        return bool(
            self.sets & (other.sets | other.uses)
            or other.sets & self.uses
            or self.lists & other.changes
            or other.lists & self.changes
        )


# Who goes on, given how many steps were made and who could go on with what; None: this order needs no end.
Choose = Callable[[int, dict[int, Touch]], int | None]


class _Thread(threading.Thread):
    """An actor on stage."""

    def __init__(self, actor: Actor, arrived: threading.Semaphore) -> None:
        super().__init__(daemon=True)
        self.pending: Call | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_free = False
        self._actor = actor
        self._arrived = arrived
        self._go = threading.Semaphore(0)

    def run(self) -> None:
        try:
            self.stop_before(Call("begin", ()))
            self.result = self._actor()
        except BaseException as error:
            self.error = error
        self.pending = None
        self._arrived.release()

    def stop_before(self, call: Call) -> None:
        """Called by the actor itself: waits until it may make this call."""
        if self.is_free:
            return
        self.pending = call
        self._arrived.release()
        self._go.acquire()

    def let_go(self) -> None:
        self._go.release()


class SteppedShare(WatchedShare):
    """The share of an actor; off stage it is like any other."""

    def on_call(self, call: Call, do: Callable[[], Any], /) -> Any:
        thread = threading.current_thread()
        if isinstance(thread, _Thread) and call.name not in _ON_DESCRIPTORS:
            thread.stop_before(call)
        return do()


@dataclass
class _Choice:
    """One step of an order.

    Attributes:
        pending: who could go on, with which call.
        asleep: whom it makes no difference to let go on here.
        chosen: who went on.
        wanted: who is to be tried here, since a later call of his has to do with this step.
        tried: who was tried.
    """

    pending: dict[int, Touch]
    asleep: dict[int, Touch]
    chosen: int = -1
    wanted: set[int] = field(default_factory=set)
    tried: list[int] = field(default_factory=list)

    def choose_next(self) -> bool:
        """Chooses who is to be tried next here; ``False`` if nobody is left."""
        left = sorted(self.wanted - self.asleep.keys() - set(self.tried))
        if left:
            self.chosen = left[0]
        return bool(left)


class Play(NamedTuple):
    """What is played in a queue: the actors, and what holds at the end, given what they returned."""

    actors: Sequence[Actor]
    check: Callable[[list[Any]], None]


class Orders:
    """All orders of one play.

    Args:
        template: the queue to begin with.
        stage: where copies of it are made, one after the other.
        limit: more orders than this are too many for a test.
    """

    def __init__(self, template: Path, stage: Path, limit: int = 20_000) -> None:
        self.count = 0
        self._template = template
        self._stage = stage / "queue"
        self._limit = limit
        self._choices: list[_Choice] = []
        self._trace: list[str] = []

    def try_all(self, write: Callable[[Path], Play]) -> int:
        """Plays what ``write`` makes of a fresh queue, in all orders; how many there were.

        Raises:
            AssertionError: an actor failed, or the check did; says in which order.
        """
        while True:
            assert self.count < self._limit, f"more than {self._limit} orders"
            self._play_once(write)
            while self._choices:
                last = self._choices[-1]
                last.tried.append(last.chosen)
                if last.choose_next():
                    break
                self._choices.pop()
            else:
                assert self.count > 1, "there is only one order, so there is no race"
                return self.count

    def try_some(self, write: Callable[[Path], Play], count: int, *, seed: int = 0) -> None:
        """The same with ``count`` orders by chance, for plays that have too many."""
        chance = random.Random(seed)
        for _ in range(count):
            self._play_once(write, lambda _, actors: chance.choice(sorted(actors)))

    def _play_once(self, write: Callable[[Path], Play], choose: Choose | None = None) -> None:
        shutil.copytree(self._template, self._stage)
        play = write(self._stage)
        arrived = threading.Semaphore(0)
        threads = [_Thread(actor, arrived) for actor in play.actors]
        for thread in threads:
            thread.start()
            arrived.acquire()
        self._trace = []
        try:
            if self._let_act(threads, arrived, choose or self._choose):
                self.count += 1
                for thread in threads:
                    if thread.error is not None:
                        raise thread.error
                play.check([thread.result for thread in threads])
        except BaseException as error:
            order = "\n".join(self._trace)
            raise AssertionError(f"after {self.count} orders, in this one:\n{order}\n{error!r}") from error
        finally:
            shutil.rmtree(self._stage)

    def _let_act(self, threads: list[_Thread], arrived: threading.Semaphore, choose: Choose) -> bool:
        """Lets all actors come to their end; ``False`` if an order that makes no difference was tried already."""
        depth = 0
        while any(thread.pending for thread in threads):
            pending = {number: Touch.of(thread.pending) for number, thread in enumerate(threads) if thread.pending}
            chosen = choose(depth, pending)
            if chosen is None:
                self._end_freely(threads)
                return False
            self._trace.append(f"  {chosen}: {threads[chosen].pending}")
            threads[chosen].let_go()
            arrived.acquire()
            depth += 1
        return True

    def _choose(self, depth: int, pending: dict[int, Touch]) -> int | None:
        self._want_earlier(depth, pending)
        if depth < len(self._choices):
            assert self._choices[depth].pending == pending, "the actors do not do the same each time"
            return self._choices[depth].chosen
        choice = _Choice(pending, self._asleep_after(depth - 1))
        awake = sorted(pending.keys() - choice.asleep.keys())
        if not awake:
            return None
        choice.wanted.add(awake[0])
        choice.choose_next()
        self._choices.append(choice)
        return choice.chosen

    def _want_earlier(self, depth: int, pending: dict[int, Touch]) -> None:
        """Whoever is about to do what has to do with an earlier step of another one is to be tried there, too.

        If he sleeps there, what is looked for begins with somebody else, on whom his call depends.
        """
        for choice in self._choices[:depth]:
            done = choice.pending[choice.chosen]
            for actor, touch in pending.items():
                if actor != choice.chosen and touch.matters_to(done):
                    choice.wanted |= choice.pending.keys() if actor in choice.asleep else {actor}

    def _asleep_after(self, depth: int) -> dict[int, Touch]:
        """Whose next call was tried before the last one, and has nothing to do with it: a known order."""
        if depth < 0:
            return {}
        before = self._choices[depth]
        done = before.pending[before.chosen]
        resting = {**before.asleep, **{actor: before.pending[actor] for actor in before.tried}}
        return {actor: touch for actor, touch in resting.items() if not touch.matters_to(done)}

    @staticmethod
    def _end_freely(threads: list[_Thread]) -> None:
        for thread in threads:
            thread.is_free = True
            thread.let_go()
        for thread in threads:
            thread.join()
