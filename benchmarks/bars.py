"""Our own bars: what is measured of the queue alone, and how much of it there has to be.

What is measured, on /dev/shm where it is there, else in the directory for temporary files:

- jobs that do nothing, in one `runjobs` with one slot, in hierarchies of 100, 1,000 and 10,000 sub-jobs: the time from
  the first start to the last end in the journal, for each job; the median of 5 runs. Beside it, for the whole worker
  with its start, the wall time and the processor time, which a busy machine changes less;
- submitting 10,000 sub-jobs: making them, and `activate`; the median of 5;
- `jobqueue list` with 1,000 top-level jobs, as a whole process; the median of 5;
- `import jobqueue` beyond a bare Python, as whole processes in turn; the median of 15;
- memory of a worker's processes near the end of 10,000 jobs.

On a machine that does something else the numbers are worse than they could be; its load is noted with them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jobqueue
from jobqueue.names import Entry

SIZES = (100, 1_000, 10_000)
_NOOP = """
from jobqueue import JobProc

class noop(JobProc):
    def run(self):
        pass
"""
# Tells how much memory the worker's processes take: its own, its parent, and its parent's other child, the guard.
MEASURE_LINES = """
import os, re
from pathlib import Path
from jobqueue import JobProc

def kilobytes(path, key):
    return int(re.search(rf"^{key}:\\s+(\\d+) kB", Path(path).read_text(), re.MULTILINE)[1])

def measured():
    slot, supervisor = os.getpid(), os.getppid()
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    (guard,) = set(map(int, children)) - {slot}
    return {
        name: [kilobytes(f"/proc/{pid}/status", "VmRSS"), kilobytes(f"/proc/{pid}/smaps_rollup", "Pss")]
        for name, pid in (("supervisor", supervisor), ("slot", slot), ("guard", guard))
    }
"""
_MEASURE = (
    MEASURE_LINES
    + """
class measure(JobProc):
    def run(self):
        return measured()
"""
)


class Bar(NamedTuple):
    """One line of the table.

    Attributes:
        what: was measured.
        unit: of ``limit`` and ``measured``.
        limit: the bar; ``None`` where there is none and the number is for the record.
        measured: the median.
        is_floor: whether more is better.
        note: for people.
    """

    what: str
    unit: str
    limit: float | None
    measured: float
    is_floor: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        part = self.measured / self.limit - 1
        is_met = part >= 0 if self.is_floor else part <= 0
        return "met" if is_met else f"missed by {abs(part):.0%}"


class Run(NamedTuple):
    """One worker's run over one hierarchy, in seconds: for each job, and the whole worker's processor and wall time."""

    job_s: float
    cpu_s: float
    wall_s: float


def make_queue(location: Path) -> jobqueue.JobQueue:
    """A new queue with the procedures that are measured with."""
    jobqueue.createJobQueue(str(location))
    for name, text in (("noop", _NOOP), ("measure", _MEASURE)):
        path = location / "procs" / f"{name}.py"
        path.write_text(text)
        path.chmod(0o644)
    return jobqueue.JobQueue(str(location))


def submit(queue: jobqueue.JobQueue, count: int, *, measure_at: int | None = None) -> tuple[jobqueue.JobHandle, float]:
    """Submits ``count`` jobs below a root; the root, and how many seconds it took."""
    began = time.perf_counter()
    root = queue.createJobRoot("noop")
    for number in range(count):
        root.createJob("measure" if number == measure_at else "noop")
    handle = root.activate()
    return handle, time.perf_counter() - began


def run_worker(location: Path) -> float:
    """Runs a worker to its end; its wall time in seconds."""
    began = time.perf_counter()
    arguments = ("--slots", "1", "--exit-when-empty", "--quiet", "--poll", "0.1")
    subprocess.run([sys.executable, "-m", "jobqueue.cli.runjobs", str(location), *arguments], check=True)
    return time.perf_counter() - began


def journal_span_s(job: Path) -> float:
    """Seconds from the first start to the last end that a job's journals tell of."""
    lines = [line for path in (job / ".journal").iterdir() for line in path.read_text().splitlines()]
    events = [json.loads(line) for line in lines]
    starts = [event["time"] for event in events if event["event"] == "start"]
    return float(max(event["end"] for event in events if event["event"] == "end") - min(starts))


def measure_run(tmp: Path, count: int) -> Run:
    """A new queue, a hierarchy, a worker."""
    with tempfile.TemporaryDirectory(dir=tmp, ignore_cleanup_errors=True) as name:
        location = Path(name) / "queue"
        handle, _ = submit(make_queue(location), count)
        before = os.times()
        wall_s = run_worker(location)
        after = os.times()
        cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
        return Run(journal_span_s(Path(handle.location)) / (count + 1), cpu_s, wall_s)


def jobs(tmp: Path, repeats: int) -> list[Bar]:
    """The rate of jobs that do nothing, and how it changes with their number."""
    runs: dict[int, list[Run]] = {size: [] for size in SIZES}
    for _ in range(repeats):
        # In turn, so that a spell of load falls on all sizes.
        for size in SIZES:
            runs[size].append(measure_run(tmp, size))
    job_s = {size: statistics.median(run.job_s for run in runs[size]) for size in SIZES}
    cpu_s = {size: statistics.median(run.cpu_s for run in runs[size]) for size in SIZES}
    wall_s = {size: statistics.median(run.wall_s for run in runs[size]) for size in SIZES}
    bars = [
        Bar(
            f"no-op jobs, N = {size:,}", "1/s", 4_000, 1 / job_s[size], is_floor=True,
            note=f"{1e6 * job_s[size]:.0f} us a job, best {1e6 * min(run.job_s for run in runs[size]):.0f}; "
            f"worker {wall_s[size]:.2f} s, of processors {cpu_s[size]:.2f} s",
        )
        for size in SIZES
    ]  # fmt: skip
    ratio = job_s[SIZES[-1]] / job_s[SIZES[0]]
    return [*bars, Bar("time for each job, N = 10,000 against 100", "times", 1.2, ratio)]


def submitting(tmp: Path, repeats: int) -> list[Bar]:
    """How many sub-jobs are submitted in a second."""
    times_s = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(dir=tmp, ignore_cleanup_errors=True) as name:
            times_s.append(submit(make_queue(Path(name) / "queue"), 10_000)[1])
    rate = 10_000 / statistics.median(times_s)
    note = f"best {10_000 / min(times_s):,.0f}"
    return [Bar("submit 10,000 sub-jobs", "1/s", 10_000, rate, is_floor=True, note=note)]


def command_s(*arguments: str) -> float:
    """The wall time of a Python process in seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def listing(tmp: Path, repeats: int) -> list[Bar]:
    """`jobqueue list` with 1,000 top-level jobs; they have entries alone, for it looks at nothing else."""
    with tempfile.TemporaryDirectory(dir=tmp) as name:
        location = Path(name) / "queue"
        make_queue(location)
        for number in range(1, 1_001):
            folder = ("runnable", "waiting", "held", "done")[number % 4]
            (location / "index" / folder / Entry(folder, 0, number, 1).name).touch()
        times_s = [command_s("-m", "jobqueue", "-q", str(location), "list") for _ in range(repeats)]
    return [
        Bar(
            "jobqueue list, 1,000 top-level jobs",
            "s",
            0.15,
            statistics.median(times_s),
            note=f"best {min(times_s):.3f}",
        )
    ]


def importing(_tmp: Path, repeats: int) -> list[Bar]:
    """What `import jobqueue` costs beyond a bare interpreter."""
    pairs = [(command_s("-c", "pass"), command_s("-c", "import jobqueue")) for _ in range(3 * repeats)]
    bare_ms, with_ms = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
    return [Bar("import jobqueue beyond bare Python", "ms", 60, with_ms - bare_ms, note=f"bare Python {bare_ms:.0f}")]


def memory(tmp: Path, _repeats: int) -> list[Bar]:
    """Resident memory of a worker's processes near the end of 10,000 jobs."""
    with tempfile.TemporaryDirectory(dir=tmp, ignore_cleanup_errors=True) as name:
        location = Path(name) / "queue"
        handle, _ = submit(make_queue(location), 10_000, measure_at=9_900)
        run_worker(location)
        found: dict[str, list[int]] = handle.listSubJobs()[9_900].result
    bars = [
        Bar(f"memory of the {name} (RSS), N = 10,000", "MB", None, rss / 1024, note=f"PSS {pss / 1024:.1f}")
        for name, (rss, pss) in found.items()
    ]
    rss_mb, pss_mb = (sum(sizes) / 1024 for sizes in zip(*found.values(), strict=True))
    note = f"shared pages counted once (PSS): {pss_mb:.1f}"
    return [*bars, Bar("memory of the worker (RSS), N = 10,000", "MB", 60, rss_mb, note=note)]


def table(bars: Sequence[Bar]) -> str:
    """The table, for people."""
    lines = [f"{'what':46} {'bar':>12} {'measured':>12}  verdict"]
    for bar in bars:
        limit = "" if bar.limit is None else f"{bar.limit:g} {bar.unit}"
        measured = f"{bar.measured:.4g}" if bar.measured < 1_000 else f"{bar.measured:.0f}"
        lines.append(f"{bar.what:46} {limit:>12} {measured:>12}  {bar.verdict}{f' ({bar.note})' if bar.note else ''}")
    return "\n".join(lines)


PARTS: list[Callable[[Path, int], list[Bar]]] = [importing, listing, submitting, memory, jobs]
