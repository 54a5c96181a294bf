"""Breaks the protocol on purpose, line by line, and looks whether the tests notice: ``python -m tests.sabotage``."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from tests.sabotage.sabotages import SABOTAGES, Sabotage

ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("jobqueue", "tests", "examples", "pyproject.toml")
_LIMIT_S = 60.0
# Source: pytest's exit codes.
_PASSED, _FAILED = 0, 1


class Outcome(Enum):
    """What became of a sabotage."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    SLOW = "NOT CAUGHT WITHIN A MINUTE"
    BROKEN = "TESTS DID NOT RUN"


class Trial(NamedTuple):
    """One sabotage, tried."""

    outcome: Outcome
    seconds: float
    said: str


class StaleSabotageError(Exception):
    """The line of a sabotage is not, or not only once, in its file any more."""


def spoil(sabotage: Sabotage, root: Path) -> None:
    """Applies a sabotage to a tree.

    Raises:
        StaleSabotageError: the line is not there, or there several times.
    """
    path = root / sabotage.file
    text = path.read_text()
    if text.count(sabotage.line) != 1:
        raise StaleSabotageError(f"{sabotage.name}: {sabotage.line!r} is {text.count(sabotage.line)} times in {path}")
    path.write_text(text.replace(sabotage.line, sabotage.replacement))


def try_one(sabotage: Sabotage) -> Trial:
    """Tries a sabotage in a copy of this tree.

    Raises:
        StaleSabotageError: the line is not there, or there several times.
    """
    with tempfile.TemporaryDirectory(prefix="jobqueue-sabotage-") as directory:
        root = Path(directory)
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root / name)
        spoil(sabotage, root)
        return _run(sabotage, root)


def _run(sabotage: Sabotage, root: Path) -> Trial:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "PYTEST_"))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "--no-header",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        *sabotage.tests,
    ]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env={**ours, "PYTHONPATH": str(root), "FAULTS": "all"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return Trial(Outcome.SLOW, _LIMIT_S, "")
    said = done.stdout + done.stderr
    outcome = Outcome.BROKEN
    if done.returncode == _PASSED:
        outcome = Outcome.SURVIVED
    elif done.returncode == _FAILED and "FAILED tests/" in said:
        outcome = Outcome.CAUGHT
    return Trial(outcome, time.monotonic() - began, said)


def chosen(names: list[str], part: str | None) -> list[Sabotage]:
    """The sabotages with these names (none: all), or part N of M of them."""
    known = {sabotage.name: sabotage for sabotage in SABOTAGES}
    if unknown := sorted(set(names) - set(known)):
        raise SystemExit(f"there is no sabotage {', '.join(unknown)}; there are: {', '.join(known)}")
    found = [known[name] for name in names] if names else list(SABOTAGES)
    if part is None:
        return found
    number, _, count = part.partition("/")
    return found[int(number) - 1 :: int(count)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of the sabotages; without one: all")
    parser.add_argument("--part", metavar="N/M", help="only part N of M")
    options = parser.parse_args(arguments)
    bad = 0
    sabotages = chosen(options.names, options.part)
    for sabotage in sabotages:
        try:
            trial = try_one(sabotage)
        except StaleSabotageError as error:
            sys.stdout.write(f"{sabotage.name:32} STALE: {error}\n")
            bad += 1
            continue
        bad += trial.outcome is not Outcome.CAUGHT
        sys.stdout.write(f"{sabotage.name:32} {trial.outcome.value:10} {trial.seconds:5.1f} s  {sabotage.breaks}\n")
        if trial.outcome is Outcome.BROKEN:
            sys.stdout.write(trial.said)
        sys.stdout.flush()
    sys.stdout.write(f"{len(sabotages) - bad} of {len(sabotages)} sabotages were caught.\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
