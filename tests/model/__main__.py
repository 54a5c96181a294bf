"""`python -m tests.model`: explores one scope, shows how far it is, and prints the shortest way to what is wrong."""

from __future__ import annotations

import argparse
import sys
import time

from tests.model.search import Search
from tests.model.state import BUDGETS, SIZES, Scope

RULES = (
    "backstop", "begun", "blocked-first", "cancel-back", "charge", "close-last", "commit", "delete-fence", "follow-up",
    "look", "missing", "notice", "pardon", "publish-first", "reconcile", "rmdir", "second-look", "swap", "wake",
)  # fmt: skip


def main() -> int:
    """0: nothing is wrong; 1: something is."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    defaults = Scope()
    for name in (*SIZES, *BUDGETS):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name), metavar="N")
    parser.add_argument("--without", action="append", choices=RULES, default=[], help="takes a rule out")
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    given = vars(parser.parse_args())
    quiet, without = given.pop("quiet"), frozenset(given.pop("without"))
    began = time.monotonic()

    def progress(known: int, done: int) -> None:
        took = time.monotonic() - began
        line = f"\r{done:,} of {known:,} states looked at, {took:.0f} s, {done / took:,.0f} a second "
        print(line, end="", file=sys.stderr, flush=True)

    found = Search(Scope(**given, without=without), None if quiet else progress).run()
    if not quiet:
        print(file=sys.stderr)
    for line in found.story:
        print(line)
    took = time.monotonic() - began
    print(f"{found.states:,} states, {found.steps:,} steps, {found.good:,} at their end, {took:.1f} s")
    print(found.problem or "nothing is wrong")
    return 1 if found.problem else 0


if __name__ == "__main__":
    sys.exit(main())
