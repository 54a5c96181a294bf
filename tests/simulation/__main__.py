"""Plays a queue on a share that lies.

By chance: ``--seeds 0-5000``, and ``--seed 17`` shows the timeline of one.
In all schedules of a small scope: ``--all``, or of one play: ``--all parent``; ``--plan parent 12:w1.1,30:NO_ROOM``
shows the timeline of one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from multiprocessing import Pool

from tests.simulation.explore import PLAYS, Plan, SmallPlay, first_steps, parse, try_all_after, words
from tests.simulation.plays import Play
from tests.simulation.scene import Scene
from tests.simulation.world import Violation

_BLOCK = 25


def _play(seed: int) -> tuple[int, int, list[tuple[str, str]]]:
    """How many schedules and calls, and of each bad one how to see it and what must not be."""
    play = Play(seed)
    try:
        play.run()
    except Violation as violation:
        return 1, play.stage.steps, [(f"--seed {seed}", str(violation))]
    return 1, play.stage.steps, []


def _explore(task: tuple[str, Plan]) -> tuple[int, int, list[tuple[str, str]]]:
    name, first = task
    count, bad = 0, []
    for plan, violation in try_all_after(name, first):
        count += 1
        if violation:
            bad.append((f"--plan {name} {words(plan)}", violation))
    return count, 0, bad


def _tell(results: Iterable[tuple[int, int, list[tuple[str, str]]]], total: int, what: str) -> int:
    """Shows how it goes on, and what is bad; the exit code."""
    began, schedules, calls, bad, shown = time.monotonic(), 0, 0, 0, 0.0
    for done, (count, steps, found) in enumerate(results, start=1):
        schedules, calls, bad = schedules + count, calls + steps, bad + len(found)
        for how, violation in found:
            print(f"\n{violation[:300]}\n    python -m tests.simulation {how}", flush=True)
        now = time.monotonic()
        if now - shown > 0.5 or done == total:
            shown = now
            rate = schedules / (now - began)
            each = f", {calls / schedules:.0f} calls each" if calls else ""
            line = f"\r{done}/{total} {what}: {schedules} schedules, {rate:.0f}/s{each}, {bad} bad"
            print(line, end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return 1 if bad else 0


def _show(scene: Scene) -> int:
    code = 0
    try:
        scene.run()
    except Violation:
        code = 1
    print(scene.story())
    return code


def _part(tasks: list[tuple[str, Plan]], part: str) -> list[tuple[str, Plan]]:
    nth, _, of = part.partition("/")
    return tasks[int(nth) - 1 :: int(of)]


def main() -> int:
    """The command."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__, formatter_class=formatter)
    parser.add_argument("--seeds", default="0-5000", help="FIRST-LAST, the last one not included")
    parser.add_argument("--seed", type=int, help="shows the timeline of this one")
    parser.add_argument(
        "--all", nargs="*", choices=PLAYS, help="all schedules of these plays; of all, if none is named"
    )
    parser.add_argument("--part", default="1/1", help="with --all: only one of so many parts, as 3/10")
    parser.add_argument("--plan", nargs=2, metavar=("PLAY", "PLAN"), help="shows the timeline of this one")
    parser.add_argument("--jobs", type=int, default=1, help="processes to play with")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _show(Play(arguments.seed))
    if arguments.plan is not None:
        return _show(SmallPlay(arguments.plan[0], parse(arguments.plan[1])))
    with Pool(arguments.jobs) as pool:
        if arguments.all is not None:
            names = arguments.all or list(PLAYS)
            tasks = _part([(name, plan) for name in names for plan in first_steps(name)], arguments.part)
            return _tell(pool.imap_unordered(_explore, tasks), len(tasks), "first deviations")
        first, _, last = arguments.seeds.partition("-")
        seeds = range(int(first), int(last))
        return _tell(pool.imap_unordered(_play, seeds, _BLOCK), len(seeds), "seeds")


if __name__ == "__main__":
    sys.exit(main())
