"""A job may make any names in its own directory: what it printed can be read later, and nobody hangs or ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.worker.driver import Queue, Worker
from tests.soundness import assert_sound

START = Callable[..., Worker]

DIE = "\nimport sys; sys.stdout.flush(); import os; os._exit(3)"
NAMES = {
    "a directory": "import os; os.mkdir({name!r})",
    "a FIFO": "import os; os.mkfifo({name!r})",
    "a link to itself": "import os; os.symlink({name!r}, {name!r})",
}


def the_file(q: Queue, name: str, attempt: int = 1) -> str:
    return (q.dir / "job1" / "job0" / f".attempt{attempt}" / name).read_text()


@pytest.mark.parametrize(
    ("kind", "name"),
    [*((kind, "stdout") for kind in NAMES), *(("a directory", name) for name in ("traceback", "status.json"))],
)
def test_a_job_that_takes_one_of_our_names_ends_as_it_has_ended_and_can_be_read(
    q: Queue, start: START, kind: str, name: str
) -> None:
    making = NAMES[kind].format(name=name)
    q.submit(f"{making}\nimport sys; print('out'); print('err', file=sys.stderr); raise RuntimeError('mine')")
    q.submit("pass")
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert (the_file(q, "stdout"), the_file(q, "stderr")) == ("out\n", "err\n")
    assert "RuntimeError: mine" in the_file(q, "traceback")
    assert [name for name in os.listdir(q.dir / "job1" / "job0") if name.startswith(".attempt")] == [".attempt1"]
    assert (len(q.folder(1, "failed")), len(q.folder(2, "finished"))) == (1, 2)
    assert_sound(q.dir)


@pytest.mark.parametrize("kind", NAMES)
def test_a_job_that_takes_one_of_our_names_and_dies_can_be_read_and_does_not_end_its_worker(
    q: Queue, start: START, kind: str
) -> None:
    making = NAMES[kind].format(name="stdout")
    q.submit(f"{making}\nprint('x' * 20_000){DIE}", options={"maxAttempts": 1})
    q.submit("pass")
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert the_file(q, "stdout") == "x" * 20_000 + "\n"
    assert (len(q.folder(1, "failed")), len(q.folder(2, "finished"))) == (1, 2)
    assert worker.says("stdout.job-")
    assert_sound(q.dir)


@pytest.mark.parametrize("made", ["open(here, 'w').close()", "os.symlink('/nowhere', here)"], ids=["a file", "a link"])
@pytest.mark.parametrize("dies", [False, True])
def test_a_job_that_makes_something_else_of_its_directory_is_not_run_for_ever(
    q: Queue, start: START, made: str, dies: bool, tmp_path: Path
) -> None:
    text = f"import os\nhere = os.getcwd()\nos.rmdir(here)\n{made}\nprint('out'){DIE if dies else ''}"
    q.submit(text, options={"maxAttempts": 1})
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert len(q.folder(1, "failed" if dies else "finished")) == (1 if dies else 2)
    if not dies:
        assert the_file(q, "stdout") == "out\n"
    assert_sound(q.dir)
