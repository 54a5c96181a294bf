"""Three hosts run a hierarchy on a real share, and nothing is lost and nothing done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import jobqueue
from tests.lab.guest import is_short, kinds_to_try
from tests.lab.hierarchy import PROBE, problems, submit

# A hierarchy that is short is over within seconds of its submission.
_PROMPT = "hierarchy" if is_short() else "prompt"


@pytest.mark.lab(_PROMPT)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", kinds_to_try())
def test_what_runs_within_a_second_of_its_submission_is_unblocked(
    kind: str, guest_part: Callable[[str, str], Path]
) -> None:
    """SMB: a latch's entry is still open on the submitter's host when it is taken out of its latch."""
    found = json.loads(guest_part(kind, _PROMPT).read_text())
    assert found["problems"] == []


@pytest.mark.lab("hierarchy")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", kinds_to_try())
def test_without_faults_every_job_is_executed_once(kind: str, guest_part: Callable[[str, str], Path]) -> None:
    found = json.loads(guest_part(kind, "hierarchy").read_text())
    assert found["problems"] == []
    assert found["executions"] == found["jobs"] == (40 if is_short() else 200)
    assert found["hosts"] == ["host1", "host2", "host3"]
    assert found["false_deaths"] == 0


@pytest.fixture
def run_here(tmp_path: Path) -> tuple[Path, Path]:
    """A queue on this machine whose hierarchy has been run, and what its jobs have said."""
    queue_dir, log = tmp_path / "queue", tmp_path / "log"
    jobqueue.createJobQueue(str(queue_dir))
    (queue_dir / "procs" / "probe.py").write_text(PROBE)
    (queue_dir / "procs" / "probe.py").chmod(0o644)
    submit(str(queue_dir), str(log), 20, 1)
    queue = jobqueue.JobQueue(str(queue_dir))
    while queue.runNextAvailableJob():
        pass
    assert problems(queue_dir, log, is_quiet=True) == []
    return queue_dir, log


def test_a_job_that_was_executed_twice_is_found(run_here: tuple[Path, Path]) -> None:
    queue_dir, log = run_here
    lines = log.read_text().splitlines()
    again = [line.replace(" 1 ", " 2 ", 1) for line in lines[-2:]]
    log.write_text("\n".join([*lines, *again]) + "\n")
    assert problems(queue_dir, log, is_quiet=True) == ["job 0 was executed 2 times"]
    assert problems(queue_dir, log, is_quiet=False) == []


def test_an_attempt_that_was_executed_twice_is_found(run_here: tuple[Path, Path]) -> None:
    queue_dir, log = run_here
    log.write_text(log.read_text() + log.read_text().splitlines()[-1] + "\n")
    assert "attempt 1 of job 0 counts, and was begun 1 and ended 2 times" in problems(queue_dir, log, is_quiet=False)


def test_a_result_of_what_did_not_end_is_found(run_here: tuple[Path, Path]) -> None:
    queue_dir, log = run_here
    log.write_text("\n".join(log.read_text().splitlines()[:-1]) + "\n")
    assert problems(queue_dir, log, is_quiet=False) == ["attempt 1 of job 0 counts, and was begun 1 and ended 0 times"]


def test_a_job_that_begins_before_its_sub_jobs_have_ended_is_found(run_here: tuple[Path, Path]) -> None:
    queue_dir, log = run_here
    lines = [line.split() for line in log.read_text().splitlines()]
    for words in lines:
        if words[:2] == ["start", "0"]:
            words[3] = "1"
    log.write_text("\n".join(map(" ".join, lines)) + "\n")
    assert any("job 0 has begun before job" in line for line in problems(queue_dir, log, is_quiet=True))


def test_a_job_that_is_not_finished_is_found(run_here: tuple[Path, Path]) -> None:
    queue_dir, log = run_here
    for token in (queue_dir / "job1" / ".tokens" / "finished").iterdir():
        token.unlink()
        break
    assert "unsound" in problems(queue_dir, log, is_quiet=False)[0]
