"""The procedure maya. Each renderer has lines of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.procs._program import NOTHING, ProgramError, Seen
from jobqueue.procs.maya import maya, parse_line
from tests.unit.procs.attempts import FakeProgram, Output, RecordingAttempt

ARNOLD = """\
[mtoa] Exporting sequence
00:00:03   512MB         | starting 8 bucket workers of size 64x64 ...
00:00:03   512MB         |     0% done - 32 rays/pixel
00:00:04   520MB         |    50% done - 41 rays/pixel
00:00:05   521MB         |   100% done - 40 rays/pixel
00:00:05   521MB         | render done in 0:02.11
"""


def argv(**parameters: Any) -> list[list[str]]:
    return [list(run.argv) for run in maya(**parameters).runs()]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"sceneFile": 3}, TypeError, "sceneFile must be text"),
        ({"sceneFile": "-r"}, ValueError, "sceneFile is '-r'"),
        ({"sceneFile": "a.mb", "frames": {}}, TypeError, "frames must be text such as"),
        ({"sceneFile": "a.mb", "frames": "1-2x0"}, ValueError, "frames: "),
        ({"sceneFile": "a.mb", "renderer": None}, TypeError, "renderer must be text"),
        ({"sceneFile": "a.mb", "project": ""}, ValueError, "project is empty"),
        ({"sceneFile": "a.mb", "outputDir": 3}, TypeError, "outputDir must be text"),
        ({"sceneFile": "a.mb", "camera": "-x"}, ValueError, "camera is '-x'"),
        ({"sceneFile": "a.mb", "args": "-x 640"}, TypeError, "args must be a list"),
        ({"sceneFile": "a.mb", "program": "-Render"}, ValueError, "program is '-Render'"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        maya(**parameters)


def test_the_scenes_own_frames_are_one_start() -> None:
    assert argv(sceneFile="/s/a.mb") == [["Render", "-r", "file", "/s/a.mb"]]
    assert maya("/s/a.mb").label == "maya a.mb"


def test_frames_are_one_start_for_each_range_with_a_step() -> None:
    start = ["/opt/Render", "-r", "arnold", "-proj", "/s", "-rd", "/o p", "-cam", "shotCam"]
    assert argv(
        sceneFile="/s/a.mb",
        frames="-5-5x5,20",
        renderer="arnold",
        project="/s",
        outputDir="/o p",
        camera="shotCam",
        args=["-ai:threads", "4"],
        program="/opt/Render",
    ) == [
        [*start, "-s", "-5", "-e", "5", "-b", "5", "-ai:threads", "4", "/s/a.mb"],
        [*start, "-s", "20", "-e", "20", "-b", "1", "-ai:threads", "4", "/s/a.mb"],
    ]
    assert maya("/s/a.mb", frames=(1, 9)).label == "maya a.mb 1-9"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("00:00:04   520MB         |    45% done - 41 rays/pixel\n", Seen(part=0.45)),
        ("// Percentage of rendering done: 34 (frame 12, layer masterLayer) //\n", Seen(part=0.34)),
        ("JOB  0.2   42 MB progr:    45.5%   rendered on host.2\n", Seen(part=0.455)),
        ("R90000   25%\n", Seen(part=0.25)),
        ("Finished Rendering /o/images/shot.0012.exr.\n", Seen(frame=12, done=True)),
        ("Finished Rendering C:/o/shot_0012.iff\n", Seen(frame=12, done=True)),
        ("Finished Rendering /o/images/shot.exr.\n", Seen(done=True)),
        ("00:00:05   521MB         | render done in 0:02.11\n", Seen(done=True)),
        ("RC   0.2   42 MB progr: rendering finished\n", Seen(done=True)),
        ("Error: line 1: UnicodeDecodeError: file ntpath.py line 108: ascii\n", Seen(reason="Error: line 1: ")),
        ("Warning: line 0: No render camera found, 100% black\n", NOTHING),
        ("Scene /s/a.mb completed.\n", NOTHING),
    ],
)
def test_lines_are_understood(line: str, expected: Seen) -> None:
    seen = parse_line(line)
    if expected.reason:
        assert seen == Seen(reason=line)
    else:
        assert seen._replace(part=None) == expected._replace(part=None)
        assert seen.part == (pytest.approx(expected.part) if expected.part is not None else None)


@pytest.mark.parametrize(
    "line",
    [
        'Error: Cannot load scene "/s/a.mb". Please check the scene name.\n',
        "Error: Scene was not loaded properly, please check the scene name\n",
        "Cannot open project: /nowhere\n",
        "Maya: License was not obtained\n",
        "Error: Could not obtain a license\n",
        "FLEXlm error: -15,570. System Error: 115\n",
        "[Redshift] Maxon licensing error: license not found\n",
        "[mtoa] Failed batch render\n",
        "00:00:02   311MB ERROR   | aborting render because no license was found\n",
        "Frame rendering aborted.\n",
        "Rendering was internally aborted\n",
        "Error: This scene does not have any renderable cameras. Rendering aborted.\n",
        "Error: Camera shotCam does not exist.\n",
        "Fatal Error. Attempting to save in /tmp/a.ma\n",
        "V-Ray error: Could not obtain a license (1001).\n",
    ],
)
def test_error_lines_are_understood(line: str) -> None:
    assert parse_line(line) == Seen(error=line)


def test_progress_is_over_all_frames_of_all_starts(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    written = "Finished Rendering /o/shot.0001.exr.\nScene /s/a.mb completed.\n"
    program = fake("Render", Output(stdout=ARNOLD + written), Output(stdout=ARNOLD + ARNOLD))
    attempt.run(maya("/s/a.mb", frames="1,5,3,4", program=program.path))
    assert [call[2:8] for call in program.calls] == [
        ["-s", "1", "-e", "5", "-b", "4"],
        ["-s", "3", "-e", "4", "-b", "1"],
    ]
    assert attempt.steps() == [0.0, 12.5, 25.0, 50.0, 62.5, 75.0, 87.5, 100.0]
    assert attempt.status[-1] == "frame 4 (4 of 4)"


def test_files_that_are_numbered_in_another_way_count_all_the_same(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram]
) -> None:
    program = fake("Render", Output(stdout="".join(f"Finished Rendering /o/s.{n:04d}.exr.\n" for n in (1001, 1002))))
    attempt.run(maya("/s/a.mb", frames=(1, 2), program=program.path))
    assert attempt.steps() == [0.0, 50.0, 100.0]


def test_an_error_with_exit_code_0_fails_the_job(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    lines = 'Error: Cannot load scene "/s/a.mb". Please check the scene name.\nScene /s/a.mb completed.\n'
    program = fake("Render", Output(stderr=lines))
    with pytest.raises(ProgramError, match="Render ended with exit code 0: Error: Cannot load scene"):
        attempt.run(maya("/s/a.mb", program=program.path))


def test_an_error_that_may_be_harmless_only_explains_an_exit_code(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram]
) -> None:
    lines = "Error: line 1: UnicodeDecodeError\nScene /s/a.mb completed.\n"
    program = fake("Render", Output(stderr=lines), Output(stderr=lines, code=211))
    attempt.run(maya("/s/a.mb", program=program.path))
    with pytest.raises(ProgramError, match="exit code 211: Error: line 1: UnicodeDecodeError"):
        attempt.run(maya("/s/a.mb", program=program.path))
