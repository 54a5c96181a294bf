"""Every example runs, and does what its first lines say."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import check_demo
import raytrace
from jobqueue import JobQueue, createJobQueue
from render_animation import Shot
from scenes import helix

EXAMPLES = Path(__file__).parents[2] / "examples"


def environment() -> dict[str, str]:
    """One in which a shell finds our commands, and a worker the examples' modules."""
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(EXAMPLES), "PYTHON": sys.executable}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    env = environment()
    program = shutil.which(str(command[0]), path=env["PATH"]) or str(command[0])
    arguments = [program, *map(str, command[1:])]
    return subprocess.run(arguments, env=env, capture_output=True, text=True, check=False, timeout=110)


@contextmanager
def worker(queue: Path) -> Iterator[None]:
    """A `runjobs` that is there the whole time, as on a render farm."""
    program = shutil.which("runjobs", path=environment()["PATH"])
    assert program is not None
    with subprocess.Popen([program, str(queue), "--slots", "2", "--quiet"], env=environment()) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    createJobQueue(str(tmp_path / "queue"))
    return tmp_path / "queue"


def test_the_render_script_makes_frames_sheets_and_a_movie(queue: Path, tmp_path: Path) -> None:
    script, out = EXAMPLES / "render_animation.py", tmp_path / "out"
    submitted = run(sys.executable, script, "--queue", queue, "--out", out, "--frames", "13", "--size", "64x36")
    assert (submitted.returncode, submitted.stderr) == (0, "")
    assert re.match(r"job1 \(waiting\) makes \S+/out/movie.mp4", submitted.stdout)
    assert run("runjobs", queue, "--exit-when-empty", "--quiet").returncode == 0
    assert check_demo.problems(Shot(str(out), 13, 64, 36)) == []


def test_the_render_script_refuses_what_is_no_queue(tmp_path: Path) -> None:
    ended = run(sys.executable, EXAMPLES / "render_animation.py", "--queue", tmp_path, "--out", tmp_path / "out")
    assert ended.returncode == 2
    assert "not a job queue" in ended.stderr


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--size", "321x180", "a movie needs an even width and height"),
        ("--size", "320", "is no size"),
        ("--frames", "1", "is no number of frames"),
        ("--renderer", "crayons", "invalid choice"),
    ],
)
def test_the_render_script_refuses_a_shot_that_cannot_be(queue: Path, option: str, value: str, complaint: str) -> None:
    script = EXAMPLES / "render_animation.py"
    ended = run(sys.executable, script, "--queue", queue, "--out", queue.parent / "out", option, value)
    assert ended.returncode == 2
    assert complaint in ended.stderr
    assert JobQueue(str(queue)).listJobs() == []


def test_the_shell_submission_waits_for_frames_that_a_worker_renders(queue: Path, tmp_path: Path) -> None:
    with worker(queue):
        ended = run(EXAMPLES / "shell_submission.sh", queue, tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    assert sorted(os.listdir(tmp_path / "out")) == [f"frame{number:04d}.png" for number in range(1, 9)]
    (job,) = JobQueue(str(queue)).listJobs()
    assert len(job.listSubJobs()) == 3


def test_the_shell_submission_ends_with_the_failure_of_its_jobs(queue: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    # A folder stands where a frame should go.
    (out / "frame0004.png.part").mkdir()
    with worker(queue):
        ended = run(EXAMPLES / "shell_submission.sh", queue, out)
    assert ended.returncode == 1
    assert "job1/job1" in ended.stderr


def test_the_parameter_sweep_prints_the_results_of_its_jobs(queue: Path) -> None:
    ended = run(sys.executable, EXAMPLES / "parameter_sweep.py", queue)
    assert (ended.returncode, ended.stderr) == (0, "")
    exponents = {rate: float(value) for rate, value in re.findall(r"^(\S+) ([+-]\S+)", ended.stdout, re.MULTILINE)}
    assert len(exponents) == 31
    # Known of the logistic map: ln 2 at 4; negative in the window of period three.
    assert exponents["4.00"] == pytest.approx(np.log(2), abs=0.01)
    assert exponents["3.84"] < 0


def test_the_parameter_sweep_shares_its_jobs_with_workers(queue: Path) -> None:
    with worker(queue):
        ended = run(sys.executable, EXAMPLES / "parameter_sweep.py", queue)
    assert (ended.returncode, len(ended.stdout.splitlines())) == (0, 31)


def test_the_own_procedure_is_installed_so_that_workers_take_it_and_gives_a_result(queue: Path, tmp_path: Path) -> None:
    folder = tmp_path / "delivery"
    folder.mkdir()
    for name in ("a.png", "b.png", "notes.txt"):
        (folder / name).write_text(name)
    submitted = run(sys.executable, EXAMPLES / "own_procedure" / "submit.py", queue, folder, ".png")
    assert (submitted.returncode, submitted.stdout) == (0, "job1\n")
    assert os.listdir(queue / "procs") == ["manifest.py"]
    assert stat.S_IMODE((queue / "procs" / "manifest.py").stat().st_mode) == 0o644
    assert run("runjobs", queue, "--exit-when-empty", "--quiet").returncode == 0
    (job,) = JobQueue(str(queue)).listJobs()
    assert job.result == 2
    checked = subprocess.run(
        ["sha256sum", "--check", "MANIFEST.sha256"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert checked.stdout == "a.png: OK\nb.png: OK\n"


def test_the_own_procedure_fails_on_an_empty_file(queue: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    run(sys.executable, EXAMPLES / "own_procedure" / "submit.py", queue, tmp_path, ".png")
    run("runjobs", queue, "--exit-when-empty", "--quiet")
    (job,) = JobQueue(str(queue)).listJobs()
    assert job.hasError()
    assert Path(job.stderrFile).read_text() == "empty.png is empty\n"


# --- the scenes ------------------------------------------------------------------------------------------------------


def test_the_embedded_renderer_draws_a_picture_that_loops_and_moves() -> None:
    first, second, over = (raytrace.render(number, total=48, size=(64, 36)).astype(float) for number in (1, 2, 49))
    assert first.shape == (36, 64, 3)
    assert first.std() > check_demo.LEAST_CONTRAST
    assert np.abs(second - first).mean() > check_demo.LEAST_CHANGE
    assert np.abs(over - first).mean() < 0.1


def test_the_embedded_renderer_draws_the_same_picture_in_bands_of_any_height(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = raytrace.render(5, size=(64, 36))
    monkeypatch.setattr(raytrace, "ROWS_AT_ONCE", 7)
    assert np.array_equal(raytrace.render(5, size=(64, 36)), whole)


def test_the_exported_scene_turns_and_loops() -> None:
    first, second, over = (helix.scene(number, 48, (320, 180)) for number in (1, 2, 49))
    assert first != second

    def numbers(scene: str) -> list[float]:
        return [float(word) for word in re.findall(r"-?\d+\.\d+", scene)]

    assert numbers(over) == pytest.approx(numbers(first), abs=1e-4)
