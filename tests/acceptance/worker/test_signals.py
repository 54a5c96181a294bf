"""Workers that are told to end, once, twice, or by SIGKILL."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.worker.driver import Gate, Queue, Worker, is_alive, lines, until
from tests.soundness import assert_sound

ENDING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
START = Callable[..., Worker]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def with_grandchild(gate: Gate, pids: Path) -> str:
    """A command whose shell starts a process of its own, writes its id down, and waits at the gate."""
    return f"sleep 1000 >/dev/null 2>&1 & echo $! >> {pids}; {gate.shell}"


@pytest.mark.parametrize("number", ENDING)
def test_after_the_first_signal_what_runs_is_finished_and_nothing_new_is_taken(
    q: Queue, start: START, gate: Gate, number: int
) -> None:
    q.submit(gate.code, gate.code)
    worker = start("--slots", "1")
    gate.wait_for()
    worker.signal(number)
    worker.wait_to_say("finishing what runs, taking nothing new")
    gate.open()
    assert worker.ends() == 0
    assert len(gate.arrivals()) == 1
    assert [name[:7] for name in q.folder(1, "finished")] == ["0000000"]
    assert q.folder(1, "ready") == ["0000001.0.0.0"]
    assert q.workers() == []
    assert_sound(q.dir)


def test_a_signal_to_the_whole_process_group_is_not_the_jobs(q: Queue, start: START, gate: Gate) -> None:
    """Ctrl-C on a terminal goes to every process of the foreground group."""
    q.submit_commands(gate.shell)
    worker = start("--slots", "1")
    gate.wait_for()
    assert {os.getpgid(pid) for pid in worker.slots()}.isdisjoint({os.getpgid(worker.process.pid)})
    worker.signal(signal.SIGINT)
    worker.wait_to_say("finishing what runs")
    gate.open()
    assert worker.ends() == 0
    assert len(q.folder(1, "finished")) == 1


def test_the_second_signal_ends_whole_process_groups_and_gives_the_jobs_back(
    q: Queue, start: START, gate: Gate, tmp_path: Path
) -> None:
    pids, gates = tmp_path / "pids", [gate, Gate(tmp_path, "other")]
    q.submit_commands(*(with_grandchild(each, pids) for each in gates))
    worker = start("--slots", "2")
    shells = [each.wait_for() for each in gates]
    processes = [*worker.slots(), *shells, *map(int, lines(pids))]
    assert len(processes) == 6
    worker.signal(signal.SIGTERM)
    worker.wait_to_say("finishing what runs")
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert not any(map(is_alive, processes))
    assert q.folder(1, "ready") == ["0000000.1.2.0", "0000001.1.2.0"], "given back, and charged with nothing"
    assert q.workers() == []
    assert_sound(q.dir)

    other = start("--slots", "2", "--exit-when-empty")
    for each in gates:
        each.wait_for(2)
        each.open()
    assert other.ends() == 0
    assert len(q.entries("done")) == 1
    assert not any(is_alive(int(pid)) for pid in lines(pids)), "what a job leaves behind ends with its slot"


def test_a_job_that_does_not_listen_to_sigterm_is_killed_after_the_second_signal(
    q: Queue, start: START, gate: Gate
) -> None:
    q.submit_commands(f"trap '' TERM; {gate.shell}")
    worker = start("--slots", "1")
    shell = gate.wait_for()
    worker.signal(signal.SIGTERM)
    worker.wait_to_say("finishing what runs")
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert not is_alive(shell)
    assert q.folder(1, "ready") == ["0000000.1.2.0"]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_an_idle_worker(q: Queue, start: START, number: int) -> None:
    q.submit("pass")
    worker = start("--slots", "2")
    until(lambda: q.entries("done"), "the only job is done")
    worker.signal(number)
    assert worker.ends() == 0
    assert q.workers() == []


def test_two_signals_end_an_idle_worker(q: Queue, start: START) -> None:
    worker = start("--slots", "2")
    worker.wait_to_say("has come to")
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGINT)
    assert worker.ends() == 0
    assert q.workers() == []


def holding(path: Path) -> str:
    """Holds the interpreter in a call of C, for as long as nobody ends the process."""
    return (
        "import ctypes, os, subprocess\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        f"open({str(path)!r}, 'a').write(f'{{os.getpid()}}\\n{{child.pid}}\\n')\n"
        "ctypes.PyDLL(None).sleep(1000)\n"
    )


def test_a_held_interpreter_does_not_keep_the_worker_from_beating(q: Queue, start: START, tmp_path: Path) -> None:
    q.submit(holding(tmp_path / "pids"))
    worker = start("--slots", "1")
    until(lambda: len(lines(tmp_path / "pids")) == 2, "the job holds its interpreter")
    worker.wait_for_beats(3)


def test_a_held_interpreter_is_ended_by_the_second_signal(q: Queue, start: START, tmp_path: Path) -> None:
    q.submit(holding(tmp_path / "pids"))
    worker = start("--slots", "1")
    until(lambda: len(lines(tmp_path / "pids")) == 2, "the job holds its interpreter")
    worker.signal(signal.SIGTERM)
    worker.wait_to_say("finishing what runs")
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert not any(is_alive(int(pid)) for pid in lines(tmp_path / "pids"))
    assert q.folder(1, "ready") == ["0000000.1.2.0"]


def test_a_killed_supervisor_takes_its_slots_and_their_commands_along(
    q: Queue, start: START, gate: Gate, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    q.submit_commands(with_grandchild(gate, pids), with_grandchild(gate, pids))
    worker = start("--slots", "2")
    gate.wait_for(2)
    processes = [*worker.slots(), *gate.arrivals(), *map(int, lines(pids))]
    worker.signal(signal.SIGKILL)
    assert worker.ends() == -signal.SIGKILL
    until(lambda: not any(map(is_alive, processes)), "slots, shells and their children are gone")
    running = q.dir / "workers" / q.workers()[0] / "running"
    assert len(os.listdir(running)) == 2, "what it owed still lies with it"
    assert_sound(q.dir)


def test_a_killed_supervisor_takes_a_slot_along_whose_job_holds_the_interpreter(
    q: Queue, start: START, tmp_path: Path
) -> None:
    q.submit(holding(tmp_path / "pids"))
    worker = start("--slots", "1")
    until(lambda: len(lines(tmp_path / "pids")) == 2, "the job holds its interpreter")
    worker.signal(signal.SIGKILL)
    worker.ends()
    pids = [int(pid) for pid in lines(tmp_path / "pids")]
    until(lambda: not any(map(is_alive, pids)), "the slot and its command are gone")


def test_a_killed_supervisor_takes_idle_slots_along(q: Queue, start: START) -> None:
    worker = start("--slots", "3")
    until(lambda: len(worker.slots()) == 3, "three slots")
    slots = worker.slots()
    worker.signal(signal.SIGKILL)
    worker.ends()
    until(lambda: not any(map(is_alive, slots)), "the slots are gone")


def test_a_killed_guard_is_replaced_with_the_next_slot(q: Queue, start: START, gate: Gate) -> None:
    q.submit(gate.code)
    worker = start("--slots", "1")
    gate.wait_for()
    slot, guard = worker.slots()[0], worker.guard()
    os.kill(guard, signal.SIGKILL)
    until(lambda: not is_alive(guard), "the guard is gone")
    os.kill(slot, signal.SIGKILL)
    gate.wait_for(2)
    slots = until(worker.slots, "a new slot")
    assert worker.guard() != guard
    worker.signal(signal.SIGKILL)
    worker.ends()
    until(lambda: not any(map(is_alive, slots)), "the slot is gone with its supervisor")
