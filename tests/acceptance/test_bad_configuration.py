"""A wrong queue.cfg and code in procs/ that is not to be run: a clear error, and nothing changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import jobqueue
from jobqueue.errors import (
    ConfigError,
    FormatVersionError,
    QueueNotFoundError,
    UnknownProcedureError,
    UnsafeProcedureError,
)
from jobqueue.share import Share
from tests.support import run_jobqueue, snapshot, start_runjobs, wait_until

# --- queue.cfg --------------------------------------------------------------------------------------------------------

_CONFIGS: list[tuple[bytes, type[Exception], str]] = [
    (b"", QueueNotFoundError, "there is no formatVersion under [main], so this is not a job queue"),
    (b"[main]\n", QueueNotFoundError, "there is no formatVersion under [main], so this is not a job queue"),
    (b"formatVersion = 1\n", ConfigError, "this is no configuration file: File contains no section headers."),
    (b"[main]\nformatVersion = 1\nformatVersion = 1\n", ConfigError, "this is no configuration file: While reading"),
    (b"[main]\nformatVersion = 1\n\xff\xfe", ConfigError, "this file is not UTF-8 text"),
    *[(f"[main]\nformatVersion = {version}\nfromTheFuture = 1\n".encode(), FormatVersionError,
       f"the queue has the format version {version}, this jobqueue knows version 1; use the version of jobqueue that")
      for version in ("2", "0", "x")],
    (b"[main]\nformatVersion = 1\ncolour = red\n", ConfigError,
     "unknown setting colour under [main]; the settings are beat, deadAfter, keepJobsInRepository, maxAttempts,"),
    (b"[main]\nformatVersion = 1\nbeat = 0\n", ConfigError,
     "beat under [main] is 0, but has to be a number of seconds above 0"),
    (b"[main]\nformatVersion = 1\nuseSymLinks = maybe\n", ConfigError,
     "useSymLinks under [main] is 'maybe', but has to be True or False"),
    (b"[main]\nformatVersion = 1\ntimeout = -1\n", ConfigError,
     "under [main]: option timeout is -1, but has to be a number of seconds above 0"),
    (b"[main]\nformatVersion = 1\n[noop proc]\nmaxAttempts = many\n", ConfigError,
     "under [noop proc]: option maxAttempts is 'many', but has to be a whole number, 1 or more"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "kind", "text"), _CONFIGS)
def test_a_wrong_configuration_is_refused_and_nothing_is_touched(
    queue_dir: Path, config: bytes, kind: type[Exception], text: str
) -> None:
    (queue_dir / "queue.cfg").write_bytes(config)
    before = snapshot(queue_dir)
    with pytest.raises(kind) as error:
        jobqueue.JobQueue(str(queue_dir))
    assert isinstance(error.value, ValueError)
    assert str(error.value).startswith(f"{queue_dir}/queue.cfg: {text}")
    worker = start_runjobs(queue_dir, "--exit-when-empty")
    _, said = worker.communicate()
    assert worker.returncode == 2
    assert said.startswith(f"runjobs: {queue_dir}/queue.cfg: {text.splitlines()[0]}")
    assert len(said.splitlines()) == 1
    assert snapshot(queue_dir) == before


def test_a_script_that_is_attached_already_does_not_look_at_the_version_again(queue_dir: Path) -> None:
    """A queue's format is changed with no worker and no script attached; this says what an attached one does."""
    queue = jobqueue.JobQueue(str(queue_dir))
    job = queue.createJobRoot("noop").activate()
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text().replace("formatVersion = 1", "formatVersion = 2"))
    assert queue.listJobs() == [job]
    done = run_jobqueue("-q", str(queue_dir), "list")
    assert done.returncode == 2
    assert "format version 2" in done.stderr


_MISSPELLED = (
    "{cfg}: environ under [command proc] is no parameter of command; is env meant? there are cmd, cwd, env, label, "
    "outputs, and as for every job maxAttempts, maxErrors, priority, timeout"
)


def test_a_misspelled_parameter_of_a_built_in_procedure_is_refused_by_who_submits_and_by_workers(
    queue_dir: Path,
) -> None:
    job = jobqueue.JobQueue(str(queue_dir)).createJobRoot("command", cmd="true").activate()
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text() + "\n[command proc]\ncwd = /tmp\nenviron = {'A': '1'}\n")
    told = _MISSPELLED.replace("{cfg}", str(config))
    before = snapshot(queue_dir)
    submitted = run_jobqueue("-q", str(queue_dir), "submit", "--", "true")
    assert (submitted.returncode, submitted.stderr) == (2, f"jobqueue: {told}\n")
    with pytest.raises(ConfigError) as error:
        jobqueue.JobQueue(str(queue_dir)).createJobRoot("command", cmd="true", env={})
    assert str(error.value) == told
    worker = start_runjobs(queue_dir, "--exit-when-empty")
    _, said = worker.communicate()
    assert (worker.returncode, said) == (2, f"runjobs: {told}\n")
    assert snapshot(queue_dir) == before
    assert job.isWaiting()
    # What needs no procedure goes on.
    assert run_jobqueue("-q", str(queue_dir), "list").returncode == 0


def test_an_option_under_a_procedure_that_is_misspelled_is_told_like_a_parameter(queue_dir: Path) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text() + "\n[command proc]\nmaxAttempt = 2\n")
    with pytest.raises(ConfigError, match=r"maxAttempt under \[command proc\] .*; is maxAttempts meant\?"):
        jobqueue.JobQueue(str(queue_dir)).createJobRoot("command", cmd="true")


def test_a_job_whose_procedure_in_procs_has_a_misspelled_parameter_is_given_back_and_not_failed(
    queue_dir: Path,
) -> None:
    job = jobqueue.JobQueue(str(queue_dir)).createJobRoot("code", text="result = 1").activate()
    config = queue_dir / "queue.cfg"
    good = config.read_text()
    config.write_text(f"{good}\n[code proc]\nsize = 3\n")
    with pytest.raises(ConfigError) as error:
        jobqueue.JobQueue(str(queue_dir)).runNextAvailableJob()
    assert str(error.value) == (
        f"{config}: size under [code proc] is no parameter of code; there are label, text, and as for every job "
        "maxAttempts, maxErrors, priority, timeout"
    )
    assert job.isWaiting()
    log = queue_dir.parent / "log"
    worker = start_runjobs(queue_dir, "--slots", "1", "--log", str(log))
    wait_until(lambda: log.exists() and log.read_text().count(f"{error.value}; looking again in ") > 1, "two tries")
    assert job.isWaiting()
    worker.terminate()
    worker.communicate()
    config.write_text(good)
    worker = start_runjobs(queue_dir, "--slots", "1", "--exit-when-empty")
    worker.communicate()
    assert (worker.returncode, job.result) == (0, 1)


def test_a_procedure_that_takes_any_parameter_gets_any(queue_dir: Path) -> None:
    (queue_dir / "procs" / "greedy.py").write_text(
        "from jobqueue import JobProc\nclass greedy(JobProc):\n"
        "    def __init__(self, **more):\n        super().__init__()\n        self.more = more\n"
        "    def run(self):\n        return self.more\n"
    )
    config = queue_dir / "queue.cfg"
    config.write_text(config.read_text() + "\n[greedy proc]\nsize = 3\n")
    queue = jobqueue.JobQueue(str(queue_dir))
    job = queue.createJobRoot("greedy").activate()
    assert queue.runNextAvailableJob()
    assert job.result == {"size": 3}


# --- code in procs/ ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_procedure_that_others_may_write_is_refused(queue_dir: Path, mode: int) -> None:
    path = queue_dir / "procs" / "noop.py"
    path.write_text("raise SystemExit('this must not run')")
    path.chmod(mode)
    before = snapshot(queue_dir)
    with pytest.raises(UnsafeProcedureError) as error:
        jobqueue.JobQueue(str(queue_dir)).createJobRoot("noop")
    assert isinstance(error.value, PermissionError)
    assert str(error.value) == (
        f"{path}: others may write it (mode {mode:o}), so its code is not run; `chmod go-w {path}` mends that"
    )
    assert snapshot(queue_dir) == before
    path.chmod(0o644)
    path.write_text("from jobqueue import JobProc\nclass noop(JobProc): pass\n")
    jobqueue.JobQueue(str(queue_dir)).createJobRoot("noop")


def test_a_procs_directory_that_others_may_write_is_refused(queue_dir: Path) -> None:
    path = queue_dir / "procs"
    path.chmod(0o775)
    with pytest.raises(UnsafeProcedureError) as error:
        jobqueue.JobQueue(str(queue_dir)).createJobRoot("noop")
    assert str(error.value) == (
        f"{path}: others may write it (mode 775), so its code is not run; `chmod go-w {path}` mends that"
    )
    # The built-in ones lie elsewhere.
    jobqueue.JobQueue(str(queue_dir)).createJobRoot("command", cmd="true")


def test_a_procedure_of_somebody_else_is_refused(queue_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = queue_dir / "procs" / "noop.py"
    stranger = os.geteuid() + 4711
    look = Share.mode_and_owner

    def owned_by_a_stranger(share: Share, name: str) -> tuple[int, int, int]:
        mode, owner, changed_ns = look(share, name)
        return mode, stranger if name == str(path) else owner, changed_ns

    monkeypatch.setattr(Share, "mode_and_owner", owned_by_a_stranger)
    with pytest.raises(UnsafeProcedureError) as error:
        jobqueue.JobQueue(str(queue_dir)).createJobRoot("noop")
    assert str(error.value) == (
        f"{path}: it belongs to user {stranger}, who is neither you, nor root, nor the queue's owner, so its code is "
        f"not run; `chown {os.geteuid()} {path}` mends that"
    )


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("def broken(:\n", "{path}: the procedure cannot be loaded: SyntaxError("),
        ("raise RuntimeError('no licence')", "{path}: the procedure cannot be loaded: RuntimeError('no licence')"),
        ("import no_such_module", "{path}: the procedure cannot be loaded: ModuleNotFoundError("),
        ("x = 1", "procedure {path}: there is no class noop derived from JobProc in it"),
        ("class noop: pass", "procedure {path}: there is no class noop derived from JobProc in it"),
    ],
)
def test_a_procedure_that_cannot_be_loaded_is_refused(queue_dir: Path, code: str, text: str) -> None:
    path = queue_dir / "procs" / "noop.py"
    path.write_text(code)
    before = snapshot(queue_dir)
    with pytest.raises(UnknownProcedureError) as error:
        jobqueue.JobQueue(str(queue_dir)).createJobRoot("noop")
    assert str(error.value).startswith(text.replace("{path}", str(path)))
    assert snapshot(queue_dir) == before


def test_a_worker_refuses_such_a_procedure_too(queue_dir: Path) -> None:
    job = jobqueue.JobQueue(str(queue_dir)).createJobRoot("noop").activate()
    path = queue_dir / "procs" / "noop.py"
    path.chmod(0o666)
    worker = start_runjobs(queue_dir, "--slots", "1", "--exit-when-empty", "--poll", "0.1")
    _, log = worker.communicate()
    assert worker.returncode == 0, log
    assert job.error == (
        f"{path}: others may write it (mode 666), so its code is not run; `chmod go-w {path}` mends that"
    )
