"""The main job: `make demo` renders an animation with several workers, with each of its renderers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import check_demo
from jobqueue import JobQueue
from render_animation import Shot

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = ["--frames", "14", "--size", "64x36"]


def demo(folder: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the demo as make does."""
    env = {**os.environ, "COLUMNS": "100"}
    if path is not None:
        env["PATH"] = path
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--dir", str(folder), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=110)


def a_program(folder: Path, name: str, body: str) -> str:
    """Makes a stand-in for a renderer; gives the PATH on which it is found first."""
    folder.mkdir()
    program = folder / name
    program.write_text(f"#!{sys.executable}\nimport os, sys\n{body}")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, demo(folder, *SMALL)


def test_it_ends_well_and_names_what_it_made(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, ended = finished
    assert (ended.returncode, ended.stderr) == (0, "")
    assert os.path.relpath(folder / "movie.mp4") in ended.stdout
    assert os.path.relpath(folder / "contact_sheet.png") in ended.stdout


def test_every_frame_decodes_and_differs_and_the_movie_has_them_all(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = finished
    assert check_demo.problems(Shot(str(folder), 14, 64, 36)) == []


def test_the_table_accounts_for_every_job(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, ended = finished
    assert re.search(r"14 frames, 3 workers, \d+\.\d s", ended.stdout)
    rows = re.findall(r"demo\d\D+(\d+)\D+(\d+) %", ended.stdout)
    # 14 frames, 2 sheets, the sheet of all, the movie.
    assert sum(int(jobs) for jobs, _ in rows) == 18
    assert sum(int(share) for _, share in rows) == pytest.approx(100, abs=len(rows))


def test_it_tells_how_far_it_is_in_plain_lines_without_a_terminal(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, ended = finished
    told = [int(count) for count in re.findall(r"^ *(\d+) of 18 jobs done", ended.stdout, re.MULTILINE)]
    assert told == sorted(set(told))
    assert told[-1] == 18


def test_a_second_run_starts_afresh(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    assert demo(folder, "--frames", "4", "--size", "32x18").returncode == 0
    assert demo(folder, "--frames", "3", "--size", "32x18", "--workers", "1").returncode == 0
    assert sorted(os.listdir(folder / "frames")) == ["frame0001.png", "frame0002.png", "frame0003.png"]


def test_it_does_not_empty_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    ended = demo(tmp_path, *SMALL)
    assert ended.returncode == 2
    assert "was not made by this program" in ended.stderr
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("renderer", ["povray", "tachyon", "blender"])
def test_a_renderer_that_is_missing_says_how_to_install_it(tmp_path: Path, renderer: str) -> None:
    ended = demo(tmp_path / "demo", "--renderer", renderer, path=str(tmp_path))
    assert ended.returncode == 2
    assert f"{renderer} is not installed; on Debian or Ubuntu: sudo apt-get install {renderer}" in ended.stderr
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    "renderer", [pytest.param(name, marks=pytest.mark.needs_program(name)) for name in ("povray", "tachyon", "blender")]
)
def test_the_same_hierarchy_runs_on_the_real_program(tmp_path: Path, renderer: str) -> None:
    ended = demo(tmp_path, "--renderer", renderer, "--frames", "3", "--size", "64x36")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert check_demo.problems(Shot(str(tmp_path), 3, 64, 36)) == []


def test_a_failed_job_is_named_with_the_command_that_shows_its_log(tmp_path: Path) -> None:
    body = 'print("out of paint", file=sys.stderr)\nsys.exit(3)\n'
    path = a_program(tmp_path / "bin", "tachyon", body)
    folder = tmp_path / "demo"
    ended = demo(folder, "--renderer", "tachyon", "--frames", "2", "--size", "32x18", path=path)
    assert ended.returncode == 1
    assert re.search(r"job1/\S+ \(frame 2\) has failed: .*exit code 3.*out of paint", ended.stderr)
    command = re.search(r"its log: (jobqueue -q \S+ log \S+)", ended.stderr)
    assert command is not None
    program, *arguments = command[1].split()
    program = shutil.which(program, path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}") or program
    shown = subprocess.run([program, *arguments], capture_output=True, text=True, check=True, timeout=60)
    assert "out of paint" in shown.stdout
    assert not (folder / "movie.mp4").exists()


def test_ctrl_c_lets_the_workers_finish_what_they_run_and_the_rest_can_be_run_later(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    # Large enough that it lasts for many of the lines, of which the second ends it.
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--dir", str(folder), "--frames", "48", "--size", "320x180"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        # From the second line on something has been done.
        assert all("of 54 jobs done" in process.stdout.readline() for _ in range(2))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "Ending: the workers finish what they run.\n"
    assert os.listdir(folder / "queue" / "workers") == []
    assert not (folder / "movie.mp4").exists()
    (job,) = JobQueue(str(folder / "queue")).listJobs()
    assert not job.hasError(recursive=True)

    env = {**os.environ, "PYTHONPATH": str(EXAMPLES)}
    later = [sys.executable, "-m", "jobqueue.cli.runjobs", str(folder / "queue"), "--exit-when-empty", "--quiet"]
    assert subprocess.run(later, env=env, check=False, timeout=60).returncode == 0
    assert check_demo.problems(Shot(str(folder), 48, 320, 180)) == []


# --- the check itself: each fault that it is for is found ------------------------------------------------------------


def test_the_check_finds_what_is_wrong(finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    good, _ = finished
    folder = tmp_path / "demo"
    shutil.copytree(good, folder)
    shot = Shot(str(folder), 14, 64, 36)
    shutil.copy(shot.frame(4), shot.frame(5))
    Path(shot.frame(9)).write_bytes(Path(shot.frame(9)).read_bytes()[:200])
    os.unlink(shot.frame(12))
    os.unlink(shot.sheet(2))
    Path(shot.movie).write_bytes(b"")
    found = "\n".join(check_demo.problems(shot))
    assert "frame0005.png is the same picture" in found
    assert "frame0009.png cannot be read" in found
    assert "frame0012.png cannot be read" in found
    assert "sheet2.png cannot be read" in found
    assert "movie.mp4 cannot be read" in found
    assert len(found.splitlines()) == 5


def test_the_check_counts_the_frames_of_the_movie(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    good, _ = finished
    folder = tmp_path / "demo"
    shutil.copytree(good, folder)
    found = check_demo.movie_problems(Shot(str(folder), 13, 64, 36))
    assert found == [f"{folder}/movie.mp4 has 14 frames instead of 13"]
