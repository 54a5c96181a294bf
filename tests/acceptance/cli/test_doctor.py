"""`jobqueue doctor`: a directory is measured, alone and by two; and what `runjobs` says of a mount."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobqueue import JobQueue
from jobqueue.cli import runjobs
from jobqueue.doctor import examine as module
from jobqueue.doctor.examine import Extent
from jobqueue.share import Mount, Share
from tests.acceptance.cli.conftest import Cli
from tests.support import snapshot


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rounds; the figures are not what is looked at here."""
    short = Extent(processes=2, names=20, rounds=1, patience_s=30.0, speed_s=0.01)
    monkeypatch.setattr(module, "Extent", lambda: short)


def lie_on(monkeypatch: pytest.MonkeyPatch, kind: str, *options: str) -> None:
    """Lets everything lie on a file system of this kind."""
    mount = Mount("/mnt", kind, "server:/export", ("rw", *options))
    monkeypatch.setattr(Share, "mount", lambda *_: mount)


def test_a_good_place_in_words(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lie_on(monkeypatch, "ext4")
    place = tmp_path / "place"
    place.mkdir()
    said = cli.good("doctor", str(place)).splitlines()
    assert said[:5] == [
        f"{place}: ext4 from server:/export on /mnt",
        "  mount      ok       ext4, a disk of this host alone",
        "  rename     ok       20 files, wanted by 2 processes: each went to one",
        "  mkdir      ok       20 directories, wanted by 2 processes: none went to two",
        "  exclusive  ok       5 lock files, wanted by 2 processes: none went to two",
    ]
    assert [line.split()[0] for line in said[5:9]] == ["listing", "beat", "lock", "clock"]
    assert re.fullmatch(
        r"  calls a second: list [\d,]+, create [\d,]+, rename [\d,]+, fsync [\d,]+, unlink [\d,]+", said[9]
    )
    assert said[10].startswith("  settings that suit it: poll = ")
    assert said[11:] == ["verdict: full: the queue keeps all that it promises here"]
    assert list(place.iterdir()) == []


def test_a_good_place_in_json(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lie_on(monkeypatch, "ext4")
    answer = cli("doctor", str(tmp_path), "--json")
    assert (answer.code, answer.err) == (0, "")
    told = answer.json
    assert list(told) == [
        "dir", "mount", "host", "peer", "verdict", "remarks", "measured", "settings", "written",
    ]  # fmt: skip
    assert (told["dir"], told["verdict"], told["peer"], told["written"]) == (str(tmp_path), "full", None, None)
    assert told["mount"] == {"point": "/mnt", "kind": "ext4", "source": "server:/export", "options": ["rw"]}
    assert {(remark["about"], remark["level"]) for remark in told["remarks"]} == {
        (about, "full") for about in ("mount", "rename", "mkdir", "exclusive", "listing", "beat", "lock", "clock")
    }
    assert list(told["measured"]) == ["round_trip", "entry_delay", "beat_delay", "clock_offset", "calls"]
    assert set(told["settings"]) == {"poll", "beat", "deadAfter"}


def test_a_warning_is_no_failure(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lie_on(monkeypatch, "overlay")
    answer = cli("doctor", str(tmp_path))
    assert answer.code == 0
    assert "  mount      warning  an overlay is one container's own" in answer.out
    assert answer.out.splitlines()[-1].startswith("verdict: supported with a warning: ")


def test_what_is_refused_fails_and_is_never_written(cli: Cli, queue_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lie_on(monkeypatch, "nfs4", "soft")
    before = snapshot(queue_dir)
    answer = cli("doctor", str(queue_dir), "--write")
    assert (answer.code, answer.err) == (1, "")
    assert "  mount      refused  with `soft` or `softerr` a call fails" in answer.out
    assert answer.out.endswith("verdict: refused: this is no place for a queue\n")
    told = cli("doctor", str(queue_dir), "--write", "--json").json
    assert (told["verdict"], told["written"]) == ("refused", None)
    assert snapshot(queue_dir) == before


def refuse_to_make(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Lets no directory be made."""

    def make(_share: Share, path: str, *_: object) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(Share, "make_dir", make)
    monkeypatch.setattr(Share, "try_make_dir", make)


@pytest.mark.parametrize("peer", [(), ("--peer",)])
def test_a_read_only_mount_is_refused_before_anything_is_made(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: tuple[str, ...]
) -> None:
    lie_on(monkeypatch, "ext4", "ro")
    refuse_to_make(monkeypatch, errno.EROFS)
    answer = cli("doctor", str(tmp_path), "--json", *peer)
    assert (answer.code, answer.err) == (1, "")
    told = answer.json
    assert (told["verdict"], told["measured"], told["settings"]) == ("refused", None, None)
    assert told["remarks"] == [{"level": "refused", "about": "mount", "says": "it is mounted read-only"}]
    assert cli("doctor", str(tmp_path), *peer).out.endswith("verdict: refused: this is no place for a queue\n")


@pytest.mark.parametrize("peer", [(), ("--peer",)])
def test_a_server_that_takes_nothing_is_refused_though_the_mount_can_be_written(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: tuple[str, ...]
) -> None:
    lie_on(monkeypatch, "nfs4")
    refuse_to_make(monkeypatch, errno.EROFS)
    answer = cli("doctor", str(tmp_path), "--json", *peer)
    assert (answer.code, answer.err) == (1, "")
    (_, remark) = answer.json["remarks"]
    assert remark["says"].startswith(f"it is read-only: {tmp_path}/.doctor-")
    assert answer.json["verdict"] == "refused"


def test_a_refused_mount_is_told_by_peers_though_the_share_is_in_trouble(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie_on(monkeypatch, "nfs4", "soft")
    refuse_to_make(monkeypatch, errno.EIO)
    answer = cli("doctor", str(tmp_path), "--json", "--peer")
    assert (answer.code, answer.err, answer.json["verdict"]) == (1, "", "refused")


@pytest.mark.parametrize("peer", [(), ("--peer",)])
@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "Permission denied; give this user leave to write there, then try again"),
        (errno.ENOSPC, "No space left on device; make room there, then try again"),
    ],
)
def test_what_cannot_be_examined_has_no_verdict_and_another_exit_code(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, told: str, peer: tuple[str, ...]
) -> None:
    lie_on(monkeypatch, "ext4")
    refuse_to_make(monkeypatch, number)
    said = cli.refused("doctor", str(tmp_path), "--json", *peer)
    assert re.fullmatch(rf"{tmp_path}/\.doctor-\w+: {told}\. {tmp_path} was not examined, so there is no verdict", said)


def test_settings_are_written_into_a_queue(cli: Cli, queue_dir: Path) -> None:
    notes = queue_dir / "workers"
    (notes / "render-desk-0123456789.alive").touch()
    (notes / "other").touch()
    text = (queue_dir / "queue.cfg").read_text()
    answer = cli("doctor", str(queue_dir), "--write", "--json")
    told = answer.json
    assert (answer.code, told["written"]) == (0, f"{queue_dir}/queue.cfg")
    lines = "".join(f"{name} = {value!r}\n" for name, value in told["settings"].items())
    assert (queue_dir / "queue.cfg").read_text() == text.replace(
        "useSymLinks = False\n", f"useSymLinks = False\n{lines}"
    )
    assert os.listdir(notes) == ["other"]
    assert f"; written to {queue_dir}/queue.cfg\n" in cli.good("doctor", str(queue_dir), "--write")


def test_without_write_a_queue_is_left_as_it_is(cli: Cli, queue_dir: Path) -> None:
    (queue_dir / "workers" / "render-desk-0123456789.alive").touch()
    before = snapshot(queue_dir)
    assert cli("doctor", str(queue_dir)).code == 0
    assert snapshot(queue_dir) == before


def test_what_cannot_be_measured_is_refused_at_once(cli: Cli, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert cli.refused("doctor", missing) == f"{missing}: there is no such directory; make it first"
    (tmp_path / "file").touch()
    assert cli.refused("doctor", f"{tmp_path}/file") == f"{tmp_path}/file: this is a file; name a directory"
    assert "this is not a job queue" in cli.refused("doctor", str(tmp_path), "--write")
    assert "has to be a number of seconds above 0" in cli.refused("doctor", str(tmp_path), "--peer", "--wait", "0")


def test_where_nobody_comes_it_says_what_to_start(cli: Cli, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    said = cli.refused("doctor", str(place), "--peer", "--wait", "0.1", code=1)
    assert said.startswith(
        f"nobody else has come to {place}/.doctor-peers in 0.1 s; start `jobqueue doctor {place} --peer`"
    )
    assert list(place.iterdir()) == []


def doctors(place: Path) -> list[dict[str, Any]]:
    """What two real commands say that are started together."""
    command = [sys.executable, "-m", "jobqueue", "doctor", str(place), "--peer", "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=100)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    return [json.loads(text) for text in told]


def test_two_find_each_other_beside_one_that_was_killed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / ".doctor-peers").mkdir(parents=True)
    (place / ".doctor-peers" / "here.0000000000").touch()
    told = doctors(place)
    for one in told:
        said = {remark["about"]: remark for remark in one["remarks"]}
        assert one["peer"] == one["host"]
        assert said["peer"]["level"] == "warning"
        assert "which says nothing of two hosts" in said["peer"]["says"]
        assert said["rename"]["says"].endswith("wanted by 2 processes: each went to one")
        assert one["verdict"] == "warning"
        assert one["measured"]["calls"]
    assert list(place.iterdir()) == []


def test_a_worker_warns_of_a_mount_that_is_refused(
    queue_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> str:
        assert runjobs.main([str(queue_dir), "--slots", "1", "--exit-when-empty"]) == 0
        return capsys.readouterr().err

    assert "no place for a queue" not in said()
    lie_on(monkeypatch, "fuse.s3fs")
    assert f"WARNING {queue_dir} is no place for a queue: s3fs is a front of a store" in said()
    lie_on(monkeypatch, "nfs4", "nolock")
    assert "no place for a queue" not in said()


def test_a_worker_polls_as_the_queue_says_or_as_it_is_told(queue_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    polls = []

    class Idle:
        def __init__(self, _store: object, _name: str, settings: Any, *_: object) -> None:
            polls.append(settings.poll_s)

        def run(self) -> int:
            return 0

    monkeypatch.setattr("jobqueue.worker.supervisor.Supervisor", Idle)
    runjobs.main([str(queue_dir), "--quiet"])
    path = queue_dir / "queue.cfg"
    path.write_text(path.read_text().replace("[main]\n", "[main]\npoll = 3.5\n"))
    runjobs.main([str(queue_dir), "--quiet"])
    runjobs.main([str(queue_dir), "--quiet", "--poll", "0.25"])
    assert polls == [1.0, 3.5, 0.25]


@pytest.mark.parametrize("command", ["list", "workers", "submit -- true", "check"])
def test_other_commands_do_not_load_it(queue: JobQueue, command: str) -> None:
    # What was there before is the measuring of coverage's.
    code = (
        "import sys\nbefore = set(sys.modules)\nfrom jobqueue.cli import main\n"
        f"main({command.split()!r})\nprint(*set(sys.modules) - before, file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    assert "jobqueue" in said
    heavy = ("jobqueue.doctor", "jobqueue.burnin", "multiprocessing", "filelock")
    assert [name for name in said if name.startswith(heavy)] == []
