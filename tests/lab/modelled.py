"""Whether the model share can give the answers that were heard: what a kernel did, the model must allow.

A script is played on `jobqueue.testing.ModelShare` with every switch of it set to "perhaps". Wherever the model leaves
something to chance there are two ways to go on, and all are tried that fit what was heard so far. So an answer that is
not allowed is one that no seed and no switch brings.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from jobqueue.testing import Anomalies, FakeClock, Fault, ModelCall, ModelHost, ModelServer, ModelShare, Watcher
from jobqueue.testing.anomalies import REPEATED
from jobqueue.testing.process import ModelProcess
from jobqueue.testing.server import TICK_S, Directory, File
from tests.lab.calls import Caller, Heard, Script, Step, plain_name

T = TypeVar("T")

# Which switches a kind of share may have on. Whether one is on is the first thing that is left to chance.
_PERHAPS = 0.5
_ANY = Anomalies(
    stale_missing=_PERHAPS,
    stale_present=_PERHAPS,
    blind_ticks=_PERHAPS,
    stale_replaced=_PERHAPS,
    stale_directories=_PERHAPS,
    stale_removed=_PERHAPS,
    stale_attributes=_PERHAPS,
)
SWITCHES = {
    "nfs3": ("nfs", replace(_ANY, silly_rename=True, late_silly=_PERHAPS)),
    "nfs4.2": ("nfs4", replace(_ANY, silly_rename=True, late_silly=_PERHAPS)),
    "smb": ("cifs", replace(_ANY, lingering=_PERHAPS)),
}
_BASE = "scripts"
# Of one script; all that were ever recorded take a few thousand.
_MOST_WAYS = 200_000


class _Ways(random.Random):
    """Chance that goes every way in turn: a run repeats the way of the last one up to the last place with another."""

    def __init__(self) -> None:
        super().__init__(0)
        # At each place: which way was taken, of how many.
        self._way: list[tuple[int, int]] = []
        self._place = 0

    def again(self) -> bool:
        """Starts over with the next way; whether there is one."""
        del self._way[self._place :]
        while self._way and self._way[-1][0] + 1 == self._way[-1][1]:
            self._way.pop()
        self._place = 0
        if not self._way:
            return False
        taken, count = self._way[-1]
        self._way[-1] = taken + 1, count
        return True

    def among(self, things: Sequence[T]) -> T:
        if len(things) == 1:
            return things[0]
        if self._place == len(self._way):
            self._way.append((0, len(things)))
        taken = self._way[self._place][0]
        self._place += 1
        return things[taken]

    # What the model asks for.

    def random(self) -> float:
        return self.among((0.99, 0.0))

    def choice(self, seq: Any) -> Any:
        return self.among(seq)

    def getrandbits(self, k: int, /) -> int:
        return 0

    def randint(self, a: int, b: int) -> NoReturn:
        raise AssertionError("nothing here cuts the power")


class _Lost(Watcher):
    """Lets the answer of a step be lost that is to be lost."""

    def __init__(self, ways: _Ways) -> None:
        self._ways = ways
        self.is_lost = False

    def before(self, process: ModelProcess, call: ModelCall) -> Fault | None:
        if not self.is_lost:
            return None
        faults = [None, Fault.ERROR_AFTER, Fault.ERROR_BEFORE]
        return self._ways.among([*faults, Fault.LOST_ANSWER] if call.name in REPEATED else faults)


class _Play:
    """One script on one model."""

    def __init__(self, script: Script, kind: str, ways: _Ways) -> None:
        self._script = script
        self._ways = ways
        mounted, anomalies = SWITCHES[kind]
        self._server = ModelServer(FakeClock(), ways, mounted)
        self._lost = _Lost(ways)
        self._hosts = {}
        self._callers = {}
        for letter in "abc":
            host = ModelHost(self._server, letter, anomalies, ways)
            self._hosts[letter] = host
            share = ModelShare(host, chance=ways, watcher=self._lost, name=letter)
            self._callers[letter] = Caller(share, f"/{_BASE}")
            if letter == "a":
                share.make_dir(f"/{_BASE}")
        self._callers["a"].make_script_dir(script.name)
        self._tick()

    def go(self, heard: Sequence[Heard]) -> int:
        """Plays as far as it answers what was heard; how many steps that were."""
        for number, (step, one) in enumerate(zip(self._script.steps, heard, strict=True)):
            if not step.hosts:
                self._server.clock.sleep(step.args[0])
            answers = self._answers(step)
            if _told(step, answers, self._truth()) != _told(step, one.answers, one.truth):
                return number
        return len(heard)

    def _tick(self) -> None:
        """Between two calls the server's clock may tick, or not."""
        self._server.clock.sleep(self._ways.among((2, 0)) * TICK_S)

    def _answers(self, step: Step) -> tuple[Any, ...]:
        found = {}
        self._lost.is_lost = step.is_lost
        for letter in self._ways.among(list(itertools.permutations(step.hosts))):
            self._tick()
            args = [arg.replace("{who}", letter) if isinstance(arg, str) else arg for arg in step.args]
            found[letter] = self._callers[letter].answer(self._script.name, step.call, *args)
        self._lost.is_lost = False
        return tuple(found[letter] for letter in step.hosts)

    def _truth(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._server.execute_late()

        def look(directory: Directory, prefix: str) -> None:
            for name, node in directory.entries.items():
                path = plain_name(f"{prefix}{name}")
                if isinstance(node, File):
                    found[path] = [node.content.decode(), round(self._server.changed_at(node.tick), 5)]
                else:
                    found[path] = None
                    look(node, f"{prefix}{name}/")

        top = self._server.find(f"/{_BASE}/{self._script.name}")
        assert isinstance(top, Directory)
        look(top, "")
        return found


def _told(step: Step, answers: Sequence[Any], truth: dict[str, Any]) -> Any:
    """What of a step can be compared: a time only says whether it is the one that the server has."""
    told = []
    for answer in answers:
        if isinstance(answer, dict) and "time" in answer:
            there = truth.get(step.args[0])
            told.append("the time" if there is None or there[1] == answer["time"] else "an old time")
        else:
            told.append(answer)
    return told, {path: node and node[0] for path, node in truth.items()}


def allowed(script: Script, heard: list[Heard], kind: str) -> str | None:
    """``None`` if the model can give these answers, else how far it gets.

    Args:
        script: what was called.
        heard: what each step brought.
        kind: of the share that gave them, as the lab calls it.
    """
    ways = _Ways()
    furthest = 0
    for _ in range(_MOST_WAYS):
        reached = _Play(script, kind, ways).go(heard)
        if reached == len(heard):
            return None
        furthest = max(furthest, reached)
        if not ways.again():
            step = script.steps[furthest]
            what = f"{step.who} {step.call} {step.args}: {heard[furthest].answers}, {heard[furthest].truth}"
            return f"{script.name}, step {furthest + 1} ({what}): nothing lets the model answer this"
    raise AssertionError(f"{script.name}: {_MOST_WAYS} ways are not all")
