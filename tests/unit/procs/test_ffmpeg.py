"""The procedure ffmpeg. The lines are those of ffmpeg 5.1 and 9.0."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobqueue.procs._program import NOTHING, ProgramError, Seen
from jobqueue.procs.ffmpeg import concat_list, ffmpeg, first_gap, matching, parse_line
from tests.unit.procs.attempts import FakeProgram, Output, RecordingAttempt

START = ["-hide_banner", "-nostdin", "-nostats", "-progress", "pipe:1", "-loglevel", "error", "-xerror", "-y"]


def progress(*frames: int) -> str:
    """What -progress prints."""
    texts = [
        f"frame={frame}\nfps=0.00\nstream_0_0_q=28.0\nbitrate= 129.3kbits/s\ntotal_size=2696\nout_time_us=166748\n"
        f"out_time=00:00:00.166748\ndup_frames=0\ndrop_frames=0\nspeed=  25x\nprogress="
        for frame in frames
    ]
    return "continue\n".join(texts) + "end\n"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with five images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for frame in range(1, 6):
        (folder / f"f_{frame:04d}.png").write_text("")
    return folder


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"input": 3}, TypeError, "input must be text or a list of texts, not int"),
        ({"input": []}, ValueError, "input is an empty list"),
        ({"input": ["a.png", ""]}, ValueError, r"input\[1\] is empty"),
        ({"input": "f.png"}, ValueError, "input is 'f.png'; it needs one %d"),
        ({"input": "f_%d/x.png"}, ValueError, "input has the frame number in a folder's name; give frames="),
        ({"input": ["a.png"], "frames": 1}, TypeError, "input must be text"),
        ({"frames": "x"}, ValueError, "frames: "),
        ({"output": None}, TypeError, "output must be text"),
        ({"output": "-"}, ValueError, "output is '-'"),
        ({"framerate": 0}, ValueError, "framerate is 0; it must be above 0"),
        ({"framerate": -24.0}, ValueError, "framerate is -24.0"),
        ({"framerate": "24/0"}, ValueError, "framerate is '24/0'"),
        ({"framerate": "film"}, ValueError, "framerate is 'film'"),
        ({"framerate": float("nan")}, ValueError, "framerate is nan"),
        ({"framerate": True}, TypeError, "framerate must be a number or text, not bool"),
        ({"framerate": [24]}, TypeError, "framerate must be a number or text, not list"),
        ({"codec": ""}, ValueError, "codec is empty"),
        ({"quality": "18"}, TypeError, "quality must be an int"),
        ({"quality": 64}, ValueError, "quality is 64"),
        ({"pixelFormat": 3}, TypeError, "pixelFormat must be text"),
        ({"args": "-an"}, TypeError, "args must be a list"),
        ({"program": ""}, ValueError, "program is empty"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ffmpeg(**{"input": "f_%04d.png", "output": "a.mp4", **parameters})


def test_the_default_is_a_movie_that_all_players_show() -> None:
    assert ffmpeg("f_%04d.png", "/o/a.mp4").arguments("ffmpeg", "/o/a.mp4") == [
        *("ffmpeg", *START, "-r", "24", "-f", "concat", "-safe", "0", "-i", "frames.ffconcat"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", "/o/a.mp4"),
    ]
    assert ffmpeg("f_%04d.png", "/o/a.mp4").label == "ffmpeg a.mp4"


@pytest.mark.parametrize(
    ("parameters", "rate", "encoding"),
    [
        ({"framerate": 23.976}, "2997/125", ["-c:v", "libx264", "-pix_fmt", "yuv420p"]),
        ({"framerate": "24000/1001"}, "24000/1001", ["-c:v", "libx264", "-pix_fmt", "yuv420p"]),
        ({"framerate": "12.5"}, "25/2", ["-c:v", "libx264", "-pix_fmt", "yuv420p"]),
        ({"quality": 18}, "24", ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p"]),
        (
            {"codec": "libvpx-vp9", "quality": 30},
            "24",
            ["-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "0", "-pix_fmt", "yuv420p"],
        ),
        ({"codec": "mjpeg", "quality": 2, "pixelFormat": None}, "24", ["-c:v", "mjpeg", "-q:v", "2"]),
        (
            {"args": ["-i", "sound.wav", "-shortest"], "pixelFormat": None},
            "24",
            ["-i", "sound.wav", "-shortest", "-c:v", "libx264"],
        ),
    ],
)
def test_every_option_has_its_arguments(parameters: dict[str, Any], rate: str, encoding: list[str]) -> None:
    assert ffmpeg("f_%04d.png", "a.mp4", **parameters).arguments("ff", "a.mp4") == [
        *("ff", *START, "-r", rate, "-f", "concat", "-safe", "0", "-i", "frames.ffconcat", *encoding, "a.mp4")
    ]


def test_images_are_listed_with_their_quotes_and_times() -> None:
    assert concat_list(["/a b/f 1.png", "it's.png"], Fraction(24)) == (
        "ffconcat version 1.0\nfile '/a b/f 1.png'\nduration 0.041667\nfile 'it'\\''s.png'\nduration 0.041667\n"
    )


def test_a_pattern_finds_its_numbers_in_a_folder() -> None:
    names = ["f_0001.png", "f_0010.png", "f_0002.png", "f_10000.png", "f_-001.png"]
    others = ["f_01.png", "f_0001.exr", "g_0001.png", "f_.png", "f_00x1.png", "f_00001.png", "f_", ".png"]
    assert matching("f_%04d.png", names + others) == [-1, 1, 2, 10, 10000]
    assert matching("%d", ["1", "01", "12", "x"]) == [1, 12]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([], None), ([5], None), ([1, 2, 3], None), ([2, 4, 6], None), ([1, 2, 4, 5], 3), ([2, 4, 8], 6), ([1, 5, 6], 2)],
)
def test_a_gap_is_found_where_the_steps_are_not_equal(numbers: list[int], expected: int | None) -> None:
    assert first_gap(numbers) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("frame=12\n", Seen(finished=12)),
        ("frame=   12\r\n", Seen(finished=12)),
        ("fps=0.00\n", NOTHING),
        ("progress=end\n", NOTHING),
        ("frame=   12 fps=0.0 q=28.0 Lsize=       2kB time=00:00:00.16 bitrate= 116.6kbits/s\r", NOTHING),
        ("[png @ 0x562b7503af80] chunk too big\n", NOTHING),
    ],
)
def test_progress_lines_are_understood(line: str, expected: Seen) -> None:
    assert parse_line(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "Unknown encoder 'nocodec'\n",
        "[libx264 @ 0x560c25a73d00] width not divisible by 2 (65x49)\n",
        "[NULL @ 0x55907a58e240] Unable to find a suitable output format for 'z.nofmt'\n",
        "/nodir/z.mp4: No such file or directory\n",
        "Unrecognized option 'bogus'.\n",
        "Unknown pixel format requested: bad.\n",
        "[concat @ 0x560297cde200] Impossible to open '/tmp/nofile.png'\n",
        "Error while decoding stream #0:0: Invalid data found when processing input\n",
        "[out#0/mp4 @ 0x55f79057c6c0] Error opening output /nodir/z.mp4: No such file or directory\n",
    ],
)
def test_error_lines_explain_an_exit_code(line: str) -> None:
    assert parse_line(line) == Seen(reason=line)


def test_all_images_of_a_pattern_are_taken_in_order(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram], images: Path
) -> None:
    program = fake("ffmpeg", Output(stdout=progress(0, 2, 4, 5)))
    attempt.run(ffmpeg(f"{images}/f_%04d.png", "a.mp4", program=program.path))
    listed = (Path(attempt.running_dir) / "frames.ffconcat").read_text()
    assert listed == concat_list([f"{images}/f_{frame:04d}.png" for frame in range(1, 6)], Fraction(24))
    assert program.calls[0][-1] == "a.mp4"
    assert attempt.steps() == [0.0, 40.0, 80.0, 100.0]
    assert list(dict.fromkeys(attempt.status)) == [f"f_{frame:04d}.png ({frame} of 5)" for frame in (1, 3, 5)]


def test_frames_and_lists_choose_the_images(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram], images: Path
) -> None:
    chosen = [f"{images}/f_{frame:04d}.png" for frame in (5, 1)]
    program = fake("ffmpeg", Output(stdout=progress(2)))
    listed = Path(attempt.running_dir) / "frames.ffconcat"
    attempt.run(ffmpeg(f"{images}/f_%04d.png", "a.mp4", frames="5,1", program=program.path))
    assert listed.read_text() == concat_list(chosen, Fraction(24))
    listed.unlink()
    attempt.run(ffmpeg(chosen, "a.mp4", program=program.path))
    assert listed.read_text() == concat_list(chosen, Fraction(24))


def test_a_pattern_without_a_folder_is_looked_up_in_the_running_directory(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram]
) -> None:
    (Path(attempt.running_dir) / "f7.png").write_text("")
    attempt.run(ffmpeg("f%d.png", "a.mp4", program=fake("ffmpeg", Output(stdout=progress(1))).path))


@pytest.mark.parametrize(
    ("pattern", "frames", "message"),
    [
        ("{}/g_%04d.png", None, r"there is no image .*g_%04d\.png, seen from this host"),
        ("{}/nowhere/f_%04d.png", None, r"there is no image .*nowhere/f_%04d\.png, seen from this host"),
        ("{}/f_%04d.png", "4-8", r"3 of 5 images are missing, the first one is .*f_0006\.png"),
    ],
)
def test_missing_images_are_named_before_anything_is_encoded(
    attempt: RecordingAttempt,
    fake: Callable[..., FakeProgram],
    images: Path,
    pattern: str,
    frames: str | None,
    message: str,
) -> None:
    program = fake("ffmpeg")
    with pytest.raises(ProgramError, match=message):
        attempt.run(ffmpeg(pattern.format(images), "a.mp4", frames=frames, program=program.path))
    assert program.calls == []


def test_a_gap_in_the_images_is_named(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram], images: Path
) -> None:
    (images / "f_0003.png").unlink()
    with pytest.raises(ProgramError, match=r"the image .*f_0003\.png is missing; render it, or give frames="):
        attempt.run(ffmpeg(f"{images}/f_%04d.png", "a.mp4", program=fake("ffmpeg").path))


def test_a_movie_with_too_few_frames_fails_the_job(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram], images: Path
) -> None:
    program = fake("ffmpeg", Output(stdout=progress(4)))
    with pytest.raises(ProgramError, match=r"a\.mp4 has 4 frames, but there are 5 images"):
        attempt.run(ffmpeg(f"{images}/f_%04d.png", "a.mp4", program=program.path))


def test_arguments_of_the_users_own_may_change_the_number_of_frames(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram], images: Path
) -> None:
    program = fake("ffmpeg", Output(stdout=progress(4)))
    attempt.run(ffmpeg(f"{images}/f_%04d.png", "a.mp4", args=["-frames:v", "4"], program=program.path))


def test_an_exit_code_is_told_with_the_cause(
    attempt: RecordingAttempt, fake: Callable[..., FakeProgram], images: Path
) -> None:
    lines = (
        "[png @ 0x561e695cae40] chunk too big\n"
        "Error while decoding stream #0:0: Invalid data found when processing input\n"
        "Conversion failed!\n"
    )
    program = fake("ffmpeg", Output(stderr=lines, code=1))
    with pytest.raises(ProgramError, match="ffmpeg ended with exit code 1: Error while decoding stream"):
        attempt.run(ffmpeg(f"{images}/f_%04d.png", "a.mp4", program=program.path))


def test_the_program_is_looked_for_on_the_path_first(
    fake: Callable[..., FakeProgram], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake("ffmpeg")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ffmpeg("f%d.png", "a.mp4").find() == "ffmpeg"
    assert ffmpeg("f%d.png", "a.mp4", program="no-such-program").find() == "no-such-program"


def test_else_it_is_the_one_of_a_python_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", SimpleNamespace(get_ffmpeg_exe=lambda: "/package/ffmpeg-9"))
    assert ffmpeg("f%d.png", "a.mp4").find() == "/package/ffmpeg-9"


def _no_binary() -> str:
    raise RuntimeError("No ffmpeg exe could be found.")


@pytest.mark.parametrize("package", [None, SimpleNamespace(get_ffmpeg_exe=_no_binary)])
def test_a_missing_program_is_named_with_the_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: object
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", package)
    with pytest.raises(ProgramError, match="ffmpeg is not on this host; install it or the Python package imageio-"):
        ffmpeg("f%d.png", "a.mp4").find()
