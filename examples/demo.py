#!/usr/bin/env python3
"""What `make demo` runs: an animation, rendered by three workers at once, watched in one view.

Makes a queue in DIR/queue, submits the hierarchy of render_animation.py, starts the workers (`runjobs`), shows how far
they are, and ends with a movie and a contact sheet. Exit code 1: a job has failed; 2: the renderer is not installed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from jobqueue import JobHandle, JobQueue, createJobQueue
from render_animation import RENDERERS, Shot, add_shot_options, submit

HERE = os.path.dirname(os.path.abspath(__file__))
LOOK_S = 0.25
PLAIN_STEP = 10  # percent between two lines where the output is no terminal


class Watch:
    """All jobs of a hierarchy, and what was last seen of them.

    Args:
        root: the top-level job.
    """

    def __init__(self, root: JobHandle) -> None:
        self.jobs = list(dict.fromkeys(_with_sub_jobs(root)))
        self._open = list(self.jobs)
        self.running: dict[str, str] = {}

    def look(self) -> None:
        """Looks again at the jobs that had not ended."""
        self._open = [job for job in self._open if not job.isFinished()]
        running = {}
        for job in self._open:
            if job.isRunning() and (worker := job.worker):
                running[short(worker)] = job.label or job.name
        self.running = running

    @property
    def total(self) -> int:
        return len(self.jobs)

    @property
    def done(self) -> int:
        return len(self.jobs) - len(self._open)

    def shares(self) -> Counter[str]:
        """How many jobs each worker has run."""
        return Counter(short(job.worker) for job in self.jobs if job.worker)

    def failed(self) -> list[JobHandle]:
        return [job for job in self.jobs if job.hasError()]


def _with_sub_jobs(job: JobHandle) -> Iterator[JobHandle]:
    for sub_job in job.listSubJobs():
        yield from _with_sub_jobs(sub_job)
    yield job


def short(worker: str | None) -> str:
    """``demo1`` of a worker's full name, ``demo1-host-4f0c``."""
    return (worker or "").partition("-")[0]


def start_worker(folder: str, name: str) -> subprocess.Popen[bytes]:
    """Starts one `runjobs` with a single slot, as it would be started on another machine."""
    path = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))
    runjobs = [sys.executable, "-m", "jobqueue.cli.runjobs"]
    command = [*runjobs, os.path.join(folder, "queue"), "--slots", "1", "--name", name, "--exit-when-empty"]
    with open(os.path.join(folder, f"{name}.log"), "wb") as log:
        # A session of its own: Ctrl-C reaches this program alone, which then ends the workers in good order.
        return subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log, start_new_session=True
        )


def follow(watch: Watch, workers: dict[str, subprocess.Popen[bytes]], console: Console) -> None:
    """Shows how far all is, until every worker has ended."""
    if console.is_terminal:
        _follow_live(watch, workers, console)
    else:
        _follow_plain(watch, workers)


def _follow_live(watch: Watch, workers: dict[str, subprocess.Popen[bytes]], console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=console)
    task = bar.add_task("jobs", total=watch.total)

    def view() -> Group:
        lines = [Text.assemble((f"  {name}  ", "bold cyan"), watch.running.get(name, "-")) for name in workers]
        return Group(bar, *lines)

    with Live(view(), console=console, refresh_per_second=8) as live:
        for _ in _looks(watch, workers):
            bar.update(task, completed=watch.done)
            live.update(view())


def _follow_plain(watch: Watch, workers: dict[str, subprocess.Popen[bytes]]) -> None:
    told = -1
    for _ in _looks(watch, workers):
        step = 100 * watch.done // watch.total // PLAIN_STEP
        if step != told:
            told = step
            now = ", ".join(f"{name}: {watch.running.get(name, '-')}" for name in workers)
            print(f"{watch.done:3d} of {watch.total} jobs done ({now})", flush=True)


def _looks(watch: Watch, workers: dict[str, subprocess.Popen[bytes]]) -> Iterator[None]:
    """Looks at the jobs now and then; ends after the look that follows the last worker's end."""
    alive = True
    while alive:
        alive = any(worker.poll() is None for worker in workers.values())
        watch.look()
        yield
        if alive:
            time.sleep(LOOK_S)


def stop(workers: dict[str, subprocess.Popen[bytes]]) -> None:
    """Asks the workers to finish what they run and to take nothing new, and waits for them."""
    for worker in workers.values():
        if worker.poll() is None:
            worker.terminate()
    for worker in workers.values():
        worker.wait()


def report(watch: Watch, workers: list[str], shot: Shot, seconds: float, console: Console) -> None:
    shares = watch.shares()
    console.print(f"{shot.frames} frames, {len(workers)} workers, {seconds:.1f} s", style="bold")
    table = Table()
    table.add_column("worker")
    table.add_column("jobs", justify="right")
    table.add_column("share", justify="right")
    for worker in workers:
        table.add_row(worker, str(shares[worker]), f"{100 * shares[worker] / watch.total:.0f} %")
    console.print(table)
    print(f"movie          {os.path.relpath(shot.movie)}")
    print(f"contact sheet  {os.path.relpath(shot.overview)}")


def complain(watch: Watch, folder: str, workers: dict[str, subprocess.Popen[bytes]]) -> None:
    """Says which jobs have failed, and where to look."""
    queue = os.path.relpath(os.path.join(folder, "queue"))
    for job in watch.failed():
        print(f"{job.name} ({job.label}) has failed: {job.error}", file=sys.stderr)
        print(f"  its log: jobqueue -q {queue} log {job.name}", file=sys.stderr)
    for name, worker in workers.items():
        if worker.returncode:
            log = os.path.relpath(os.path.join(folder, f"{name}.log"))
            print(f"worker {name} ended with exit code {worker.returncode}; its log: {log}", file=sys.stderr)
    print(f"{watch.done} of {watch.total} jobs have ended; the rest: jobqueue -q {queue} list", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description="Render an animation with several workers.")
    parser.add_argument("--dir", default="demo", help="the folder for everything; emptied first (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, choices=range(1, 65), default=3, metavar="N", help="1 to 64 (default: 3)"
    )
    add_shot_options(parser)
    arguments = parser.parse_args()
    missing = RENDERERS[arguments.renderer].missing()
    if missing:
        print(missing, file=sys.stderr)
        return 2
    folder = os.path.abspath(arguments.dir)
    shot = Shot(folder, arguments.frames, *arguments.size)
    if os.path.isdir(folder) and os.listdir(folder) and not os.path.isfile(os.path.join(folder, "queue", "queue.cfg")):
        print(f"{folder} was not made by this program; name an empty folder with --dir", file=sys.stderr)
        return 2
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    console = Console()
    begin = time.monotonic()
    createJobQueue(os.path.join(folder, "queue"))
    watch = Watch(submit(JobQueue(os.path.join(folder, "queue")), shot, arguments.renderer))
    workers = {name: start_worker(folder, name) for name in (f"demo{n + 1}" for n in range(arguments.workers))}
    try:
        follow(watch, workers, console)
    except KeyboardInterrupt:
        print("Ending: the workers finish what they run.", file=sys.stderr)
        stop(workers)
        return 130
    if watch.failed() or watch.done < watch.total:
        complain(watch, folder, workers)
        return 1
    report(watch, list(workers), shot, time.monotonic() - begin, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
