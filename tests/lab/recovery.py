"""Measures how long a job waits for its next attempt when its worker or its host has died, with default settings.

Run as `python -m tests.lab.recovery [CASE...]`; it takes about ten minutes. The seconds are those of the guest, from
the death to the first line of the job's second attempt. `measure` is the part in the guest.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import jobqueue
from tests.lab.cluster import Workers, make_queue
from tests.lab.guest import NOT_UP, PACKAGES, GuestSettings, missing_programs, python_command, run_guest
from tests.lab.hierarchy import read_log
from tests.lab.hosts import fault

T = TypeVar("T")

_POLL_S = 0.1
_LIMIT_S = 400.0
# So often the worker that is left has to have beaten, to know the other one well.
_BEATS = 8


class Case(NamedTuple):
    """What dies, where it is measured, and the seconds that are promised."""

    about: str
    share: str
    mount_options: str
    # The hosts of the worker that dies and of the one that goes on.
    hosts: tuple[str, str]
    promised_s: float


CASES = {
    "beside": Case("a worker is killed, another one is on its host", "nfs4.2", "", ("host1", "host1"), 15.0),
    "gone": Case("a host is gone, locks are proven", "nfs4.2", "", ("host1", "host2"), 45.0),
    "unproven": Case("a host is gone, locks are not proven", "nfs3", "nolock", ("host1", "host2"), 150.0),
}


# --- in the guest


def measure(case: Case) -> float:
    """The seconds from a death to the second attempt."""
    queue_dir = make_queue("queue", settings="[main]\n")
    location, log = f"{os.environ['LAB_SHARE']}/queue", Path("/run/lab/executions-queue")
    log.touch()
    # Submitted on the server, since only one job is needed.
    jobqueue.JobQueue(str(queue_dir)).createJobRoot("probe", node=0, log=str(log), seconds=3600.0).activate()
    dying, other = case.hosts
    first = Workers(location, {dying: 0})
    _wait(lambda: read_log(log))
    second = Workers(location, {other: 0})
    beats = [_Beats(path) for path in _wait(lambda: _two(list((queue_dir / "workers").glob("*/beat"))))]
    _wait(lambda: all(one.count() >= _BEATS for one in beats))
    if dying != other:
        fault("cut", dying)
        first.signal(dying, signal.SIGKILL)
    else:
        first.kill_supervisor(dying)
    died_at = time.monotonic_ns()
    said = _wait(lambda: [one for one in read_log(log) if one.attempt == 2])
    fault("heal", dying)
    second.signal(other, signal.SIGKILL)
    return (said[0].at - died_at) / 1e9


class _Beats:
    """How often a beat was seen to change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[int] = set()

    def count(self) -> int:
        self._seen.add(self._path.stat().st_mtime_ns)
        return len(self._seen)


def _two(paths: list[Path]) -> list[Path]:
    return paths if len(paths) == 2 else []


def _wait(look: Callable[[], T]) -> T:
    """What ``look`` finds, as soon as that is anything."""
    deadline = time.monotonic() + _LIMIT_S
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for has not come")
        time.sleep(_POLL_S)
    return found


# --- on this machine


def run(case: str) -> float | None:
    """Measures one case in a guest of its own; ``None`` if that did not work."""
    wanted = CASES[case]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        out = Path(made)
        settings = GuestSettings(
            share=wanted.share,
            mount_options=wanted.mount_options,
            disk=out / "disk.img",
            out=out,
            timeout_s=2 * _LIMIT_S,
        )
        words = ["measure", case, str(out / "seconds.json")]
        status = run_guest(settings, python_command("tests.lab.recovery", *words), print)
        return float(json.loads((out / "seconds.json").read_text())) if status == 0 else None


def main() -> int:
    if sys.argv[1:2] == ["measure"]:
        Path(sys.argv[3]).write_text(json.dumps(measure(CASES[sys.argv[2]])))
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.lab.recovery", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)} (default: all)")
    given = parser.parse_args()
    if unknown := sorted(set(given.cases) - set(CASES)):
        parser.error(f"there is no case {unknown[0]}; the cases are {', '.join(CASES)}")
    bad = 0
    for name in given.cases or CASES:
        case = CASES[name]
        if missing := missing_programs(case.share):
            sys.stderr.write(f"recovery: missing {', '.join(missing)}: apt-get install {PACKAGES}\n")
            return NOT_UP
        seconds = run(name)
        bad += seconds is None or seconds > case.promised_s
        told = "not measured" if seconds is None else f"{seconds:.1f} s"
        where = f"{case.share}{', ' if case.mount_options else ''}{case.mount_options}"
        print(f"{case.about} ({where}): {told}, promised {case.promised_s:.0f} s", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
