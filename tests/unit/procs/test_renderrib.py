"""The procedure renderrib. Each renderer has lines of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.procs._program import NOTHING, ProgramError, Seen
from jobqueue.procs.renderrib import parse_line, renderrib
from tests.unit.procs.attempts import FakeProgram, Output, RecordingAttempt


def argv(**parameters: Any) -> list[list[str]]:
    return [list(run.argv) for run in renderrib(**parameters).runs()]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"ribFile": 3}, TypeError, "ribFile must be text or a list of texts, not int"),
        ({"ribFile": []}, ValueError, "ribFile is an empty list"),
        ({"ribFile": ["a.rib", "-b.rib"]}, ValueError, r"ribFile\[1\] is '-b.rib'"),
        ({"ribFile": "a.rib", "frames": "1-3"}, ValueError, "ribFile is 'a.rib'; it needs one %d"),
        ({"ribFile": ["a.%d.rib"], "frames": "1-3"}, TypeError, "ribFile must be text"),
        ({"ribFile": "a.%d.rib", "frames": "x"}, ValueError, "frames: "),
        ({"ribFile": "a.rib", "renderer": "mantra"}, ValueError, "there are 3delight, aqsis, prman, rndr"),
        ({"ribFile": "a.rib", "renderer": 3}, TypeError, "renderer must be text"),
        ({"ribFile": "a.rib", "args": "-t:4"}, TypeError, "args must be a list"),
        ({"ribFile": "a.rib", "program": 3}, TypeError, "program must be text"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        renderrib(**parameters)


@pytest.mark.parametrize(
    ("renderer", "start"),
    [
        ("prman", ["prman", "-Progress"]),
        ("aqsis", ["aqsis", "-Progress"]),
        ("rndr", ["rndr", "-p"]),
        ("3delight", ["renderdl", "-progress"]),
    ],
)
def test_each_renderer_is_told_to_print_its_progress(renderer: str, start: list[str]) -> None:
    assert argv(ribFile="/s/a.rib", renderer=renderer) == [[*start, "/s/a.rib"]]
    assert argv(ribFile="/s/a.rib", renderer=renderer, program="/opt/r", args=["-t:4", "o.rib"]) == [
        ["/opt/r", start[1], "-t:4", "o.rib", "/s/a.rib"]
    ]


def test_each_file_is_one_start() -> None:
    assert argv(ribFile=["b.rib", "a.rib"]) == [["prman", "-Progress", "b.rib"], ["prman", "-Progress", "a.rib"]]
    assert argv(ribFile="/s/f.%04d.rib", frames="1-5x2") == [
        ["prman", "-Progress", f"/s/f.{frame:04d}.rib"] for frame in (1, 3, 5)
    ]


def test_the_label_has_the_renderer_and_the_files() -> None:
    assert renderrib("/s/a.rib").label == "prman a.rib"
    assert renderrib(["/s/a.rib", "/s/b.rib", "/s/c.rib"], renderer="aqsis").label == "aqsis a.rib and 2 more"
    assert renderrib("/s/f.%04d.rib", frames="1-5x2").label == "prman f.%04d.rib 1-5x2"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("R90000   25%\n", 0.25),
        ("R90000 PROGRESS: 100%\n", 1.0),
        ("R90000 25.00%                                                                 \n", 0.25),
        ("Frame (1)  12.50% complete [ 3 secs / 21 S left ]        \r", 0.125),
        ("  12.5 %\n", 0.125),
        ("Done 12.5%\r", 0.125),
        ("Texture cache: 98% hits\n", None),
        ("Rendering a.rib\n", None),
    ],
)
def test_progress_lines_are_understood(line: str, part: float | None) -> None:
    assert parse_line(line) == (NOTHING if part is None else Seen(part=part))


@pytest.mark.parametrize(
    ("line", "fatal"),
    [
        ("R05001 {SEVERE} Could not open the display driver.\n", True),
        ('CRITICAL: Cannot open file "a.rib"\n', True),
        ("3DL ERROR L2033: cannot open file 'a.rib'\n", True),
        ("3DL SEVERE ERROR R5033: no license\n", True),
        ('S01001 {ERROR} Cannot load shader "wood".\n', False),
        ('ERROR: Shader "wood" not found\n', False),
    ],
)
def test_error_lines_are_told_from_those_that_a_renderer_gets_over(line: str, fatal: bool) -> None:
    assert parse_line(line) == (Seen(error=line) if fatal else Seen(reason=line))


def test_progress_is_over_all_files(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram], tmp_path: Path
) -> None:
    for frame in (1, 2):
        (tmp_path / f"f.{frame}.rib").write_text("")
    program = fake("prman", Output(stderr="R90000    0%\nR90000   50%\nR90000  100%\n"))
    attempt.run(renderrib(f"{tmp_path}/f.%d.rib", frames=(1, 2), program=program.path))
    assert attempt.steps() == [0.0, 25.0, 50.0, 75.0, 100.0]
    assert list(dict.fromkeys(attempt.status)) == ["f.1.rib (1 of 2)", "f.2.rib (2 of 2)"]


def test_a_missing_file_is_named_before_anything_is_rendered(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram], tmp_path: Path
) -> None:
    (tmp_path / "a.rib").write_text("")
    program = fake("renderdl")
    with pytest.raises(ProgramError, match=r"the RIB file .*b\.rib is not there, seen from this host"):
        attempt.run(renderrib([f"{tmp_path}/a.rib", f"{tmp_path}/b.rib"], renderer="3delight", program=program.path))
    assert program.calls == []
    assert "b.rib is not there" in attempt.status[-1]


def test_a_renderer_that_gives_up_fails_the_job(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram], tmp_path: Path
) -> None:
    (tmp_path / "a.rib").write_text("")
    program = fake("renderdl", Output(stderr="3DL ERROR L2033: cannot open display 'x'\n"))
    with pytest.raises(ProgramError, match="exit code 0: 3DL ERROR L2033"):
        attempt.run(renderrib(f"{tmp_path}/a.rib", renderer="3delight", program=program.path))
