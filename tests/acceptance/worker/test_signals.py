"""Workers that are told to end, once, twice, or by SIGKILL."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.worker.driver import PATIENCE_S, Gate, Queue, Worker, end_processes, is_alive, lines, until
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


def test_a_signal_to_all_processes_of_a_host_that_shuts_down_is_held_against_no_job(
    q: Queue, start: START, tmp_path: Path
) -> None:
    gates = [Gate(tmp_path, name) for name in ("one", "other")]
    q.submit(*(each.code for each in gates))
    worker = start("--slots", "2")
    for each in gates:
        each.wait_for()
    for pid in (worker.process.pid, *worker.children()):
        os.kill(pid, signal.SIGTERM)
    assert worker.ends() == 0
    assert q.folder(1, "ready") == ["0000000.1.2.0", "0000001.1.2.0"], "given back, and charged with nothing"
    assert q.workers() == []
    assert_sound(q.dir)


def test_a_hangup_that_is_ignored_for_a_worker_stays_ignored(q: Queue, tmp_path: Path) -> None:
    """`nohup runjobs QUEUE &`, and then one logs out."""
    command = ["nohup", sys.executable, "-m", "jobqueue.cli.runjobs", str(q.dir), "--slots", "1", "--poll", "0.1"]
    log = tmp_path / "log"
    process = subprocess.Popen(
        [*command, "--log", str(log)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    worker = Worker(q.dir, log, process=process)
    try:
        # From here its signal handlers are set.
        worker.wait_to_say("has come to")
        worker.signal(signal.SIGHUP)
        worker.wait_for_beats(2)
        handle = q.submit("result = 1")
        until(handle.isFinished, "a worker that takes new jobs")
        worker.signal(signal.SIGTERM)
        assert worker.ends() == 0
    finally:
        worker.end_at_once()
    assert worker.says("finishing what runs", 1)
    assert not worker.says("Once more", 2)


@pytest.mark.parametrize("has_log", [True, False])
def test_a_worker_whose_terminal_is_closed_finishes_what_runs_and_ends(
    q: Queue, gate: Gate, tmp_path: Path, has_log: bool
) -> None:
    handle = q.submit(gate.code, "result = 'not taken'")
    ours, theirs = pty.openpty()
    log = tmp_path / "log"
    # Only the terminal that controls a session tells it that it was closed. Source: tty_ioctl(4).
    command = ["setsid", "--ctty", sys.executable, "-m", "jobqueue.cli.runjobs", str(q.dir), "--slots", "1"]
    if has_log:
        command += ["--log", str(log)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, text=True)
    os.close(theirs)
    worker = Worker(q.dir, log, process=process)
    try:
        while not gate.arrivals():
            # What it shows must be read, or it would wait for us.
            if select.select([ours], [], [], 0.1)[0]:
                os.read(ours, 65536)
        os.close(ours)
        if has_log:
            worker.wait_to_say("finishing what runs")
        # It has meanwhile drawn what it shows, or tried to, more than once.
        worker.wait_for_beats(4)
        gate.open()
        assert process.wait(PATIENCE_S) == 0
    finally:
        worker.end_at_once()
    first, second = handle.listSubJobs()
    assert (first.state.name, first.attempt, second.state.name) == ("FINISHED", 1, "READY")
    assert q.workers() == []
    assert_sound(q.dir)


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


def test_a_killed_guard_is_replaced_by_one_that_knows_all_slots(
    q: Queue, start: START, gate: Gate, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    q.submit_commands(with_grandchild(gate, pids), with_grandchild(gate, pids))
    worker = start("--slots", "2")
    gate.wait_for(2)
    processes = [*worker.slots(), *gate.arrivals(), *map(int, lines(pids))]
    first = worker.guard()
    try:
        os.kill(first, signal.SIGKILL)
        until(lambda: worker.guard() != first, "another guard")
        assert not worker.complaints()
        # By then it has been told all that it has to know.
        worker.wait_for_beats(2)
        worker.signal(signal.SIGKILL)
        worker.ends()
        until(lambda: not any(map(is_alive, processes)), "slots, shells and their children are gone")
    finally:
        end_processes(processes)
    assert_sound(q.dir)


def test_a_worker_whose_guard_is_killed_goes_on_and_the_next_slot_is_guarded_too(
    q: Queue, start: START, gate: Gate
) -> None:
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
