"""Programs that name their images themselves: what they write is published when the job has succeeded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.errors import OutputError
from jobqueue.procs._program import ProgramError, ProgramProc
from jobqueue.procs.blender import blender
from jobqueue.procs.ffmpeg import ffmpeg
from jobqueue.procs.povray import povray
from tests.unit.procs.attempts import RecordingAttempt

# Writes two numbered images where it is told, as a renderer does, and ends as it is told.
RENDERER = """#!{python}
import os, sys
where = next(word for word in sys.argv[1:] if "frames" in word)
where = where[where.index("/"):].strip('"')
assert not os.path.exists(where), "the program sees its final name"
for number in {numbers}:
    open(f"{{where}}{{number}}.png", "w").write(f"image {{number}}")
sys.exit({code})
"""


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "f2.png").write_text("old")
    return folder


@pytest.fixture
def renderer(tmp_path: Path) -> Callable[..., str]:
    """Makes a renderer; its path."""

    def make(numbers: tuple[int, ...] = (1, 2), code: int = 0) -> str:
        path = tmp_path / "renderer"
        path.write_text(RENDERER.format(python=sys.executable, numbers=numbers, code=code))
        path.chmod(0o755)
        return str(path)

    return make


def images(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() if path.is_file() else "folder" for path in sorted(folder.iterdir())}


def povray_on(frames: Path, program: str) -> ProgramProc:
    return povray("s.pov", f"{frames}/f", frames="1-2", program=program)


def blender_on(frames: Path, program: str) -> ProgramProc:
    return blender("s.blend", "1-2", output=f"{frames}/f", program=program)


BOTH = pytest.mark.parametrize("make", [povray_on, blender_on])


@BOTH
def test_all_that_was_written_is_published(
    attempt: RecordingAttempt, frames: Path, renderer: Callable[..., str], make: Callable[[Path, str], ProgramProc]
) -> None:
    attempt.run(make(frames, renderer()))
    assert images(frames) == {"f1.png": "image 1", "f2.png": "image 2"}


@BOTH
def test_of_a_program_that_fails_nothing_is_published(
    attempt: RecordingAttempt, frames: Path, renderer: Callable[..., str], make: Callable[[Path, str], ProgramProc]
) -> None:
    with pytest.raises(ProgramError, match="exit code 3"):
        attempt.run(make(frames, renderer(code=3)))
    assert images(frames)["f2.png"] == "old"
    assert "f1.png" not in images(frames)
    assert attempt.outputs.sync() == []


@BOTH
def test_a_program_that_wrote_nothing_has_failed(
    attempt: RecordingAttempt, frames: Path, renderer: Callable[..., str], make: Callable[[Path, str], ProgramProc]
) -> None:
    program = renderer(())
    with pytest.raises(ProgramError) as caught:
        attempt.run(make(frames, program))
    assert str(caught.value) == f"{program} has ended well, but has written nothing to {frames}/f"


def test_a_folder_that_is_missing_is_named(
    attempt: RecordingAttempt, frames: Path, renderer: Callable[..., str]
) -> None:
    with pytest.raises(OutputError, match="none: the directory of an output is missing"):
        attempt.run(povray_on(frames / "none", renderer()))


def test_blender_makes_the_folder_that_it_is_told(
    attempt: RecordingAttempt, frames: Path, renderer: Callable[..., str]
) -> None:
    attempt.run(blender_on(frames / "v2" / "a", renderer()))
    assert images(frames / "v2" / "a") == {"f1.png": "image 1", "f2.png": "image 2"}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, None),
        ({"output": "f####"}, None),
        ({"output": "/f/f####"}, "/f/f####"),
        ({"output": "/f/"}, "/f/"),
        ({"output": "/f##/f"}, None),
        ({"output": "//out/f_##"}, "/shots/out/f_##"),
        ({"output": "//out/f_##", "blendFile": "s.blend"}, None),
    ],
)
def test_where_blenders_images_belong(parameters: dict[str, Any], expected: str | None) -> None:
    assert blender(**{"blendFile": "/shots/s.blend", **parameters}).find_output() == expected


def test_a_relative_path_is_the_programs_own_business(
    attempt: RecordingAttempt, renderer: Callable[..., str], tmp_path: Path
) -> None:
    program = tmp_path / "own"
    program.write_text('#!/bin/sh\necho "$@" > told; echo x > a.png\n')
    program.chmod(0o755)
    attempt.run(povray("s.pov", "a.png", program=str(program)))
    assert '+O"a.png"' in Path(attempt.running_dir, "told").read_text()
    assert attempt.outputs.temporaries == []


def test_a_movie_is_published_whole_and_one_with_too_few_frames_is_not(
    attempt: RecordingAttempt, frames: Path, tmp_path: Path
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\necho movie > "$last"\necho frame=1\n')
    program.chmod(0o755)
    attempt.run(ffmpeg([f"{frames}/f2.png"], f"{frames}/m.mp4", program=str(program)))
    assert images(frames) == {"f2.png": "old", "m.mp4": "movie\n"}
    (frames / "m.mp4").write_text("the one before")
    with pytest.raises(ProgramError, match=r"m\.mp4 has 1 frames, but there are 2 images"):
        attempt.run(ffmpeg([f"{frames}/f2.png"] * 2, f"{frames}/m.mp4", program=str(program)))
    assert images(frames)["m.mp4"] == "the one before"
