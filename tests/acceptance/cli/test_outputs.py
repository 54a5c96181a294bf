"""`jobqueue submit --output`, and where outputs are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue import JobQueue
from tests.acceptance.cli.conftest import Cli


@pytest.fixture(autouse=True)
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present directory of whoever submits."""
    folder = tmp_path / "frames"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_an_output_starts_at_the_present_directory_and_is_published(
    cli: Cli, run_all: Callable[[], int], frames: Path
) -> None:
    cli("submit", "--output", "a b.exr", "--output", "../c.exr", "--", "echo 1 > {output}; echo 2 > {output2}")
    shown = cli("show", "--json", "job1").json
    assert shown["outputs"] == []
    assert shown["parameters"]["outputs"] == [f"{frames}/a b.exr", f"{frames.parent}/c.exr"]
    run_all()
    assert (frames / "a b.exr").read_text() == "1\n"
    assert (frames.parent / "c.exr").read_text() == "2\n"
    assert cli("show", "--json", "job1").json["outputs"] == [f"{frames}/a b.exr", f"{frames.parent}/c.exr"]
    lines = [line.split(maxsplit=1) for line in cli("show", "job1").out.splitlines()]
    assert [line[1] for line in lines if line and line[0] == "output"] == [
        f"{frames}/a b.exr",
        f"{frames.parent}/c.exr",
    ]


def test_each_piece_of_a_frame_range_has_its_own(
    cli: Cli, queue: JobQueue, run_all: Callable[[], int], frames: Path
) -> None:
    arguments = ("--frames", "1-4", "--chunk", "2", "--output", "f{start:03d}.exr")
    cli("submit", *arguments, "--", "sh", "-c", 'echo $1 > "$2"', "sh", "{frames}", "{output}")
    run_all()
    assert {path.name: path.read_text() for path in frames.iterdir()} == {"f001.exr": "1-2\n", "f003.exr": "3-4\n"}
    assert [job.outputs for job in queue.listJobs()[0].listSubJobs()] == [
        [f"{frames}/f001.exr"],
        [f"{frames}/f003.exr"],
    ]


def test_sub_jobs_that_would_publish_one_file_are_refused(cli: Cli, frames: Path) -> None:
    told = cli.refused("submit", "--frames", "1-2", "--output", "f.exr", "--", "render {frame} {output}")
    assert told == f"several sub-jobs would publish {frames}/f.exr; put {{frame}} or {{start}} into it"


def test_doubled_braces_are_braces_where_there_is_no_output_as_in_a_frame_range(
    cli: Cli, queue: JobQueue, run_all: Callable[[], int]
) -> None:
    cli.good("submit", "--", "echo '{{output}} {output0} {{x}}'")
    cli.good("submit", "--", "echo", "{{output2}}")
    cli.good("submit", "--frames", "1", "--", "echo", "{{output}}")
    run_all()
    one, two, three = queue.listJobs()
    printed = [(Path(job.location) / ".attempt1" / "stdout").read_text() for job in (one, two, *three.listSubJobs())]
    assert printed == ["{output} {output0} {{x}}\n", "{output2}\n", "{output}\n"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--output", "f", "--", "render {output2}"), "cmd has {output2}, but there are only 1 outputs"),
        (("--output", "f", "--output", "./f", "--", "render"), "which is in the list already"),
        (("--frames", "1", "--output", "{x}", "--", "render"), "{x} is none of"),
        (("--frames", "1", "--", "render {output}"), "{output} is none of"),
        (("--", "render {output}"), "the command has {output}, and there is no output; name the file with --output"),
        (("--", "render", "a{output2}b"), "double the braces if they are meant themselves: {{output2}}"),
        (("--output", "", "--", "render"), "--output names no file; give the path of the file that the command makes"),
        (("--output", ".", "--", "render"), "--output . names the directory "),
        (("--output", "..", "--frames", "1-2", "--", "render {frame}"), "--output .. names the directory "),
        (("--output", "/tmp", "--", "render"), "--output /tmp names the directory /tmp; name each file that"),
        (("--output", "missing/", "--", "render"), "--output missing/ names the directory "),
        (("--output", "../queue/f", "--", "render"), "/queue/f lies in the queue, where only the queue writes"),
        (("--output", "../queue/{frame}", "--frames", "1", "--", "render"), "{frame} lies in the queue, where only"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_submitted(
    cli: Cli, arguments: tuple[str, ...], reason: str
) -> None:
    assert reason in cli.refused("submit", *arguments)
