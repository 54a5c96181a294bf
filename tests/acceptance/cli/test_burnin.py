"""`jobqueue burnin`: real workers are killed and stopped, and nothing is lost; a damage is found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from jobqueue.burnin import findings, victims
from jobqueue.burnin import run as module
from jobqueue.burnin.guard import Guard
from jobqueue.burnin.victims import Struck
from jobqueue.store import Store
from tests.acceptance.cli.conftest import Cli
from tests.support import is_running, wait_until

_SHORT = ("--minutes", "0.1", "--workers", "2", "--slots", "1", "--seed", "3")
_SHORTEST = ("--minutes", "0.02", "--workers", "1", "--slots", "1", "--seed", "3")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "place"
    place.mkdir()
    yield place
    for pid in processes_of(place):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_workers_are_really_killed_and_stopped_and_nothing_is_lost(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    killed: list[int] = []
    kill, popen_kill = os.kill, subprocess.Popen.kill

    def watched(pid: int, number: int) -> None:
        assert is_running(pid)
        sent.append((pid, number))
        kill(pid, number)

    def watched_kill(process: Any) -> None:
        if process.returncode is None:
            killed.append(process.pid)
        popen_kill(process)

    monkeypatch.setattr("jobqueue.burnin.victims.os.kill", watched)
    monkeypatch.setattr(subprocess.Popen, "kill", watched_kill)
    answer = cli("burnin", str(place), *_SHORT, "--json")
    told = answer.json
    assert (answer.code, answer.err) == (0, ""), told
    assert (told["sound"], told["seed"], told["left"]) == (True, 3, None)
    assert told["jobs"] == told["finished"] > 0
    assert told["executions"] >= told["jobs"]
    assert told["kills"] == len(killed) >= 1
    stopped = {pid for pid, number in sent if number == signal.SIGSTOP}
    assert stopped == {pid for pid, number in sent if number == signal.SIGCONT}
    # A worker that is stopped with its slot and its guard is three processes; one that is only coming is one.
    assert told["stops"] >= 1 and len(stopped) >= told["stops"]
    assert not any(is_running(pid) for pid in {*stopped, *killed})
    assert [told[key] for key in ("committed_twice", "lost", "failed", "other")] == [[], [], [], []]
    assert list(told["recovery"]) == ["kill", "stop", "stop supervisor"]
    assert list(place.iterdir()) == []


def test_a_host_that_joins_has_its_workers_tormented_too(place: Path) -> None:
    command = [sys.executable, "-m", "jobqueue", "burnin", str(place), "--json"]
    leader = subprocess.Popen(
        [*command, "--minutes", "0.15", "--workers", "1", "--slots", "1"], stdout=subprocess.PIPE, text=True
    )
    wait_until((place / "burnin" / "plan").exists, "the plan of the burn-in")
    joined = subprocess.run([*command, "--join"], capture_output=True, text=True, check=False, timeout=100)
    out, _ = leader.communicate(timeout=100)
    here, there = json.loads(out), json.loads(joined.stdout)
    assert (joined.returncode, joined.stderr, leader.returncode) == (0, "", 0), out
    assert len(here["hosts"]) == 2
    assert there["kills"] + there["stops"] > 0
    assert here["kills"] >= there["kills"] and here["stops"] >= there["stops"]
    assert here["kills"] + here["stops"] > there["kills"] + there["stops"]
    assert list(place.iterdir()) == []


def test_a_damage_is_found_and_left_to_be_looked_at(cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sabotaged(store: Store, submitted: Sequence[int], blows: Sequence[Struck]) -> findings.Tally:
        (folder,) = place.glob("burnin/queue/job1/.tokens/finished")
        name = min(path.name for path in folder.iterdir())
        fields = name.split(".")
        (folder / ".".join([*fields[:2], "99", *fields[3:]])).touch()
        return findings.count_up(store, submitted, blows)

    monkeypatch.setattr(module, "count_up", sabotaged)
    answer = cli("burnin", str(place), *_SHORTEST)
    lines = answer.out.splitlines()
    assert (answer.code, answer.err) == (1, "")
    assert lines[0].startswith(f"{place}: ")
    assert lines[0].endswith(", seed 3")
    assert "  committed twice: 1" in lines
    assert "    job1/job0/job0 has 2 results" in lines
    assert any("(two-tokens)" in line for line in lines)
    assert lines[-1] == f"verdict: not sound; it is left in {place}/burnin"
    assert (place / "burnin" / "queue" / "queue.cfg").exists()
    again = cli("burnin", str(place), *_SHORTEST)
    assert again.code == 2
    assert "another burn-in is here, or what one has left; `--join` takes part in it" in again.err


def test_a_sound_one_is_told_in_words_and_kept_if_wished(cli: Cli, place: Path) -> None:
    said = cli.good("burnin", str(place), *_SHORTEST, "--jobs", "1", "--keep").splitlines()
    assert " with 1 worker on each of 1 host (" in said[0]
    assert said[-5:] == [
        "  committed twice: 0", "  lost: 0", "  failed: 0", "  found by check: 0",
        f"verdict: sound; it is left in {place}/burnin",
    ]  # fmt: skip
    assert os.listdir(place / "burnin" / "logs")


def test_what_cannot_be_is_said_at_once(cli: Cli, place: Path) -> None:
    missing = f"{place}/missing"
    assert cli.refused("burnin", missing) == f"{missing}: there is no such directory; make it first"
    file = place.parent / "file"
    file.touch()
    assert cli.refused("burnin", str(file)) == f"{file}: this is a file; name a directory"
    assert "there is no burn-in to join" in cli.refused("burnin", str(place), "--join")
    assert "give no other option" in cli.refused("burnin", str(place), "--join", "--seed", "1")
    assert "a number of minutes above 0" in cli.refused("burnin", str(place), "--minutes", "0")
    assert "a whole number, 1 or more" in cli.refused("burnin", str(place), "--jobs", "0")
    assert list(place.iterdir()) == []


def test_one_that_is_broken_off_leaves_nothing(cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    victim_start = victims.Victim._start

    def start(victim: Any) -> Any:
        process = victim_start(victim)
        started.append(process.pid)
        return process

    def interrupt(_leader: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(victims.Victim, "_start", start)
    monkeypatch.setattr(module._Leader, "_submit", interrupt)
    assert cli("burnin", str(place), *_SHORT).code == 130
    assert len(started) == 2
    assert not any(is_running(pid) for pid in started)
    assert list(place.iterdir()) == []


# --- what ends it -----------------------------------------------------------------------------------------------------


def processes_of(place: Path) -> dict[int, str]:
    """The processes of a burn-in's workers, slots and guards included, with the letter of each one's state."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"\0{place}/burnin/queue\0" in (entry / "cmdline").read_text():
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            # It ended while it was looked at.
            continue
    return found


def begun(place: Path) -> subprocess.Popen[str]:
    """A burn-in in a process of its own, once it has stopped a worker; it would last for minutes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jobqueue", "burnin", str(place), "--workers", "2", "--slots", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: "T" in processes_of(place).values(), "a worker that is stopped")
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_one_that_is_told_to_end_leaves_nothing_and_no_worker_that_it_has_stopped(place: Path, number: int) -> None:
    process = begun(place)
    process.send_signal(number)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 128 + number
    assert processes_of(place) == {}
    assert list(place.iterdir()) == []


def test_the_workers_of_one_that_is_killed_end_too_and_the_next_one_says_how_to_find_them(
    cli: Cli, place: Path
) -> None:
    process = begun(place)
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: not processes_of(place), "the end of all workers")
    assert f"`pgrep -af 'jobqueue.cli.runjobs {place}/burnin/queue'` on each of its hosts shows them" in cli.refused(
        "burnin", str(place)
    )


def test_a_guard_that_was_killed_is_replaced_and_knows_all_that_the_one_before_knew() -> None:
    sleepers = ("11111", "22222")
    started = [subprocess.Popen(["sleep", seconds]) for seconds in sleepers]
    guard = Guard()
    guard.add(sleepers[0])
    guard._process.kill()
    guard._process.wait()
    guard.add(sleepers[1])
    assert [sleeper.poll() for sleeper in started] == [None, None]
    guard.close()
    assert [sleeper.wait(60) for sleeper in started] == [-signal.SIGKILL] * 2


def test_a_signal_that_was_ignored_stays_ignored(cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang_up(_leader: object) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.getsignal(signal.SIGTERM)
    try:
        monkeypatch.setattr(module._Leader, "_submit", hang_up)
        assert cli("burnin", str(place), *_SHORT).code == 143
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is before[1]
    finally:
        signal.signal(signal.SIGHUP, before[0])
    assert list(place.iterdir()) == []


def test_a_terminal_that_is_closed_takes_no_last_picture_and_the_exit_code_stays(
    cli: Cli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def bar_of_a_closed_terminal() -> Iterator[object]:
        try:
            yield lambda _look: None
        finally:
            raise OSError(5, "Input/output error")

    def hang_up(_leader: object) -> None:
        os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr(module._Leader, "_submit", hang_up)
    monkeypatch.setattr("jobqueue.cli.burnin._bar", bar_of_a_closed_terminal)
    answer = cli("burnin", str(place), *_SHORT)
    assert (answer.code, answer.err) == (129, "")
    assert list(place.iterdir()) == []
