"""Who we are."""

from __future__ import annotations

import builtins
import getpass
import os
import random
import socket
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from jobqueue import identity
from jobqueue.names import is_worker_name


def test_a_name_says_who_where_and_is_never_used_again() -> None:
    chance = random.Random(1)
    names = {identity.new_name("Blender Farm!", chance) for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert is_worker_name(name)
        assert name.startswith("blender-farm-")
        assert len(name.rpartition("-")[2]) == 10


def test_long_names_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="Node07." + "x" * 60))
    name = identity.new_name("y" * 60, random.Random(1))
    assert name.rpartition("-")[0] == "y" * 24 + "-node07-" + "x" * 25


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def getuser() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", lambda: "anna")
    assert identity.user_name() == "anna"
    monkeypatch.setattr(getpass, "getuser", getuser)
    assert identity.user_name() == str(os.getuid())


def test_a_process_describes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "anna")
    described = identity.describe_process()
    assert described == {
        "host": socket.gethostname(),
        "boot": identity.boot_id(),
        "pidns": os.readlink("/proc/self/ns/pid"),
        "pid": os.getpid(),
        "started_ticks": identity.started_ticks(os.getpid()),
        "user": "anna",
    }
    assert len(described["boot"]) == 36
    assert described["started_ticks"] > 0


def test_a_process_that_is_gone_has_no_start() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert identity.started_ticks(process.pid) is None


def test_a_commands_name_may_hold_blanks_and_parentheses(monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"7 (a) S (b) R {' '.join(map(str, range(4, 60)))}"
    monkeypatch.setattr(identity, "_line", {"/proc/7/stat": line}.__getitem__)
    assert identity.started_ticks(7) == 22


def test_a_process_is_gone_when_its_number_is_free_or_anothers_or_it_only_waits_to_be_reaped() -> None:
    mine = identity.started_ticks(os.getpid())
    assert mine is not None
    assert not identity.is_process_gone(os.getpid(), mine)
    assert identity.is_process_gone(os.getpid(), mine - 1)
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    ticks = identity.started_ticks(process.pid)
    assert not identity.is_process_gone(process.pid, ticks)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert identity.is_process_gone(process.pid, ticks)
    process.communicate()
    assert identity.is_process_gone(process.pid, ticks)


def test_of_a_process_without_a_known_start_only_its_number_tells() -> None:
    assert not identity.is_process_gone(os.getpid(), None)
    process = subprocess.Popen(["true"])
    process.wait()
    assert identity.is_process_gone(process.pid, None)


@pytest.mark.parametrize("error", [PermissionError, FileNotFoundError])
def test_a_living_process_whose_entry_in_proc_is_hidden_is_not_gone(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    """With hidepid=1 the stat of another user's process may not be read, with hidepid=2 it is not there."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    ticks = identity.started_ticks(process.pid)
    real_open = builtins.open

    def hidden(path: Any, *args: Any, **kwargs: Any) -> Any:
        if str(path) == f"/proc/{process.pid}/stat":
            raise error(path)
        return real_open(path, *args, **kwargs)

    def kill_another_users(pid: int, number: int) -> None:
        assert (pid, number) == (process.pid, 0)
        raise PermissionError

    with monkeypatch.context() as hiding:
        hiding.setattr(builtins, "open", hidden)
        assert not identity.is_process_gone(process.pid, ticks)
        hiding.setattr(os, "kill", kill_another_users)
        assert not identity.is_process_gone(process.pid, ticks)
    process.communicate(b"")
    assert identity.is_process_gone(process.pid, ticks)


def test_what_can_be_no_processs_number_is_not_known_to_be_gone() -> None:
    assert not identity.is_process_gone(1 << 80, 1)


def test_a_group_runs_while_one_of_its_processes_does() -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True)
    assert identity.is_group_running(process.pid)
    process.kill()
    # It has ended and is not reaped yet: a zombie does nothing any more.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.is_group_running(process.pid)
    process.communicate()
    assert not identity.is_group_running(process.pid)


def test_where_proc_is_hidden_nobody_is_told_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = builtins.open

    def hidden(path: Any, *args: Any, **kwargs: Any) -> Any:
        if str(path).startswith("/proc"):
            raise PermissionError(path)
        return real_open(path, *args, **kwargs)

    def readlink(path: str) -> str:
        raise PermissionError(path)

    monkeypatch.setattr(builtins, "open", hidden)
    monkeypatch.setattr(os, "readlink", readlink)
    monkeypatch.setattr(os.path, "isdir", lambda path: not path.startswith("/proc"))
    assert identity.pid_namespace() == ""
    assert identity.boot_id() == ""
    assert identity.started_ticks(os.getpid()) is None
    assert identity.is_group_running(os.getpgid(0))
