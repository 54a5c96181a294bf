"""Runs hierarchies on a real share while hosts, server and workers fail as a seed says, and counts what came of it.

Run as `python -m tests.lab.torture --share nfs3 --seed 1 --runs 10`; run N has the seed SEED + N - 1, and `--runs 1`
with its seed repeats its schedule. A run that went wrong leaves its queue and its workers' logs below --keep. The exit
code is 1 if one did.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.lab.guest import NOT_UP, PACKAGES, SHARES, GuestSettings, missing_programs, python_command, run_guest
from tests.lab.schedule import LASTS_S

_BOOT_S = 120.0


def run_once(share: str, seed: int, directory: Path, given: argparse.Namespace) -> dict[str, Any]:
    """One run in a guest of its own; what was found, as `tests.lab.cluster` tells it."""
    out = directory / f"{share}-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    words = [
        str(out.resolve() / "found.json"),
        "--seed",
        str(seed),
        "--jobs",
        str(given.jobs),
        "--seconds",
        str(given.seconds),
    ]
    words += ["--faults", str(given.faults), "--limit", str(given.limit), "--kinds", ",".join(given.kinds)]
    words += ["--outage", str(given.outage)]
    settings = GuestSettings(share=share, hosts=3, disk=out / "disk.img", out=out, timeout_s=given.limit + _BOOT_S)
    lines: list[str] = []
    status = run_guest(settings, python_command("tests.lab.cluster", *words), lines.append)
    (out / "disk.img").unlink()
    (out / "lines").write_text("\n".join(lines))
    if status != 0:
        return {"share": share, "seed": seed, "problems": [f"the guest ended with {status}: {lines[-3:]}"]}
    found: dict[str, Any] = json.loads((out / "found.json").read_text())
    return found


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.torture", description=__doc__)
    parser.add_argument("--share", default="nfs4.2", choices=SHARES)
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--runs", type=int, default=10, metavar="N")
    parser.add_argument("--jobs", type=int, default=200, metavar="N")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a job takes at most")
    parser.add_argument(
        "--outage", type=float, default=0.0, metavar="SECONDS", help="of the server, with a queue's default settings"
    )
    parser.add_argument("--faults", type=int, default=12, metavar="N", help="in each run; 0 is a run without")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(LASTS_S), help=", ".join(LASTS_S))
    parser.add_argument("--limit", type=float, default=300.0, metavar="SECONDS", help="until a run has to be over")
    parser.add_argument("--json", type=Path, metavar="FILE", help="receives what was found")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="receives logs, and the queues of bad runs")
    given = parser.parse_args()
    if unknown := sorted(set(given.kinds) - set(LASTS_S)):
        parser.error(f"there is no fault {unknown[0]}; the faults are {', '.join(LASTS_S)}")
    return given


def main() -> int:
    given = _parse()
    if missing := missing_programs(given.share):
        sys.stderr.write(f"torture: missing {', '.join(missing)}: apt-get install {PACKAGES}\n")
        return NOT_UP
    runs: list[dict[str, Any]] = []
    bad = 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        for number in range(1, given.runs + 1):
            found = run_once(given.share, given.seed + number - 1, given.keep or Path(made), given)
            runs.append(found)
            bad += bool(found["problems"])
            print(
                f"{number}/{given.runs} {given.share} seed {found['seed']}: "
                f"{found.get('executions', 0)} executions in {found.get('took_s', 0)} s, "
                f"{found.get('false_deaths', 0)} came again; "
                f"{'; '.join(found['problems'][:3]) or 'sound'} ({time.monotonic() - started:.0f} s so far)",
                flush=True,
            )
            if given.json:
                given.json.write_text(json.dumps(runs, indent=1))
    print(f"{given.runs} runs, {bad} with problems.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
