"""Cuts the power of a guest that submits and runs jobs, boots it again, and looks what is left.

Run as `python -m tests.lab.power --share local --cuts 60`; with another kind of share it is the server's power that
goes, and the hosts' with it. The same module is the program in the guest (`work` and `check`).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jobqueue
from jobqueue.hierarchy import Hierarchy
from jobqueue.layout import QueueLayout
from jobqueue.names import INDEX_FOLDERS, ClosedToken, Entry
from jobqueue.share import Share
from tests.lab.frames import Frames
from tests.lab.guest import POWER_CUT, SHARES, GuestSettings, python_command, run_guest
from tests.lab.hierarchy import PROBE, frame_name
from tests.soundness import assert_sound

# What is cut is submitting and running, not the start of the programs: the clock starts at the first acknowledgement.
_EARLIEST_S, _LATEST_S = 0.2, 6.0
_JOBS = 4
_MOST_RUNNABLE = 3
_MOUNT = "/mnt/share/queue"
_FRAMES = "/mnt/share/frames"
# What runs says so here, which is no share; nobody asks for it.
_LOG = "/run/lab/executions"
# So short that the worker which was cut is found dead soon.
_SETTINGS = "[main]\nbeat = 0.2\ndeadAfter = 3.0\n"
_FINISH_S = 240.0


class Cut(NamedTuple):
    """One power cut.

    Attributes:
        seed: of the moment.
        after_s: when, after the first acknowledgement.
        acknowledged: the jobs that were, before it.
        repaired: what `check --repair` found, and mended.
        problems: what was wrong afterwards.
    """

    seed: int
    after_s: float
    acknowledged: list[int]
    repaired: list[str]
    problems: list[str]


# --- in the guest


def work() -> None:
    """Submits without end while a worker runs what is there; says which number was acknowledged."""
    os.umask(0o022)
    jobqueue.createJobQueue(_MOUNT)
    Path(_MOUNT, "procs", "probe.py").write_text(PROBE)
    config = Path(_MOUNT, "queue.cfg")
    config.write_text(config.read_text().replace("[main]\n", _SETTINGS))
    os.mkdir(_FRAMES)
    # What was there before is not what is tried.
    os.sync()
    worker = [sys.executable, "-m", "jobqueue.cli.runjobs", _MOUNT, "--slots", "1", "--poll", "0.1", "--quiet"]
    subprocess.Popen(worker)
    queue = jobqueue.JobQueue(_MOUNT)
    runnable = QueueLayout(_MOUNT).index_folder("runnable")
    for first in itertools.count(step=_JOBS):
        root = queue.createJobRoot("probe", **_params(first))
        for name in range(first + 1, first + _JOBS):
            root.createJob("probe", **_params(name))
        handle = root.activate()
        print(f"acknowledged {handle.number}", flush=True)
        # What runs is to be cut, too, and not only what is submitted.
        while len(os.listdir(runnable)) > _MOST_RUNNABLE:
            time.sleep(0.01)


def _params(name: int) -> dict[str, Any]:
    frame = f"{_FRAMES}/{frame_name(name)}" if name % 2 else ""
    return {"node": name, "log": _LOG, "frame": frame}


def check(queue_dir: str, acknowledged: list[int]) -> None:
    """Repairs what is left, has a worker finish it, and says what is wrong."""
    frames = Frames(Path(_FRAMES))
    frames.look()
    problems = [
        f"job {number} was acknowledged and is lost" for number in acknowledged if number not in _jobs(queue_dir)
    ]
    repaired = _repair(queue_dir)
    if _repair(queue_dir):
        problems.append("repairing again found something again")
    worker = [sys.executable, "-m", "jobqueue.cli.runjobs", queue_dir, "--slots", "2", "--poll", "0.2"]
    try:
        subprocess.run([*worker, "--exit-when-empty"], check=True, timeout=_FINISH_S)
        folders = assert_sound(queue_dir, records=False)
    except (AssertionError, subprocess.SubprocessError) as error:
        problems.append(f"unsound: {error}")
    else:
        problems += [f"job {job} has {names}" for job, names in folders.items() if set(names) != {"finished"}]
        problems += frames.problems(_winners(queue_dir, sorted(folders)))
    Path(os.environ["LAB_OUT"], "found.json").write_text(json.dumps([repaired, problems]))


def _jobs(queue_dir: str) -> set[int]:
    layout = QueueLayout(queue_dir)
    return {
        entry.number
        for folder in INDEX_FOLDERS
        for name in os.listdir(layout.index_folder(folder))
        if (entry := Entry.parse(folder, name))
    }


def _repair(queue_dir: str) -> list[str]:
    """Repairs; the kinds of what was wrong.

    Raises:
        subprocess.SubprocessError: something still is.
    """
    command = [sys.executable, "-m", "jobqueue", "check", "--repair", "--json", "--queue", queue_dir]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return [str(finding["kind"]) for finding in json.loads(done.stdout) if not finding["note"]]


def _winners(queue_dir: str, numbers: list[int]) -> dict[str, int]:
    """For each published file the attempt whose result counts."""
    found = {}
    for number in numbers:
        job = QueueLayout(queue_dir).job(number)
        tokens = {token.node: token for name in os.listdir(job.finished) if (token := ClosedToken.parse(name))}
        for node in Hierarchy(Share(), job.hierarchy).nodes():
            if node.params["frame"]:
                found[os.path.basename(node.params["frame"])] = tokens[node.node].attempt
    return found


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
        share=share,
        hosts=1,
        disk=disk,
        disk_size="128M",
        timeout_s=200,
        power_cut_s=after_s,
        power_cut_from="acknowledged",
    )
    status = run_guest(settings, [*on_host, *python_command("tests.lab.power", "work")], hear)
    problems = [] if status == POWER_CUT else [f"the guest ended with {status} before the cut: {others[-3:]}"]
    repaired: list[str] = []
    if not problems:
        # Whatever the disk is like after the cut, it is kept for whoever wants to know what went wrong.
        subprocess.run(["cp", "--sparse=always", str(disk), str(disk.with_suffix(".cut"))], check=True)
        repaired, problems = _check_again(disk, acknowledged)
    disk.unlink()
    if not problems:
        disk.with_suffix(".cut").unlink(missing_ok=True)
    return Cut(seed, round(after_s, 2), acknowledged, repaired, problems)


def _check_again(disk: Path, acknowledged: list[int]) -> tuple[list[str], list[str]]:
    """What a guest finds that has only the disk: whatever the server was, it is a local one now."""
    lines: list[str] = []
    out = disk.with_suffix(".out")
    settings = GuestSettings(share="local", hosts=0, disk=disk, out=out, timeout_s=_FINISH_S + 120)
    words = ["check", _MOUNT, ",".join(map(str, acknowledged))]
    status = run_guest(settings, python_command("tests.lab.power", *words), lines.append)
    if status != 0:
        return [], [f"the check ended with {status}: {lines[-3:]}"]
    (out / "lines").write_text("\n".join(lines))
    repaired, problems = json.loads((out / "found.json").read_text())
    return repaired, problems


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
                f"{len(cut.acknowledged)} acknowledged, {len(cut.repaired)} repaired; "
                f"{'; '.join(cut.problems) or 'sound'}",
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
