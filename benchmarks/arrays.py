"""The bars of arrays: submitting and draining a million items, what that takes in memory, and how long counting takes.

The items do nothing. They are drained by one `runjobs` with one slot, on /dev/shm where it is there; what an item costs
is the time from the first start to the last end that the journal's notes tell of, so the notes themselves are in it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jobqueue
from benchmarks.bars import MEASURE_LINES, Bar, command_s, make_queue, run_worker

FEW, SOME, MANY = 1_000, 100_000, 1_000_000
# Where the memory is looked at: near the end.
_AT = MANY - 5_000
_STILL = (
    MEASURE_LINES
    + f"""
class still(JobProc):
    def __init__(self, frame):
        self._frame = frame

    def run(self):
        return measured() if self._frame == {_AT} else None
"""
)
# Prints the seconds that it took, and the most memory that the process had, in kB.
_SUBMIT = """
import re, sys, time
from pathlib import Path
import jobqueue
queue = jobqueue.JobQueue(sys.argv[1])
began = time.perf_counter()
root = queue.createJobRoot()
root.createJobArray("still", frames=f"1-{sys.argv[2]}", chunk=int(sys.argv[3]) or "auto")
root.activate()
took_s = time.perf_counter() - began
print(took_s, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def _submit(location: Path, items: int, chunk: int = 0) -> tuple[float, float]:
    """Submits an array from a process of its own: the seconds, and that process's memory in MB."""
    command = [sys.executable, "-c", _SUBMIT, str(location), str(items), str(chunk)]
    took_s, kilobytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(took_s), int(kilobytes) / 1024


def _new_queue(folder: str) -> Path:
    location = Path(folder) / "queue"
    make_queue(location)
    path = location / "procs" / "still.py"
    path.write_text(_STILL)
    path.chmod(0o644)
    return location


def _span_s(location: Path) -> float:
    """Seconds from the first start to the last end of an item. One slot notes them in their order."""
    (journal,) = (location / "job1" / ".journal").iterdir()
    first, last = None, b""
    with journal.open("rb") as lines:
        for line in lines:
            if line.startswith(b'{"item":'):
                first = first or line
                last = line
    return float(json.loads(last)["end"] - json.loads(first or b"")["start"])


def _drained_s(tmp: Path, items: int) -> float:
    """Seconds for each item of an array that is submitted and drained, in chunks as they come."""
    with tempfile.TemporaryDirectory(dir=tmp, ignore_cleanup_errors=True) as folder:
        location = _new_queue(folder)
        _submit(location, items)
        run_worker(location)
        return _span_s(location) / items


def arrays(tmp: Path, repeats: int) -> list[Bar]:
    """How fast the items of an array are drained, and whether it matters how many there are."""
    times: dict[int, list[float]] = {FEW: [], SOME: [], MANY: []}
    for _ in range(repeats):
        # In turn, so that a spell of load falls on all sizes.
        for items, found in times.items():
            found.append(_drained_s(tmp, items))
    item_s = {items: statistics.median(found) for items, found in times.items()}
    return [
        Bar(
            f"items of an array, N = {items:,}", "1/s", 30_000 if items == SOME else None, 1 / item_s[items],
            is_floor=True, note=f"best {1 / min(times[items]):,.0f}",
        )
        for items in times
    ] + [Bar("time for each item, N = 1,000,000 against 1,000", "times", 1.2, item_s[MANY] / item_s[FEW])]  # fmt: skip


def a_million_items(tmp: Path, repeats: int) -> list[Bar]:
    """Submitting, memory and counting, with an array of a million items in chunks of ten."""
    with tempfile.TemporaryDirectory(dir=tmp, ignore_cleanup_errors=True) as folder:
        location = _new_queue(folder)
        took_s, submitter_mb = _submit(location, MANY, chunk=10)
        run_worker(location)
        handle = jobqueue.JobQueue(str(location)).findJob("job1/job0")
        memory: dict[str, Any] = handle.item(_AT).result
        counting_s = [command_s("-m", "jobqueue", "-q", str(location), "list", "--long") for _ in range(repeats)]
    rss_mb = sum(rss for rss, _ in memory.values()) / 1024
    pss_mb = sum(pss for _, pss in memory.values()) / 1024
    each = ", ".join(f"{name} {rss / 1024:.0f}" for name, (rss, _) in memory.items())
    return [
        Bar("submit an array of 1,000,000 items", "s", 1, took_s),
        Bar("memory of its submitter (RSS)", "MB", 100, submitter_mb),
        Bar(
            "memory of its worker (RSS), chunks of 10", "MB", 100, rss_mb,
            note=f"{each}; shared pages counted once (PSS): {pss_mb:.0f}",
        ),
        Bar(
            "jobqueue list --long, 1,000,000 items", "s", 1, statistics.median(counting_s),
            note=f"100,000 tokens, the whole command; best {min(counting_s):.2f}",
        ),
    ]  # fmt: skip
