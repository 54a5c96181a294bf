"""`jobqueue archive`, and what the other commands say of a job that is archived."""

from __future__ import annotations

import io
import os
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue import JobQueue, control
from jobqueue.cli import _counting, main
from jobqueue.names import Entry
from jobqueue.share import Share
from tests.acceptance.cli.conftest import Cli, Hand
from tests.support import snapshot

_KEYS = {"job", "ok", "text"}


@pytest.fixture
def study(queue: JobQueue, run_all: Callable[[], int]) -> str:
    """job1: an array of which one item has failed, below a job that prints; cancelled."""
    root = queue.createJobRoot("code", text="print('never')", label="study")
    root.createJobArray("code", over={"text": ["print('zero')", "1 / 0", "result = 2"]}, chunk=1)
    root.createJob("code", text="import sys; print('shown'); print('oops', file=sys.stderr); result = 5")
    job = root.activate()
    run_all()
    job.cancel()
    return job.name


@pytest.fixture
def archived(cli: Cli, study: str) -> str:
    cli.good("archive", study)
    return study


def without_the_archive(told: Any) -> Any:
    """What `show --json` says, but for where it has it from."""
    return {**told, "archive": None, "hierarchy": {**(told["hierarchy"] or {}), "state": None, "priority": None}}


# --- what it does -----------------------------------------------------------------------------------------------------


def test_archive(cli: Cli, study: str, queue_dir: Path) -> None:
    path = queue_dir / "archive/job1.zip"
    assert cli.good("archive", study) == f"job1 is archived: {path}\n"
    assert not (queue_dir / "job1").exists()
    with zipfile.ZipFile(path) as found:
        assert found.testzip() is None
        assert found.read("job1/job1/.attempt1/stdout") == b"shown\n"


def test_the_json_of_archive(cli: Cli, study: str, queue_dir: Path) -> None:
    cli.good("submit", "--", "true")
    answer = cli("archive", "--json", "job2", study, "job1/job1")
    assert answer.code == 2
    assert [set(row) for row in answer.json] == [_KEYS] * 3
    assert [(row["job"], row["ok"]) for row in answer.json] == [("job2", False), ("job1", True), ("job1/job1", False)]
    assert answer.json[1]["text"] == f"is archived: {queue_dir}/archive/job1.zip"


def test_other_commands_say_the_same_as_before(cli: Cli, study: str) -> None:
    asked = [
        ["tree", study], ["tree", "--json", study], ["log", f"{study}/job1"], ["log", "--json", f"{study}/job1"],
        ["log", "--stderr", f"{study}/job1"], ["log", "--follow", f"{study}/job1"], ["log", f"{study}:0"],
        ["log", "--json", f"{study}:1"], ["log", "--attempt", "1", f"{study}/job1"], ["wait", "--json", study],
        ["show", f"{study}:2"], ["show", "--json", f"{study}/job0:1"], ["log", study], ["log", "--attempt", "3", study],
        ["show", f"{study}/job7"], ["show", f"{study}:99"],
    ]  # fmt: skip
    before = [cli(*words) for words in asked]
    shown = [cli("show", "--json", name).json for name in (study, f"{study}/job1", f"{study}/job0")]
    assert "shown" in before[2].out and "oops" in before[2].out
    cli.good("archive", study)
    for words, answer in zip(asked, before, strict=True):
        assert cli(*words) == answer, words
    again = [cli("show", "--json", name).json for name in (study, f"{study}/job1", f"{study}/job0")]
    assert list(map(without_the_archive, again)) == list(map(without_the_archive, shown))


def test_show_says_where_it_lies_and_who_has_archived_it(cli: Cli, archived: str, queue_dir: Path) -> None:
    text = cli.good("show", archived)
    assert re.search(r"^hierarchy +archived: 2 cancelled|^hierarchy +archived: ", text, re.MULTILINE)
    assert re.search(r"^archived +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d by \S+@\S+$", text, re.MULTILINE)
    assert re.search(rf"^archive +{re.escape(str(queue_dir))}/archive/job1.zip$", text, re.MULTILINE)
    assert not re.search("^directory", text, re.MULTILINE)
    told = cli("show", "--json", archived).json
    assert set(told["archive"]) == {"path", "time", "by"}
    assert (told["hierarchy"]["state"], told["hierarchy"]["priority"]) == ("archived", None)
    assert cli("show", "--json", f"{archived}/job1").json["archive"] == told["archive"]


def test_of_a_job_in_the_queue_show_says_that_there_is_no_archive(cli: Cli, study: str) -> None:
    assert cli("show", "--json", study).json["archive"] is None
    assert re.search("^directory", cli.good("show", study), re.MULTILINE)


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_is_without_it_and_a_state_has_it(cli: Cli, archived: str) -> None:
    cli.good("submit", "--", "true")
    assert [row["job"] for row in cli("list", "--json").json] == ["job2"]
    assert cli("list", "--state", "archived", "--json").json == [
        {"job": "job1", "state": "archived", "priority": None, "running": 0}
    ]
    assert cli.good("list", "--state", "archived").splitlines() == [
        "JOB   STATE     PRIORITY  RUNNING",
        "job1  archived         -        0",
        "1 job: 1 archived",
    ]


def test_the_long_list_looks_into_archives(cli: Cli, archived: str, queue_dir: Path) -> None:
    (row,) = cli("list", "--long", "--state", "archived", "--json").json
    assert (row["label"], row["total"], row["finished"], row["failed"], row["cancelled"]) == ("study", 5, 3, 1, 1)
    (queue_dir / "archive/job9.zip").write_text("rubbish")
    line = cli.good("list", "--long", "--state", "archived").splitlines()[2]
    assert line.split(maxsplit=4)[0] == "job9"
    assert line.endswith("(its archive cannot be read)")


def test_the_list_of_the_queue_does_not_look_for_archives(
    cli: Cli, archived: str, queue_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2, 3000):
        (queue_dir / f"archive/job{number}.zip").touch()
    (queue_dir / "index/done" / Entry("done", 0, 5000, 1).name).touch()
    seen: list[str] = []
    for method in ("names", "names_or_none"):
        _note_calls(monkeypatch, method, seen)
    assert [row["job"] for row in cli("list", "--json").json] == ["job5000"]
    assert not [path for path in seen if "archive" in path]
    del seen[:]
    assert len(cli("list", "--state", "archived", "--json").json) == 2999
    # Workers in this process beat all the while: of earlier tests in queues of their own, and the one that ran the job.
    ours = [path for path in seen if path.startswith(f"{queue_dir}/")]
    assert [path for path in ours if not path.startswith(f"{queue_dir}/workers")] == [f"{queue_dir}/archive"]


def _note_calls(monkeypatch: pytest.MonkeyPatch, method: str, seen: list[str]) -> None:
    real = getattr(Share, method)

    def listed(share: Share, path: str) -> Any:
        seen.append(path)
        return real(share, path)

    monkeypatch.setattr(Share, method, listed)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cancel", "job1"], "cancelled"), (["hold", "job1"], "held"), (["release", "job1"], "released"),
        (["priority", "job1", "5"], "given a priority"), (["retry", "job1"], "tried again"),
        (["retry", "job1/job0"], "tried again"), (["retry", "job1:1"], "tried again"),
    ],
)  # fmt: skip
def test_nothing_can_be_done_to_it(cli: Cli, archived: str, queue_dir: Path, words: list[str], told: str) -> None:
    said = cli.refused(*words)
    reason = f"{queue_dir}/archive/job1.zip: job1 is archived, so nothing of it can be {told}; "
    assert said == f"{words[1]}: {reason}it can be looked at, and deleted"


def test_what_is_not_done_is_not_archived(cli: Cli, failed_job: str, queue_dir: Path) -> None:
    assert cli.refused("archive", failed_job) == (
        f"job1: {queue_dir}/job1: job1 has not ended, and only what has can be archived; wait for it, or "
        "`jobqueue cancel job1`"
    )
    assert cli.refused("archive", "job1/job0") == (
        "job1/job0: job1/job0 is a sub-job; only a whole hierarchy can be archived: job1"
    )
    assert "there is no job7" in cli.refused("archive", "job7")


def test_what_is_archived_is_archived_once(cli: Cli, archived: str, queue_dir: Path) -> None:
    assert cli.refused("archive", archived) == f"job1: {queue_dir}/archive/job1.zip: job1 is archived already"


def test_an_archive_that_cannot_be_read_is_named(cli: Cli, archived: str, queue_dir: Path) -> None:
    path = queue_dir / "archive/job1.zip"
    path.write_bytes(path.read_bytes()[:-3])
    for words in (["show", "job1"], ["log", "job1"], ["tree", "job1"], ["wait", "job1"], ["log", "job1:1"]):
        told = cli.refused(*words, code=1)
        assert told.startswith(f"{path}: the archive cannot be read (")
        assert told.endswith("restore the file from a backup")
    assert cli("check").code == 1


def test_a_full_disk_is_said_and_changes_nothing(
    cli: Cli, study: str, queue_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    before = snapshot(queue_dir)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        answer = cli("archive", study)
    assert answer.code == 1
    assert re.fullmatch(
        rf"jobqueue: job1: {queue_dir}/tmp/job1\.zip\.\w+: No space left on device; make room there, then try again\n",
        answer.err,
    )
    assert snapshot(queue_dir) == before


def test_delete_takes_it_from_the_archives(cli: Cli, archived: str, queue_dir: Path) -> None:
    assert cli.good("delete", "--yes", archived) == "job1 is deleted\n"
    assert os.listdir(queue_dir / "archive") == []
    assert "there is no job1" in cli.refused("show", archived)
    assert cli.good("submit", "--", "true") == "job2\n"


# --- on a terminal ----------------------------------------------------------------------------------------------------


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _on_a_terminal(monkeypatch: pytest.MonkeyPatch, quiet_s: float, *words: str) -> str:
    """Gives a command; what it has shown on the standard error."""
    monkeypatch.setattr(_counting, "_QUIET_S", quiet_s)
    # Here, since capturing puts it back before each test.
    monkeypatch.setattr(sys, "stderr", shown := _Terminal())
    assert main(words) == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue())


def test_a_terminal_shows_how_much_is_packed_and_removed(cli: Cli, study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _on_a_terminal(monkeypatch, 0.0, "archive", study)
    assert "packing job1: 1 folder, 0 MB" in shown
    assert "job1 is archived; removing its files (Ctrl-C leaves that to a worker): " in shown
    assert "job1 is deleted; removing its files" in _on_a_terminal(monkeypatch, 0.0, "delete", "--yes", study)


def test_what_is_over_soon_shows_nothing(cli: Cli, study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _on_a_terminal(monkeypatch, 1e6, "archive", study) == ""
    assert _on_a_terminal(monkeypatch, 1e6, "delete", "--yes", study) == ""


def _break_off(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    real = getattr(Share, name)

    def interrupted(self: Share, path: str, *more: Any, **options: Any) -> Any:
        if "/job1/" in path:
            raise KeyboardInterrupt
        return real(self, path, *more, **options)

    monkeypatch.setattr(Share, name, interrupted)


@pytest.mark.parametrize(("command", "done"), [("archive", "is archived"), ("delete", "is deleted")])
@pytest.mark.usefixtures("study")
def test_whoever_does_not_wait_leaves_the_rest_to_a_worker(
    cli: Cli, hand: Hand, command: str, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    yes = ["--yes"] if command == "delete" else []
    with monkeypatch.context() as patch:
        _break_off(patch, "remove_tree")
        answer = cli(command, *yes, "job1")
    assert (answer.code, answer.out) == (130, "")
    assert answer.err == f"jobqueue: job1 {done}; worker {hand.worker} removes the rest of its files\n"
    (request,) = hand.registration.requests()
    assert (request["action"], request["job"]) == ("delete", 1)
    assert os.path.exists(hand.store.layout.job(1).dir)
    assert cli.good("list") == "0 jobs\n"


@pytest.mark.parametrize(("command", "done"), [("archive", "is archived"), ("delete", "is deleted")])
@pytest.mark.usefixtures("study")
def test_without_a_worker_the_same_command_removes_the_rest(
    cli: Cli, command: str, done: str, monkeypatch: pytest.MonkeyPatch, queue_dir: Path
) -> None:
    yes = ["--yes"] if command == "delete" else []
    with monkeypatch.context() as patch:
        _break_off(patch, "remove_tree")
        patch.setattr(control, "worker_names", lambda _store: [])
        answer = cli("-q", str(queue_dir), command, *yes, "job1")
    again = f"`jobqueue -q {queue_dir} {command} job1`"
    assert answer.err == f"jobqueue: job1 {done}; {again} removes the rest of its files\n"
    cli.good(command, *yes, "job1")
    assert not (queue_dir / "job1").exists()
    assert (queue_dir / "archive/job1.zip").exists() == (command == "archive")


def test_breaking_it_off_while_it_is_packed_changes_nothing(
    cli: Cli, study: str, monkeypatch: pytest.MonkeyPatch, queue_dir: Path
) -> None:
    before = snapshot(queue_dir)
    with monkeypatch.context() as patch:
        _break_off(patch, "read_plain")
        answer = cli("archive", study)
    assert (answer.code, answer.out, answer.err) == (130, "", "")
    assert snapshot(queue_dir) == before
