"""Real workers and jobs with outputs: what appears under the final names, and when."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue.names import RunningToken
from jobqueue.store import Store
from tests.acceptance.worker.driver import Gate, Queue, Worker

START = Callable[..., Worker]


@pytest.fixture
def final(tmp_path: Path) -> Path:
    """The name of a frame, in a directory of its own."""
    (tmp_path / "frames").mkdir()
    return tmp_path / "frames" / "it's 1.exr"


def leftovers(final: Path) -> list[str]:
    return sorted(path.name for path in final.parent.iterdir() if path != final)


def running(q: Queue, number: int) -> RunningToken:
    token = q.token(number, 0)
    assert isinstance(token, RunningToken)
    return token


def test_a_frame_appears_whole_when_its_job_has_succeeded(q: Queue, start: START, tmp_path: Path, final: Path) -> None:
    gate = Gate(tmp_path)
    line = f"printf 'the whole ' > {{output}}; {gate.shell} printf frame >> {{output}}"
    job = q.queue.createJobRoot("command", cmd=line, outputs=str(final)).activate()
    worker = start("--slots", "1", "--exit-when-empty")
    gate.wait_for()
    assert not final.exists()
    (temporary,) = leftovers(final)
    assert temporary.startswith(".jq-") and temporary.endswith("-1.0000000.1")
    assert (final.parent / temporary / final.name).read_text() == "the whole "
    gate.open()
    assert worker.ends() == 0
    assert final.read_text() == "the whole frame"
    assert leftovers(final) == []
    assert job.outputs == [str(final)]


def test_a_retry_after_a_crash_finds_no_half_written_frame_and_its_success_clears_up(
    q: Queue, start: START, final: Path
) -> None:
    code = f"""
import os
path = proc.output({str(final)!r})
assert not os.path.exists(path)
with open(path, "w") as file:
    file.write("half")
    file.flush()
    if proc.runningDir.endswith("attempt1"):
        os.kill(os.getpid(), {int(signal.SIGKILL)})
    file.write(" and the rest")
"""
    final.write_text("old")
    job = q.submit(code)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert job.listSubJobs()[0].attempt == 2
    assert final.read_text() == "half and the rest"
    assert leftovers(final) == []


def test_an_attempt_that_was_superseded_and_wakes_up_late_does_not_touch_the_final_file(
    q: Queue, start: START, tmp_path: Path, final: Path
) -> None:
    gate = Gate(tmp_path)
    first = f"if proc.runningDir.endswith('attempt1'):\n    exec({gate.code!r})\n"
    code = f"path = proc.output({str(final)!r})\n{first}open(path, 'w').write(proc.runningDir[-8:])"
    q.queue.createJobRoot("code", text=code).activate()
    slow = start("--slots", "1", "--name", "slow", "--max-jobs", "1")
    gate.wait_for()
    # The slot is suspended in the middle of its job; somebody takes it for dead and gives its token back.
    (slot,) = slow.slots()
    os.kill(slot, signal.SIGSTOP)
    token = running(q, 1)
    assert Store(str(q.dir)).tokens.give_back(token, slow.name(), charge=True)
    quick = start("--slots", "1", "--name", "quick", "--exit-when-empty")
    assert quick.ends() == 0
    assert final.read_text() == "attempt2"
    final.write_text("graded by hand")
    before = os.stat(final)
    os.kill(slot, signal.SIGCONT)
    gate.open()
    assert slow.ends() == 0
    slow.wait_to_say("its result is dropped")
    after = os.stat(final)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert final.read_text() == "graded by hand"
    assert leftovers(final) == []


def test_a_supervisor_publishes_what_its_dead_slot_has_committed(q: Queue, start: START, final: Path) -> None:
    code = f"""
import os, signal
from jobqueue import share
path = proc.output({str(final)!r})
with open(path, "w") as file:
    file.write("whole")
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
share.Share.publish = die
"""
    job = q.submit(code)
    worker = start("--slots", "1", "--exit-when-empty")
    assert worker.ends() == 0
    assert final.read_text() == "whole"
    assert job.listSubJobs()[0].attempt == 1
    assert leftovers(final) == []


def test_an_output_that_is_missing_fails_the_job_with_its_name(q: Queue, start: START, final: Path) -> None:
    job = q.queue.createJobRoot("command", cmd="true", outputs=[str(final)]).activate()
    assert start("--slots", "1", "--exit-when-empty").ends() == 0
    assert job.hasError()
    assert (job.error or "").startswith(f"{final}: it was declared as an output and not written")
    assert os.listdir(final.parent) == []
