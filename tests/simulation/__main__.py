"""Plays by chance or in all orders: ``python -m tests.simulation --seeds 0-5000``; a seed alone shows its timeline."""

from __future__ import annotations

import argparse
import sys
import time
from multiprocessing import Pool

from tests.simulation.plays import Play
from tests.simulation.world import Violation

_BLOCK = 25


def _play(seed: int) -> tuple[int, int, str]:
    """The seed, the calls that were made, and what must not be, if that was seen."""
    play = Play(seed)
    try:
        play.run()
    except Violation as violation:
        return seed, play.stage.steps, str(violation)
    return seed, play.stage.steps, ""


def _play_many(seeds: list[int], jobs: int) -> int:
    began, calls, bad = time.monotonic(), 0, []
    with Pool(jobs) as pool:
        for count, (seed, steps, violation) in enumerate(pool.imap_unordered(_play, seeds, _BLOCK), start=1):
            calls += steps
            if violation:
                bad.append(seed)
                print(f"\rseed {seed}: {violation[:300]}")
            if count % _BLOCK == 0 or count == len(seeds):
                rate = count / (time.monotonic() - began)
                words = f"\r{count}/{len(seeds)} schedules, {rate:.0f}/s, {calls / count:.0f} calls each, {len(bad)} bad"
                print(words, end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    if bad:
        print(f"to see one: python -m tests.simulation --seed {min(bad)}")
    return 1 if bad else 0


def _show(seed: int) -> int:
    play = Play(seed)
    try:
        play.run()
    except Violation:
        print(play.story())
        raise
    print(play.story())
    return 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="0-5000", help="FIRST-LAST, the last one not included")
    parser.add_argument("--seed", type=int, help="plays this one and shows its timeline")
    parser.add_argument("--jobs", type=int, default=1, help="processes to play with")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _show(arguments.seed)
    first, _, last = arguments.seeds.partition("-")
    return _play_many(list(range(int(first), int(last))), arguments.jobs)


if __name__ == "__main__":
    sys.exit(main())
