"""Cuts the power of a guest that submits and runs jobs, boots it again, and looks what is left.

Run as `python -m tests.lab.power --share local --cuts 60`; with another kind of share it is the server's power that
goes, and the hosts' with it. The same module is the program in the guest (`work` and `check`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jobqueue
from jobqueue.layout import INDEX_FOLDERS, Entry, QueueLayout
from tests.lab.guest import POWER_CUT, SHARES, GuestSettings, python_command, run_guest
from tests.soundness import assert_sound

# What is cut is submitting and running, not the start of the programs: the clock starts at the first acknowledgement.
_EARLIEST_S, _LATEST_S = 0.2, 6.0
_JOBS = 5
_MOUNT = "/mnt/share/queue"


class Cut(NamedTuple):
    """One power cut: when, after the first acknowledgement, what was acknowledged, and what was wrong afterwards."""

    seed: int
    after_s: float
    acknowledged: list[int]
    problems: list[str]


# --- in the guest


def work() -> None:
    """Submits without end while a worker runs what is there; says which number was acknowledged."""
    jobqueue.createJobQueue(_MOUNT)
    worker = [sys.executable, "-m", "jobqueue.cli.runjobs", _MOUNT, "--slots", "1", "--poll", "0.1", "--quiet"]
    subprocess.Popen(worker)
    queue = jobqueue.JobQueue(_MOUNT)
    while True:
        root = queue.createJobRoot("command", cmd="true")
        for _ in range(_JOBS - 1):
            root.createJob("command", cmd="true")
        handle = root.activate()
        print(f"acknowledged {handle.number}", flush=True)


def check(queue_dir: str, acknowledged: list[int]) -> None:
    """Says what is wrong with what is left."""
    layout = QueueLayout(queue_dir)
    there = {
        entry.number
        for folder in INDEX_FOLDERS
        for name in os.listdir(layout.index_folder(folder))
        if (entry := Entry.parse(folder, name))
    }
    problems = [f"job {number} was acknowledged and is lost" for number in acknowledged if number not in there]
    try:
        assert_sound(queue_dir, at_rest=False, records=False)
    except AssertionError as error:
        problems.append(f"unsound: {error}")
    print(json.dumps(problems), flush=True)


# --- on this machine


def cut_once(share: str, seed: int, directory: Path) -> Cut:
    """Boots, works, cuts, boots again and checks.

    Args:
        share: ``local``, or the kind of the server's share.
        seed: of the moment of the cut.
        directory: where the disk image is made.
    """
    disk = directory / f"{share}-{seed}.img"
    disk.unlink(missing_ok=True)
    after_s = random.Random(seed).uniform(_EARLIEST_S, _LATEST_S)
    acknowledged: list[int] = []
    others: list[str] = []

    def hear(line: str) -> None:
        word, _, number = line.partition(" ")
        if word == "acknowledged":
            acknowledged.append(int(number))
        else:
            others.append(line)

    on_host = [] if share == "local" else ["onhost", "host1"]
    settings = GuestSettings(
        share=share, hosts=1, disk=disk, timeout_s=200, power_cut_s=after_s, power_cut_from="acknowledged"
    )
    status = run_guest(settings, [*on_host, *python_command("tests.lab.power", "work")], hear)
    problems = [] if status == POWER_CUT else [f"the guest ended with {status} before the cut: {others[-3:]}"]
    if not problems:
        problems = _check_again(disk, acknowledged)
    if not problems:
        disk.unlink()
    return Cut(seed, round(after_s, 2), acknowledged, problems)


def _check_again(disk: Path, acknowledged: list[int]) -> list[str]:
    """What a guest finds that has only the disk: whatever the server was, it is a local one now."""
    lines: list[str] = []
    settings = GuestSettings(share="local", hosts=0, disk=disk, timeout_s=200)
    words = ["check", _MOUNT, ",".join(map(str, acknowledged))]
    status = run_guest(settings, python_command("tests.lab.power", *words), lines.append)
    if status != 0:
        return [f"the check ended with {status}: {lines[-3:]}"]
    found: list[str] = json.loads(lines[-1])
    return found


def _drive(given: argparse.Namespace) -> int:
    cuts: list[dict[str, Any]] = []
    bad = 0
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        directory = given.keep or Path(made)
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(given.cuts):
            cut = cut_once(given.share, given.seed + number, directory)
            cuts.append(cut._asdict())
            bad += bool(cut.problems)
            print(
                f"{number + 1}/{given.cuts} {given.share} seed {cut.seed}: cut after {cut.after_s} s, "
                f"{len(cut.acknowledged)} acknowledged; {'; '.join(cut.problems) or 'sound'}",
                flush=True,
            )
            if given.json:
                given.json.write_text(json.dumps(cuts, indent=1))
    print(f"{given.cuts} power cuts, {bad} with problems.")
    return 1 if bad else 0


def main() -> int:
    if sys.argv[1:2] == ["work"]:
        work()
    if sys.argv[1:2] == ["check"]:
        check(sys.argv[2], [int(number) for number in sys.argv[3].split(",") if number])
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.lab.power", description=__doc__)
    parser.add_argument("--share", default="local", choices=["local", *SHARES])
    parser.add_argument("--cuts", type=int, default=3, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first cut; each further one counts up")
    parser.add_argument("--json", type=Path, metavar="FILE", help="receives what was found")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the disks are made; a bad one stays there")
    return _drive(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
