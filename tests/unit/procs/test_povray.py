"""The procedure povray. The lines are those of POV-Ray 3.7.0.10."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.procs._program import NOTHING, ProgramError, Seen
from jobqueue.procs.povray import parse_line, povray
from tests.unit.procs.attempts import FakeProgram, Output, RecordingAttempt

FRAME = """\
Rendering frame {nth} of {all}

Parser Options
  Input file: s.pov
  Library paths:
    /usr/share/povray-3.7
Animation Options
  Initial Frame:        1  Final Frame:        3
==== [Parsing...] ==========================================================
Parse Warning: assumed_gamma not specified, so gamma_correction is turned off
 for compatibility with this pre POV-Ray 3.7 scene. See the documentation for
 more details.
----------------------------------------------------------------------------
Parser Statistics
----------------------------------------------------------------------------
Finite Objects:            1
==== [Rendering...] ========================================================
Rendered 192 of 768 pixels (25%)\rRendered 384 of 768 pixels (50%)\rRendered 768 of 768 pixels (100%)\r
----------------------------------------------------------------------------
Ray->Shape Intersection          Tests       Succeeded  Percentage
----------------------------------------------------------------------------
Sphere                             850             108     12.71
Render Time:
  Trace Time:       0 hours  0 minutes  0 seconds (0.001 seconds)
"""
START = """\
povray: cannot open the user configuration file /root/.povray/3.7/povray.conf: No such file or directory
Persistence of Vision(tm) Ray Tracer Version 3.7.0.10.unofficial (g++ @
 x86_64-pc-linux-gnu)

"""
FAILED = """\
==== [Parsing...] ==========================================================
File 'bad.pov' line 1: Parse Error: Expected 'object or directive', undeclared
 identifier 'bad' found instead
Fatal error in parser: Cannot parse input.
Render failed

"""


def argv(**parameters: Any) -> list[list[str]]:
    return [list(run.argv) for run in povray(**parameters).runs(parameters.get("output"))]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"sceneFile": None}, TypeError, "sceneFile must be text"),
        ({"sceneFile": "-x.pov"}, ValueError, "sceneFile is '-x.pov'"),
        ({"sceneFile": "a\"b'c.pov"}, ValueError, "sceneFile holds both kinds of quotes"),
        ({"sceneFile": "a.pov", "output": 3}, TypeError, "output must be text"),
        ({"sceneFile": "a.pov", "frames": 1.5}, TypeError, "frames must be text such as"),
        ({"sceneFile": "a.pov", "frames": "x"}, ValueError, "frames: 'x' is no frame range"),
        ({"sceneFile": "a.pov", "frames": "-3-5"}, ValueError, "frames holds the frame -3"),
        ({"sceneFile": "a.pov", "frames": 5}, ValueError, "animation must have two frames or more"),
        ({"sceneFile": "a.pov", "frames": 5, "animation": 5}, ValueError, "animation must have two frames or more"),
        (
            {"sceneFile": "a.pov", "frames": 5, "animation": "7-9"},
            ValueError,
            "frames goes beyond animation, .* 7 to 9",
        ),
        ({"sceneFile": "a.pov", "frames": 5, "animation": (1, 4)}, ValueError, "frames goes beyond animation"),
        ({"sceneFile": "a.pov", "animation": "1-9"}, ValueError, "animation is given without frames"),
        ({"sceneFile": "a.pov", "frames": 1, "animation": "-1-9"}, ValueError, "animation holds the frame -1"),
        ({"sceneFile": "a.pov", "width": "640"}, TypeError, "width must be an int"),
        ({"sceneFile": "a.pov", "width": 0}, ValueError, "width is 0"),
        ({"sceneFile": "a.pov", "height": 2_000_000}, ValueError, "height is 2000000"),
        ({"sceneFile": "a.pov", "quality": 12}, ValueError, "quality is 12"),
        ({"sceneFile": "a.pov", "antialias": True}, TypeError, "antialias must be a number, not bool"),
        ({"sceneFile": "a.pov", "antialias": "0.3"}, TypeError, "antialias must be a number, not str"),
        ({"sceneFile": "a.pov", "antialias": 0.0}, ValueError, "antialias is 0.0"),
        ({"sceneFile": "a.pov", "antialias": float("nan")}, ValueError, "antialias is nan"),
        ({"sceneFile": "a.pov", "includePaths": "/inc"}, TypeError, "includePaths must be a list of texts"),
        ({"sceneFile": "a.pov", "includePaths": ["/inc", ""]}, ValueError, r"includePaths\[1\] is empty"),
        ({"sceneFile": "a.pov", "threads": 0}, ValueError, "threads is 0"),
        ({"sceneFile": "a.pov", "args": "+A"}, TypeError, "args must be a list of texts"),
        ({"sceneFile": "a.pov", "program": 3}, TypeError, "program must be text"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        povray(**parameters)


def test_a_still_is_one_start() -> None:
    assert argv(sceneFile="/shots/a b/ball.pov") == [
        ["povray", '+I"/shots/a b/ball.pov"', '+L"/shots/a b"', "-D", "+V"]
    ]
    assert argv(sceneFile="ball.pov") == [["povray", '+I"ball.pov"', "-D", "+V"]]
    assert povray("/shots/ball.pov").label == "povray ball.pov"


def test_every_option_has_its_argument() -> None:
    assert argv(
        sceneFile="/s/ball.pov",
        output='/o/the "ball".png',
        width=640,
        height=480,
        quality=9,
        antialias=0.3,
        includePaths=["/inc", "/more inc"],
        threads=2,
        args=["+FN", ""],
        program="/opt/povray",
    ) == [
        [
            "/opt/povray",
            '+I"/s/ball.pov"',
            '+L"/s"',
            '+L"/inc"',
            '+L"/more inc"',
            "+O'/o/the \"ball\".png'",
            *("+W640", "+H480", "+Q9", "+A0.3", "+WT2", "-D", "+V", "+FN", ""),
        ]
    ]


def test_frames_are_one_start_for_each_contiguous_range() -> None:
    common = ["povray", '+I"ball.pov"', "-D", "+V", "+KFI1", "+KFF100"]
    assert argv(sceneFile="ball.pov", frames="11-20,5,7", animation=(1, 100), args=["+FN"]) == [
        [*common, "+SF11", "+EF20", "+FN"],
        [*common, "+SF5", "+EF5", "+FN"],
        [*common, "+SF7", "+EF7", "+FN"],
    ]
    assert povray("ball.pov", frames="11-20", animation="1-100").label == "povray ball.pov 11-20"


def test_the_frames_are_the_whole_animation_where_nothing_else_is_said() -> None:
    common = ["povray", '+I"ball.pov"', "-D", "+V", "+KFI0", "+KFF4"]
    assert argv(sceneFile="ball.pov", frames="0-4x2") == [
        [*common, f"+SF{frame}", f"+EF{frame}"] for frame in (0, 2, 4)
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Rendering frame 3 of 10\n", Seen(finished=2)),
        ("Rendered 192 of 768 pixels (25%)\r", Seen(part=0.25)),
        ("Rendered 0 of 0 pixels (0%)\r", Seen(part=0.0)),
        ("Sphere                             850             108     12.71\n", NOTHING),
        ("Parse Warning: assumed_gamma not specified, so gamma_correction is turned off\n", NOTHING),
        ("povray: cannot open the user configuration file /root/.povray/3.7/povray.conf: No such file\n", NOTHING),
    ],
)
def test_progress_lines_are_understood(line: str, expected: Seen) -> None:
    assert parse_line(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "File 'bad.pov' line 1: Parse Error: Expected 'numeric expression', End of File\n",
        "Parse Error: Cannot open input file.\n",
        "Fatal error in parser: Cannot parse input.\n",
        "Cannot create render state output file.\n",
        "Cannot open file.\n",
        "Failed to parse command-line option\n",
        "Render failed\n",
        "terminate called after throwing an instance of 'pov_base::Exception'\n",
    ],
)
def test_error_lines_are_understood(line: str) -> None:
    assert parse_line(line) == Seen(error=line)


def test_a_file_that_is_not_found_at_once_is_only_a_hint() -> None:
    line = "Possible Parse Error: Cannot find file 'nonexist.pov', even after trying to\n"
    assert parse_line(line) == Seen(reason=line)


def test_progress_is_over_all_frames_of_all_starts(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    # The first frame of a start is announced twice.
    first = f"{START}Rendering frame 1 of 2\n\n{FRAME.format(nth=1, all=2)}{FRAME.format(nth=2, all=2)}"
    program = fake("povray", Output(stderr=first), Output(stderr=FRAME.format(nth=1, all=1)))
    attempt.run(povray("s.pov", frames="1-2,9", animation="1-10", program=program.path))
    assert attempt.steps() == [0.0, 8.3, 16.7, 33.3, 41.7, 50.0, 66.7, 75.0, 83.3, 100.0]
    assert list(dict.fromkeys(attempt.status)) == ["frame 1 (1 of 3)", "frame 2 (2 of 3)", "frame 9 (3 of 3)"]
    assert [call[-2:] for call in program.calls] == [["+SF1", "+EF2"], ["+SF9", "+EF9"]]


def test_a_still_shows_its_name_and_its_pixels(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    program = fake("povray", Output(stderr=START + FRAME.partition("\n")[2]))
    attempt.run(povray("/shots/s.pov", program=program.path))
    assert attempt.steps() == [0.0, 25.0, 50.0, 100.0]
    assert set(attempt.status) == {"s.pov"}


def test_a_parse_error_is_the_message_put_together(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    program = fake("povray", Output(stderr=START + FAILED, code=1))
    with pytest.raises(ProgramError) as caught:
        attempt.run(povray("bad.pov", program=program.path))
    assert str(caught.value).endswith(
        "povray ended with exit code 1: File 'bad.pov' line 1: Parse Error: Expected 'object or directive', "
        "undeclared identifier 'bad' found instead"
    )


def test_a_failure_is_one_with_exit_code_0_too(attempt: RecordingAttempt, fake: Callable[..., FakeProgram]) -> None:
    program = fake("povray", Output(stderr=FRAME.format(nth=1, all=1) + "Render failed\n"))
    with pytest.raises(ProgramError, match="exit code 0: Render failed"):
        attempt.run(povray("s.pov", program=program.path))
