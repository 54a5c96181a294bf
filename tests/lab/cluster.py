"""In the guest: workers on every host run one hierarchy, with faults or without; then all is counted.

Run as `python -m tests.lab.cluster FILE --seed N [--jobs N] [--faults N] [--kinds cut,server,...]`. FILE receives what
was found, as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from jobqueue.identity import started_ticks
from jobqueue.names import FALSE_DEATH, Entry, is_worker_name
from tests.lab.frames import Frames
from tests.lab.guest import PROJECT
from tests.lab.hierarchy import PROBE, problems, read_log
from tests.lab.hosts import fault, host_names
from tests.lab.schedule import LASTS_S, Fault, clock_offsets, make_schedule

_SLOTS = 2
_POLL_S = 0.05
_LEAVE_S = 60.0
# By then each worker knows the others.
_OUTAGE_AT_S = 25.0
# So short that deaths are found while a run lasts: after 2 s by the lock, after 12 s without.
_SETTINGS = "[main]\nbeat = 0.5\ndeadAfter = 12.0\n"


class Workers:
    """One worker on each host, started again where it was killed.

    Args:
        queue_dir: the queue, as the hosts see it.
        clocks: by how many seconds each host's clock is off.
        arguments: more arguments of `runjobs`.
    """

    def __init__(self, queue_dir: str, clocks: dict[str, int], *arguments: str) -> None:
        self._command = [sys.executable, "-m", "jobqueue.cli.runjobs", queue_dir, "--slots", str(_SLOTS), *arguments]
        self._environment = {host: _off_clock(seconds) for host, seconds in clocks.items()}
        self._logs, self._name = Path(os.environ["LAB_OUT"]), os.path.basename(queue_dir)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._killed: list[subprocess.Popen[bytes]] = []
        self._began_at: dict[str, int] = {}
        for host in clocks:
            self.start(host)

    def start(self, host: str) -> None:
        with self._log(host).open("ab") as log:
            self._began_at[host] = log.tell()
            command = ["onhost", host, "env", *self._environment[host], *self._command]
            self._processes[host] = subprocess.Popen(command, stderr=log, stdout=log)

    def _log(self, host: str) -> Path:
        return self._logs / f"{self._name}-{host}.log"

    def has_come(self, host: str) -> bool:
        """Whether the host's worker, as it was started last, is there: before that SIGTERM ends it at once."""
        return b"has come to" in self._log(host).read_bytes()[self._began_at[host] :]

    def revive(self) -> None:
        """Starts again what ended before it was there: on a share that is away nobody can come."""
        for host, process in self._processes.items():
            if (process.poll() or 0) > 0 and not self.has_come(host):
                self.start(host)

    def wait(self, timeout_s: float) -> list[str]:
        """Waits for all; the hosts whose worker has not ended in time, or not well."""
        deadline = time.monotonic() + timeout_s
        bad = []
        for host, process in self._processes.items():
            try:
                code = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.signal(host, signal.SIGKILL)
                process.wait()
                bad.append(f"the worker on {host} did not end")
            else:
                bad += [f"the worker on {host} ended with {code}"] if code else []
        return bad

    def signal(self, host: str, number: signal.Signals) -> None:
        """Sends a signal to all processes of a host's worker, the supervisor first."""
        for pid in [self._processes[host].pid, *_descendants(self._processes[host].pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill_supervisor(self, host: str) -> None:
        # Not waited for: it ends when the server answers what it has asked, and that may be down.
        self._processes[host].kill()
        self._killed.append(self._processes[host])

    def kill_slot(self, host: str) -> None:
        """Kills one slot process, if there is one just now."""
        below = _descendants(self._processes[host].pid)
        with suppress(ProcessLookupError):
            for pid in below[-1:]:
                os.kill(pid, signal.SIGKILL)

    def leave(self) -> list[str]:
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        return self.wait(_LEAVE_S)


class Faults:
    """Begins and ends the faults of a schedule when their time has come.

    Args:
        schedule: the faults.
        workers: to whom they happen.
    """

    def __init__(self, schedule: list[Fault], workers: Workers) -> None:
        self._workers = workers
        self._started = time.monotonic()
        # Where one fault of a host begins as another one ends, the end comes first.
        steps = [(one.until_s, self._end, one) for one in schedule] + [(one.at_s, self._begin, one) for one in schedule]
        self._steps = sorted(steps, key=lambda step: step[0])

    def go_on(self) -> bool:
        """Does what is due; whether something is still to come."""
        while self._steps and time.monotonic() - self._started >= self._steps[0][0]:
            _, act, one = self._steps.pop(0)
            act(one)
        return bool(self._steps)

    def _begin(self, one: Fault) -> None:
        match one.kind:
            case "cut":
                fault("cut", one.host)
            case "slow":
                fault("slow", one.host, "50")
            case "lost":
                fault("lose", one.host)
            case "server":
                fault("server-stop")
            case "stop":
                self._workers.signal(one.host, signal.SIGSTOP)
            case "slot":
                self._workers.kill_slot(one.host)
            case "kill":
                self._workers.kill_supervisor(one.host)

    def _end(self, one: Fault) -> None:
        match one.kind:
            case "cut" | "slow":
                fault("heal", one.host)
            case "lost":
                fault("server-stop")
                fault("server-start")
                fault("heal", one.host)
            case "server":
                fault("server-start")
            case "stop":
                self._workers.signal(one.host, signal.SIGCONT)
            case "kill":
                self._workers.start(one.host)


def _off_clock(seconds: int) -> list[str]:
    """The environment of a Python process whose time of day is off."""
    return [f"LAB_CLOCK={seconds}", f"PYTHONPATH={PROJECT}/tests/lab/off_clock:{PROJECT}"]


def _descendants(pid: int) -> list[int]:
    """The processes below a process, its slots last: those are its latest children."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and started_ticks(int(name)) is not None:
            with suppress(OSError):
                fields = Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(name))
    found = sorted(children.get(pid, []))
    return [*(below for child in found for below in _descendants(child)), *found]


def make_queue(name: str, *, settings: str = _SETTINGS) -> Path:
    """Makes a queue, on a host; where it is for the server. ``settings`` begins queue.cfg."""
    os.umask(0o022)
    queue_dir = f"{os.environ['LAB_SHARE']}/{name}"
    create = [sys.executable, "-m", "jobqueue", "create", queue_dir]
    subprocess.run(["onhost", host_names()[0], *create], check=True, stdout=subprocess.DEVNULL)
    here = Path(os.environ["LAB_EXPORT"]) / name
    (here / "procs" / "probe.py").write_text(PROBE)
    config = here / "queue.cfg"
    config.write_text(config.read_text().replace("[main]\n", settings))
    return here


def _make_frames(location: str, queue_dir: Path, *, is_elsewhere: bool) -> tuple[str, Frames]:
    """Makes the directory in which jobs publish files: as the hosts see it, and who watches it.

    Args:
        location: of the queue, as the hosts see it.
        queue_dir: the same, as the server sees it.
        is_elsewhere: on a file system that is not the queue's; a host that is cut off from the queue writes on there.
    """
    name = f"{queue_dir.name}-frames"
    here = Path("/run/lab", name) if is_elsewhere else queue_dir.with_name(name)
    here.mkdir()
    return str(here) if is_elsewhere else f"{location}-frames", Frames(here)


def _submit(given: argparse.Namespace, location: str, log: Path, frames: str) -> None:
    """Submits the hierarchy, on a host."""
    log.touch()
    words = [location, str(log), str(given.jobs), str(given.seed), str(given.seconds), frames]
    subprocess.run(["onhost", host_names()[0], sys.executable, "-m", "tests.lab.hierarchy", *words], check=True)


def _have_come(queue_dir: Path, number: int) -> bool:
    return len(list((queue_dir / "workers").glob("*/info.json"))) == number


def _is_settled(queue_dir: Path, workers: Workers, hosts: list[str]) -> bool:
    """Whether the job is done, all workers are there, and nothing is left of those that were killed or cut off."""
    names = os.listdir(queue_dir / "workers")
    return (
        _is_done(queue_dir)
        and sum(is_worker_name(name) for name in names) == len(hosts)
        and all(map(workers.has_come, hosts))
    )


def _is_done(queue_dir: Path) -> bool:
    names = os.listdir(queue_dir / "index" / "done")
    return any(entry.number == 1 for name in names if (entry := Entry.parse("done", name)))


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Runs it all; what was found."""
    name = given.file.stem
    queue_dir = make_queue(name, settings="[main]\n" if given.outage else _SETTINGS)
    location, log = f"{os.environ['LAB_SHARE']}/{name}", Path(f"/run/lab/executions-{name}")
    hosts = host_names()
    schedule = make_schedule(given.seed, hosts, given.kinds, given.faults)
    clocks = clock_offsets(given.seed, hosts) if schedule else dict.fromkeys(hosts, 0)
    if given.outage:
        schedule.append(Fault(_OUTAGE_AT_S, _OUTAGE_AT_S + given.outage, "server", "all"))
    is_elsewhere = given.seed % 2 == 1
    frames_dir, frames = _make_frames(location, queue_dir, is_elsewhere=is_elsewhere)
    started = time.monotonic()
    if given.workers_first:
        workers = Workers(location, clocks, "--poll", "0.1")
        while not _have_come(queue_dir, len(hosts)) and time.monotonic() - started < given.limit:
            time.sleep(_POLL_S)
        _submit(given, location, log, frames_dir)
    else:
        _submit(given, location, log, frames_dir)
        workers = Workers(location, clocks, "--poll", "0.5", "--verbose")
    faults = Faults(schedule, workers)
    is_over = False
    while not is_over and time.monotonic() - started < given.limit:
        time.sleep(_POLL_S)
        frames.look()
        workers.revive()
        is_over = not faults.go_on() and _is_settled(queue_dir, workers, hosts)
    bad = [] if is_over else [f"not settled in time: {sorted(os.listdir(queue_dir / 'workers'))}"]
    bad += workers.leave()
    took_s = time.monotonic() - started
    false_deaths = len(list((queue_dir / "workers").glob(f"*{FALSE_DEATH}")))
    if false_deaths and not given.faults:
        bad.append(f"{false_deaths} workers were taken for dead and lived, and no host was at fault")
    bad += problems(queue_dir, log, is_quiet=not schedule, frames=frames)
    if bad:
        shutil.copytree(queue_dir, Path(os.environ["LAB_OUT"]) / name, dirs_exist_ok=True)
        shutil.copy(log, os.environ["LAB_OUT"])
    said = read_log(log)
    return {
        "share": os.environ["LAB_KIND"],
        "seed": given.seed,
        "problems": bad,
        "jobs": given.jobs,
        "executions": sum(one.word == "start" for one in said),
        "hosts": sorted({one.host for one in said}),
        "took_s": round(took_s, 1),
        "left": frames.left(),
        "elsewhere": is_elsewhere,
        "false_deaths": false_deaths,
        "clocks": clocks,
        "faults": [str(one) for one in schedule],
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.cluster", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.0, help="that a job takes at most")
    parser.add_argument("--workers-first", action="store_true", help="they wait when the hierarchy is submitted")
    parser.add_argument("--faults", type=int, default=0, metavar="N", help="how many")
    parser.add_argument(
        "--outage", type=float, default=0.0, metavar="SECONDS", help="of the server, in a queue's default settings"
    )
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(LASTS_S), help=", ".join(LASTS_S))
    parser.add_argument("--limit", type=float, default=240.0, metavar="SECONDS", help="until it has to be over")
    given = parser.parse_args()
    given.file.write_text(json.dumps(run(given)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
