"""Who we are."""

from __future__ import annotations

import builtins
import getpass
import os
import random
import socket
import subprocess
from typing import Any

import pytest

from jobqueue import identity
from jobqueue.layout import is_worker_name


def test_a_name_says_who_where_and_is_never_used_again() -> None:
    chance = random.Random(1)
    names = {identity.new_name("Blender Farm!", chance) for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert is_worker_name(name)
        assert name.startswith("blender-farm-")
        assert len(name.rpartition("-")[2]) == 10


def test_long_names_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Node07." + "x" * 60)
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
