"""The built-in procedures with the programs that they are for: what these really print, and how they really fail."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobqueue.procs._program import ProgramError
from jobqueue.procs.blender import blender
from jobqueue.procs.ffmpeg import ffmpeg
from jobqueue.procs.povray import povray
from tests.unit.procs.attempts import RecordingAttempt, enter

SCENE = """\
#version 3.7;
global_settings { assumed_gamma 1 }
#include "radius.inc"
#debug concat("\\nframe ", str(frame_number, 0, 0), " clock ", str(clock, 0, 3), "\\n")
camera { location <0, 1, -3> look_at 0 }
light_source { <2, 4, -3> rgb 1 }
sphere { <clock, 0, 0> Radius pigment { rgb <1, clock, 0> } }
"""
SAVE_SCENE = """\
import bpy, sys
scene = bpy.context.scene
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 32, 24, 100
scene.render.engine = "CYCLES"
scene.cycles.samples, scene.cycles.use_denoising = 2, False
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-1])
"""


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordingAttempt:
    return enter(tmp_path, monkeypatch)


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """A folder with a POV-Ray scene, and a blank in its name."""
    folder = tmp_path / "a shot"
    folder.mkdir()
    (folder / "ball.pov").write_text(SCENE)
    (folder / "radius.inc").write_text("#declare Radius = 0.7;\n")
    return folder


def frames_in(movie: Path) -> int:
    """How many frames a movie really has."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(movie), "-map", "0:v", "-f", "framemd5", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    return sum(not line.startswith("#") for line in done.stdout.splitlines())


def render(attempt: RecordingAttempt, shot: Path, frames: str) -> None:
    attempt.run(
        povray(
            f"{shot}/ball.pov",
            f"{shot}/ball.png",
            frames=frames,
            animation="0-10",
            width=64,
            height=48,
            quality=9,
            antialias=0.3,
            threads=1,
            args=["+FN"],
        )
    )


@pytest.mark.needs_program("povray")
@pytest.mark.needs_program("ffmpeg")
def test_frames_are_rendered_and_made_a_movie(attempt: RecordingAttempt, shot: Path) -> None:
    render(attempt, shot, "0,4-5")
    assert sorted(path.name for path in shot.glob("*.png")) == ["ball00.png", "ball04.png", "ball05.png"]
    for frame, clock in ((0, "0.000"), (4, "0.400"), (5, "0.500")):
        assert f"frame {frame} clock {clock}" in attempt.complained()
    assert attempt.progress[-1] == 100.0
    # The second start renders two frames; between them the program has to be seen to go on.
    assert {0.0, 33.3, 66.7, 100.0} < set(attempt.steps())
    assert list(dict.fromkeys(attempt.status)) == ["frame 0 (1 of 3)", "frame 4 (2 of 3)", "frame 5 (3 of 3)"]

    attempt.progress.clear()
    attempt.run(ffmpeg(f"{shot}/ball%02d.png", f"{shot}/ball.mp4", "24000/1001", frames="0,4-5", quality=20))
    assert frames_in(shot / "ball.mp4") == 3
    assert attempt.progress[-1] == 100.0


@pytest.mark.needs_program("povray")
def test_povray_without_frames_renders_a_still(attempt: RecordingAttempt, shot: Path) -> None:
    attempt.run(povray(f"{shot}/ball.pov", f"{shot}/it's one.png", width=64, height=48))
    assert (shot / "it's one.png").stat().st_size > 0
    assert attempt.progress[-1] == 100.0


@pytest.mark.needs_program("povray")
def test_povrays_errors_are_found(attempt: RecordingAttempt, shot: Path) -> None:
    (shot / "radius.inc").write_text("#if (frame_number = 5) bad #end\n#declare Radius = 0.7;\n")
    with pytest.raises(ProgramError, match=r"exit code 1: File '.*a shot/radius.inc' line 1: Parse Error: .*'bad'"):
        render(attempt, shot, "4-5")
    assert attempt.progress[-1] == 50.0
    (shot / "radius.inc").unlink()
    with pytest.raises(ProgramError, match=r"Parse Error: Cannot open include file radius\.inc"):
        render(attempt, shot, "4-5")
    with pytest.raises(ProgramError, match=r"povray ended with exit code 1: .*Cannot open input file"):
        attempt.run(povray(f"{shot}/nothing.pov"))


@pytest.mark.needs_program("ffmpeg")
def test_ffmpegs_errors_are_found(attempt: RecordingAttempt, tmp_path: Path) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=25", "-frames:v", "6"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(tmp_path / "f%d.png")], check=True)
    images, movie = f"{tmp_path}/f%d.png", f"{tmp_path}/a.mp4"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"codec": "nonsense"}, "nonsense"),
        ({"pixelFormat": "nonsense"}, "nonsense"),
        ({"output": "nowhere/a.mp4"}, "No such file or directory"),
        ({"output": f"{tmp_path}/a.nonsense"}, r"a\.nonsense"),
        ({"args": ["-nonsense"]}, "nonsense"),
    ]
    for parameters, reason in wrong:
        with pytest.raises(ProgramError, match=rf"^ffmpeg ended with exit code \d+: .*{reason}"):
            attempt.run(ffmpeg(**{"input": images, "output": movie, **parameters}))
    # Left to itself, ffmpeg would leave this image out and end with exit code 0.
    (tmp_path / "f3.png").write_bytes((tmp_path / "f3.png").read_bytes()[:200])
    with pytest.raises(ProgramError, match=r"^ffmpeg ended with exit code \d+: "):
        attempt.run(ffmpeg(images, movie))


@pytest.mark.needs_program("ffmpeg")
@pytest.mark.parametrize("kind", ["png", "tga", "jpg", "bmp"])
def test_every_image_becomes_a_frame(attempt: RecordingAttempt, tmp_path: Path, kind: str) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=25", "-frames:v", "40"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(tmp_path / f"it's %03d.{kind}")], check=True)
    attempt.run(ffmpeg(f"{tmp_path}/it's %03d.{kind}", f"{tmp_path}/a.mp4", 12.5, frames="1-40x3"))
    assert frames_in(tmp_path / "a.mp4") == 14


@pytest.mark.needs_program("blender")
def test_blender_renders_and_its_errors_are_found(attempt: RecordingAttempt, tmp_path: Path) -> None:
    scene = tmp_path / "cube.blend"
    script = ["--python-exit-code", "1", "--python-expr", SAVE_SCENE, "--", str(scene)]
    subprocess.run(["blender", "-b", "--factory-startup", *script], check=True, capture_output=True)
    settings: dict[str, Any] = {"output": f"{tmp_path}/f_##", "engine": "CYCLES", "format": "PNG", "threads": 1}
    attempt.run(blender(str(scene), frames="3,7-8", **settings))
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["f_03.png", "f_07.png", "f_08.png"]
    assert attempt.progress[-1] == 100.0
    assert {0.0, 16.7, 33.3, 50.0, 66.7, 100.0} <= set(attempt.steps())
    assert list(dict.fromkeys(attempt.status)) == ["frame 3 (1 of 3)", "frame 7 (2 of 3)", "frame 8 (3 of 3)"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"scene": "Nonsense"}, "Can't find scene: 'Nonsense'"),
        ({"format": "NONSENSE"}, "Error: Format from"),
        ({"engine": "NONSENSE"}, "Error: engine not found 'NONSENSE'"),
        ({"args": ["--python-expr", "1/0"]}, "exit code 1: Error: Python: Traceback"),
        ({"blendFile": f"{tmp_path}/nothing.blend"}, "Error: Cannot read file"),
    ]
    for parameters, reason in wrong:
        with pytest.raises(ProgramError, match=reason):
            attempt.run(blender(**{"blendFile": str(scene), "frames": 1, **settings, **parameters}))
