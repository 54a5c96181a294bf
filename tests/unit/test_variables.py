"""Environment variables that are set a million times."""

from __future__ import annotations

import os
import subprocess
import sys

_PROGRAM = """
import os, resource, subprocess, sys
from jobqueue.worker.variables import Variables

variables = Variables()
def memory_kb():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 1024
def put(count):
    for number in range(count):
        variables.set(b"SOME_JOB", b"job1/job0:%d" % number)

put(1000)
before = memory_kb()
put(100_000)
grown = memory_kb() - before
assert grown < 1024, grown
assert os.environ["SOME_JOB"] == os.environb[b"SOME_JOB"].decode() == "job1/job0:99999"
def child():
    return subprocess.run(["sh", "-c", "echo ${SOME_JOB-none}"], check=True, capture_output=True, text=True).stdout
print(child(), end="")
os.environ["SOME_JOB"] = "its own"
print(child(), end="")
variables.set(b"SOME_JOB", b"ours")
print(child(), end="")
del os.environ["SOME_JOB"]
print(child(), end="")
variables.set(b"SOME_JOB", "\u00e4=b".encode())
print(ascii(os.environ["SOME_JOB"]), ascii(child()))
"""


def test_a_variable_takes_up_memory_once_however_often_it_is_set_and_is_seen_by_all() -> None:
    run = subprocess.run([sys.executable, "-c", _PROGRAM], env=os.environ, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    first, own, ours, none, odd = run.stdout.splitlines()
    assert (first, own, ours, none) == ("job1/job0:99999", "its own", "ours", "none")
    assert odd == "'\\xe4=b' '\\xe4=b\\n'"
