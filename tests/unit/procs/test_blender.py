"""The procedure blender. The lines are those of Blender 3.4.1 where nothing else is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.procs._program import NOTHING, ProgramError, Seen
from jobqueue.procs.blender import blender, parse_line
from tests.unit.procs.attempts import FakeProgram, Output, RecordingAttempt

HEAD = "Blender 3.4.1\nRead blend: /tmp/t.blend\n"
TAIL = "\nBlender quit\n"
MEMORY = "Mem:9.99M (Peak 10.83M)"
FRAME = """\
Fra:{frame} Mem:9.04M (Peak 10.83M) | Time:00:00.00 | Mem:0.00M, Peak:0.00M | Scene, ViewLayer | Initializing
Fra:{frame} Mem:9.99M (Peak 10.83M) | Time:00:00.07 | Remaining:00:00.00 | Mem:0.84M | Scene, ViewLayer | Sample 1/4
Fra:{frame} Mem:10.02M (Peak 10.83M) | Time:00:00.07 | Mem:0.84M, Peak:0.84M | Scene, ViewLayer | Sample 4/4
Fra:{frame} Mem:10.02M (Peak 10.83M) | Time:00:00.07 | Mem:0.84M, Peak:0.84M | Scene, ViewLayer | Finished
Saved: '/tmp/f_{frame:04d}.png'
 Time: 00:00.24 (Saving: 00:00.16)

"""


def argv(**parameters: Any) -> list[str]:
    (run,) = blender(**parameters).runs(parameters.get("output"))
    return list(run.argv)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"blendFile": 3}, TypeError, "blendFile must be text"),
        ({"blendFile": ""}, ValueError, "blendFile is empty"),
        ({"blendFile": "--version"}, ValueError, "blendFile is '--version'"),
        ({"blendFile": "a", "frames": None, "threads": "4"}, TypeError, "threads must be an int"),
        ({"blendFile": "a", "threads": 1025}, ValueError, "threads is 1025"),
        ({"blendFile": "a", "frames": [1.0, 2.0]}, ValueError, "frames: "),
        ({"blendFile": "a", "frames": "-5-5"}, ValueError, "frames holds the frame -5"),
        ({"blendFile": "a", "output": 3}, TypeError, "output must be text"),
        ({"blendFile": "a", "scene": ""}, ValueError, "scene is empty"),
        ({"blendFile": "a", "engine": "-a"}, ValueError, "engine is '-a'"),
        ({"blendFile": "a", "format": 3}, TypeError, "format must be text"),
        ({"blendFile": "a", "program": ""}, ValueError, "program is empty"),
        ({"blendFile": "a", "args": ["-P", 3]}, TypeError, r"args\[1\] must be text"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        blender(**parameters)


def test_frames_too_scattered_for_a_command_line_are_refused() -> None:
    scattered = ",".join(str(number * number) for number in range(6000))
    with pytest.raises(ValueError, match=r"frames is too scattered for one command line \(5999 pieces\)"):
        blender("a.blend", frames=scattered)


def test_the_settings_stand_between_the_file_and_the_frames() -> None:
    assert argv(
        blendFile="/shots/a b.blend",
        frames="1-100x2",
        output="//out/f_####",
        scene="Main Scene",
        engine="CYCLES",
        format="PNG",
        threads=0,
        program="/opt/blender",
        args=["-P", "setup.py"],
    ) == [
        *("/opt/blender", "-b", "/shots/a b.blend", "--python-exit-code", "1"),
        *("-S", "Main Scene", "-E", "CYCLES", "-o", "//out/f_####", "-F", "PNG", "-t", "0"),
        *("-P", "setup.py"),
        *("-s", "1", "-e", "99", "-j", "2", "-a"),
    ]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (None, ["-a"]),
        (5, ["-f", "5"]),
        ((1, 4), ["-s", "1", "-e", "4", "-j", "1", "-a"]),
        ("1-3,7,9-10", ["-f", "1..3,7,9..10"]),
        ("3-1", ["-f", "3,2,1"]),
        ("0-250x50", ["-s", "0", "-e", "250", "-j", "50", "-a"]),
    ],
)
def test_frames_are_given_as_blender_takes_them(frames: Any, expected: list[str]) -> None:
    assert argv(blendFile="a.blend", frames=frames)[5:] == expected


def test_the_label_has_the_file_and_the_frames() -> None:
    assert blender("/shots/a.blend").label == "blender a.blend"
    assert blender("/shots/a.blend", frames="1-100x2,200").label == "blender a.blend 1-99x2,200"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"Fra:12 {MEMORY} | Time:00:00.07 | Remaining:00:00.00 | Scene, ViewLayer | Sample 1/4\n", (12, 0.25)),
        (f"Fra:12 {MEMORY} | Time:00:12.22 | Rendering 16 / 64 samples\n", (12, 0.25)),
        (f"Fra:12 {MEMORY} | Time:00:00.06 | Scene, ViewLayer | Updating Mesh | Computing attributes\n", (12, None)),
        # Blender 2.8 and 2.7
        ("Fra:3 Mem:41.2M (0.0M, Peak 41.8M) | Time:00:01.25 | Rendered 30/120 Tiles, Sample 5/128\n", (3, 0.25)),
        ("Fra:3 Mem:41.2M (0.0M, Peak 41.8M) | Path Tracing Tile 30/120, Sample 12/32\n", (3, 0.25)),
        ("Fra:3 Mem:22.04M (0.00M, Peak 28.48M) | Time:00:00.50 | Scene, Part 15-60\n", (3, 0.25)),
        # Blender 3.0, an image that is no larger than a tile
        ("Fra:3 Mem:41.2M (Peak 41.8M) | Rendered 0/1 Tiles, Sample 32/128\n", (3, 0.25)),
        ("Fra:3 Mem:41.2M (Peak 41.8M) | Sample 0/0\n", (3, None)),
        # Blender 5
        ("00:01.250  render           | Fra: 12 | Mem: 21M | ViewLayer | Sample 16/64\n", (12, 0.25)),
    ],
)
def test_progress_lines_are_understood(line: str, expected: tuple[int, float | None]) -> None:
    assert parse_line(line) == Seen(frame=expected[0], part=expected[1])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (" Time: 00:00.24 (Saving: 00:00.16)\n", Seen(done=True)),
        (" Time: 01:02:03.24 (Saving: 00:00.16)\n", Seen(done=True)),
        ("Saved: '/tmp/f_0001.png'\n", NOTHING),
        ("Read blend: /tmp/Error: odd name.blend\n", NOTHING),
        ("EGL Error (0x3001): EGL_NOT_INITIALIZED: EGL is not initialized\n", NOTHING),
        ("Color management: Error could not find role data role.\n", NOTHING),
        ("Error: Not freed memory blocks: 12, total unfreed memory 0.013115 MB\n", NOTHING),
        ("Blender quit\n", NOTHING),
    ],
)
def test_other_lines_are_told_apart(line: str, expected: Seen) -> None:
    assert parse_line(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "Error: Cannot read file '/tmp/nofile.blend': No such file or directory\n",
        "Error: File format is not supported in file '/tmp/garb.blend'\n",
        "Error: Cannot render, no camera\n",
        "Error: Render error (Invalid argument) cannot save: '/proc/x/g_0001.png'\n",
        "Error: engine not found 'NOENGINE'\n",
        "Error: Format from '-F / --render-format' not known or not compiled in this release.\n",
        "Error: Python: Traceback (most recent call last):\n",
        "Can't find scene: 'NoScene' in file: '/tmp/t.blend'\n",
        "Fra:1 Mem:9M | Time:00:00.08 | Scene, ViewLayer | Error: System is out of GPU memory\n",
    ],
)
def test_error_lines_are_understood(line: str) -> None:
    assert parse_line(line) == Seen(error=line)


def test_progress_is_over_all_frames(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    program = fake("blender", Output(stdout=HEAD + "".join(FRAME.format(frame=frame) for frame in (2, 4)) + TAIL))
    attempt.run(blender("/tmp/t.blend", frames="2,4", program=program.path))
    assert attempt.steps() == [0.0, 12.5, 50.0, 62.5, 100.0]
    assert list(dict.fromkeys(attempt.status)) == ["frame 2 (1 of 2)", "frame 4 (2 of 2)"]
    assert program.calls == [["-b", "/tmp/t.blend", "--python-exit-code", "1", "-s", "2", "-e", "4", "-j", "2", "-a"]]


def test_the_scenes_own_range_has_a_status_but_no_percentage(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram]
) -> None:
    program = fake("blender", Output(stdout=HEAD + FRAME.format(frame=7) + TAIL))
    attempt.run(blender("/tmp/t.blend", program=program.path))
    assert set(attempt.progress) == {0.0}
    assert attempt.status[-1] == "frame 7"


def test_an_error_with_exit_code_0_fails_the_job(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    lost = "Can't find scene: 'NoScene' in file: '/tmp/t.blend'\n"
    program = fake("blender", Output(stdout=HEAD + lost + FRAME.format(frame=1) + TAIL))
    with pytest.raises(ProgramError, match="blender ended with exit code 0: Can't find scene: 'NoScene' in file"):
        attempt.run(blender("/tmp/t.blend", frames=1, scene="NoScene", program=program.path))


def test_an_exit_code_is_told_with_blenders_reason(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    program = fake("blender", Output(stdout=HEAD + "Error: Cannot render, no camera\n" + TAIL, code=1))
    with pytest.raises(ProgramError, match=r"blender ended with exit code 1: Error: Cannot render, no camera$"):
        attempt.run(blender("/tmp/t.blend", frames=1, program=program.path))
