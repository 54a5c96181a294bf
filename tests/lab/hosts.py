"""In the guest: a Python process on a host, driven line by line: ``Host("host1").do("os.rename('a', 'b')")``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

_LOOP = r"""
import errno, json, os, sys
space = dict(globals())
for line in sys.stdin:
    source = json.loads(line)
    try:
        try:
            value = eval(compile(source, "<do>", "eval"), space)
        except SyntaxError:
            exec(compile(source, "<do>", "exec"), space)
            value = None
    except OSError as error:
        value = errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        value = repr(error)
    print(json.dumps(value, default=repr), flush=True)
"""


class Host:
    """A Python process on a host; its working directory is the host's own mount of the share.

    Args:
        name: of the host, as ``host1``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._python = subprocess.Popen(
            ["onhost", name, sys.executable, "-u", "-c", _LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, source: str) -> None:
        """Has it evaluate an expression, or execute statements; `receive` gets the answer."""
        assert self._python.stdin is not None
        self._python.stdin.write(json.dumps(source) + "\n")
        self._python.stdin.flush()

    def receive(self) -> Any:
        """The value; an error of the operating system is its name (``"ENOENT"``), another exception its text."""
        assert self._python.stdout is not None
        return json.loads(self._python.stdout.readline())

    def do(self, source: str) -> Any:
        """`send` and `receive`."""
        self.send(source)
        return self.receive()

    def close(self) -> None:
        """Ends the process."""
        assert self._python.stdin is not None
        self._python.stdin.close()
        self._python.wait()


def fault(*words: str) -> None:
    """Runs the lab's `fault` command."""
    subprocess.run(["fault", *words], check=True)


def host_names() -> list[str]:
    return os.environ["LAB_HOSTS"].split()
