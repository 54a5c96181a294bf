"""luigi: a program that hands its tasks to a scheduler, and works them off."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.base import POLL_S, Job, Peer, tool

_CONFIG = f"""
[core]
no_configure_logging = true
[worker]
wait_interval = {POLL_S}
wait_jitter = {POLL_S}
check_unfulfilled_deps = false
cache_task_completion = true
keep_alive = true
[scheduler]
worker_disconnect_delay = 15
retry_delay = 1
prune_on_get_work = true
"""


class Luigi(Peer):
    """`luigi.build` with a local scheduler; with several workers it forks for each task."""

    name = "luigi"
    package = "luigi"
    settings = (
        f"`luigi.build(workers=W, local_scheduler=True)`; `wait_interval` and `wait_jitter` {POLL_S}, no "
        "`check_unfulfilled_deps`, tasks without output. With W > 1 it forks for each task. Its program makes the "
        "tasks, hands them over and ends with them, so that this counts as submitting, and the start of Python does "
        "not. To be killed: `luigid` and two programs as assistants with `keep_alive`; `worker_disconnect_delay` 15, "
        "`retry_delay` 1, `prune_on_get_work`."
    )
    has_warm_workers = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "luigi.cfg").write_text(_CONFIG)
        self._env = {"LUIGI_CONFIG_PATH": str(folder / "luigi.cfg")}
        self._batches = 0
        self._count = 0
        self._server: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self, workers: int) -> None:
        self._count = workers
        if self.is_to_be_killed and self._server is None:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self._port = probe.getsockname()[1]
            self._server = self.launch(
                tool("luigid"), "--address", "127.0.0.1", "--port", str(self._port),
                "--state-path", self.folder / "state.pickle", env=self._env,
            )  # fmt: skip
        if self._batches:
            self._build(workers)

    def submit(self, jobs: Sequence[Job]) -> None:
        self.reap()
        self._batches += 1
        listed = self.folder / f"jobs{self._batches}.json"
        listed.write_text(json.dumps(jobs))
        self._build(self._count)

    def submit_below(self, parent: Job, jobs: Sequence[Job]) -> None:
        self.submit([*jobs, parent])

    def _build(self, workers: int) -> None:
        listed = self.folder / f"jobs{self._batches}.json"
        programs = workers if self._server else 1
        for _ in range(programs):
            self.launch_worker(
                sys.executable, "-m", "benchmarks.peers.luigi_program",
                listed, str(workers // programs), str(self._port), env=self._env,
            )  # fmt: skip

    def is_settled(self) -> bool:
        return all(worker.poll() == 0 for worker in self.workers)

    def fate(self) -> str:
        return "the scheduler has not given it to the other one"

    def stop(self) -> None:
        super().stop()
        if self._server is not None:
            self._server.terminate()
            self._server.wait()
