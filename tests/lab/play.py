"""In the guest: plays the scripts on the hosts, and writes down what was answered.

Run as `python -m tests.lab.play FILE [SCRIPT...]`. The scripts whose next step loses a reply all lose it in one restart
of the server, which takes seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.calls import Heard, Script, Step, load_scripts, truth_of, with_ranks
from tests.lab.hosts import Host, fault, host_names

_BASE = "scripts"
_START = f"""
from jobqueue.share import Share
from tests.lab.calls import Caller
caller = Caller(Share(), os.getcwd() + "/{_BASE}")
"""
# Long enough for a request to reach the server, be executed and answered into the void.
_IN_FLIGHT_S = 2.0
_DOWN_S = 1.0


class _Players:
    """A process on each host for everybody who calls: a call that hangs must not keep another script from going on."""

    def __init__(self) -> None:
        self._free: dict[str, list[Host]] = {}

    def take(self, letter: str) -> Host:
        free = self._free.setdefault(letter, [])
        if free:
            return free.pop()
        host = Host(host_names()["abc".index(letter)])
        host.do(_START)
        return host

    def give_back(self, letter: str, host: Host) -> None:
        self._free[letter].append(host)

    def close(self) -> None:
        for hosts in self._free.values():
            for host in hosts:
                host.close()


class _Performance:
    """One script on its way."""

    def __init__(self, script: Script, players: _Players, export: Path) -> None:
        self.heard: list[Heard] = []
        self._script = script
        self._players = players
        self._export = export / _BASE / script.name
        letters = {"a"}.union(*(step.hosts for step in script.steps))
        self._cast = {letter: players.take(letter) for letter in sorted(letters)}

    def go(self) -> Iterator[Callable[[], None]]:
        """Plays it; stops where a reply is to be lost, and yields how to call then."""
        self._cast["a"].do(f"caller.make_script_dir({self._script.name!r})")
        for step in self._script.steps:
            if step.is_lost:
                yield lambda step=step: self._send(step)  # type: ignore[misc]
            elif step.hosts:
                self._send(step)
            else:
                time.sleep(step.args[0])
            answers = tuple(self._cast[letter].receive() for letter in step.hosts)
            self.heard.append(Heard(answers, truth_of(self._export)))
        for letter, host in self._cast.items():
            self._players.give_back(letter, host)

    def _send(self, step: Step) -> None:
        for letter in step.hosts:
            args = [arg.replace("{who}", letter) if isinstance(arg, str) else arg for arg in step.args]
            words = ", ".join(map(repr, [self._script.name, step.call, *args]))
            self._cast[letter].send(f"caller.answer({words})")


def play(scripts: list[Script]) -> dict[str, list[Heard]]:
    """Plays scripts; what was heard, by their names."""
    export = Path(os.environ["LAB_EXPORT"])
    players = _Players()
    first = players.take("a")
    first.do(f"os.mkdir({_BASE!r})")
    players.give_back("a", first)
    performances = {}
    stopped = []
    for script in scripts:
        performance = performances[script.name] = _Performance(script, players, export)
        going = performance.go()
        if (call := next(going, None)) is not None:
            stopped.append((going, call))
    while stopped:
        with _replies_lost("host1"):
            for _, call in stopped:
                call()
            time.sleep(_IN_FLIGHT_S)
            fault("server-stop")
            time.sleep(_DOWN_S)
            fault("server-start")
        stopped = [(going, call) for going, _ in stopped if (call := next(going, None)) is not None]
    players.close()
    return {name: with_ranks(performance.heard) for name, performance in performances.items()}


@contextmanager
def _replies_lost(host: str) -> Iterator[None]:
    """While it lasts, what the server answers a host is lost."""
    fault("lose", host)
    try:
        yield
    finally:
        fault("heal", host)


def write(heard: dict[str, list[Heard]], path: Path) -> None:
    """One script a line, so that a change of one is a change of one line."""
    lines = (f"{json.dumps(name)}: {json.dumps(steps, sort_keys=True)}" for name, steps in heard.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> int:
    path, *names = sys.argv[1:]
    write(play([script for script in load_scripts() if not names or script.name in names]), Path(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
