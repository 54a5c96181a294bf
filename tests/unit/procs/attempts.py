"""What the tests of the built-in procedures share: an attempt that remembers, and programs that are only scripts."""

from __future__ import annotations

import io
import os
import shlex
from pathlib import Path
from typing import NamedTuple, TextIO

import pytest

from jobqueue.outputs import Outputs, publish
from jobqueue.proc import JobProc
from jobqueue.share import Share


class RecordingAttempt:
    """An attempt that keeps all that a procedure says of itself."""

    def __init__(self, running_dir: Path) -> None:
        self.running_dir = str(running_dir)
        self.stdout: TextIO = io.StringIO()
        self.stderr: TextIO = io.StringIO()
        self.progress: list[float] = []
        self.status: list[str] = []
        self.failed = False
        self.outputs = self._outputs()

    def show_progress(self, progress: float) -> None:
        self.progress.append(progress)

    def show_status(self, line: str) -> None:
        self.status.append(line)

    def mark_error(self) -> None:
        self.failed = True

    def _outputs(self) -> Outputs:
        return Outputs(
            Share(), f"{self.running_dir}/queue", ".jq-4f0c12ab9d.1-7.0000003.2", f"{self.running_dir}/.outputs"
        )

    def output(self, path: str) -> str:
        return self.outputs.declare(path)

    def output_folder(self, directory: str) -> str:
        return self.outputs.open_folder(directory)

    def adopt_outputs(self, directory: str) -> list[str]:
        return self.outputs.adopt(directory)

    def run(self, proc: JobProc) -> object:
        """Runs a procedure as an attempt does it, publishes its outputs, and gives what it returns."""
        self.outputs = self._outputs()
        proc._attach(self)
        try:
            result = proc.run()
        finally:
            proc._attach(None)
        assert publish(Share(), {"outputs": self.outputs.sync()}) is None
        for temporary in self.outputs.temporaries:
            Share().remove_tree(temporary)
        return result

    def printed(self) -> str:
        assert isinstance(self.stdout, io.StringIO)
        return self.stdout.getvalue()

    def complained(self) -> str:
        assert isinstance(self.stderr, io.StringIO)
        return self.stderr.getvalue()

    def steps(self) -> list[float]:
        """The progress without repetitions, rounded."""
        return [round(value, 1) for value in dict.fromkeys(self.progress)]


def enter(parent: Path, monkeypatch: pytest.MonkeyPatch) -> RecordingAttempt:
    """An attempt with a directory of its own, which is the working directory until the test ends."""
    folder = parent / "the attempt"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return RecordingAttempt(folder)


class Output(NamedTuple):
    """What a fake program prints at one start, and how it ends."""

    stdout: str = ""
    stderr: str = ""
    code: int = 0


class FakeProgram:
    """A script that prints what it is told, and remembers its arguments.

    Args:
        path: where the script is to be.
        outputs: for each start, what it prints; the last one again for all that follow.
    """

    def __init__(self, path: Path, outputs: tuple[Output, ...]) -> None:
        self.path = str(path)
        self._calls = path.with_name(f"{path.name}.calls")
        for number, output in enumerate(outputs):
            for stream, text in (("out", output.stdout), ("err", output.stderr)):
                path.with_name(f"{path.name}.{number}.{stream}").write_bytes(text.encode())
        here = shlex.quote(str(path))
        cases = "".join(f"{number}) code={output.code};;" for number, output in enumerate(outputs))
        path.write_text(
            "#!/bin/sh\n"
            f"n=0; [ -e {here}.calls ] && n=$(tr -cd '\\001' < {here}.calls | wc -c)\n"
            f'for argument in "$@"; do printf "%s\\000" "$argument" >> {here}.calls; done\n'
            f'printf "\\001" >> {here}.calls\n'
            f"n=$((n)); [ $n -lt {len(outputs)} ] || n={len(outputs) - 1}\n"
            f"cat {here}.$n.out; cat {here}.$n.err >&2\n"
            f"case $n in {cases} esac\n"
            "exit $code\n"
        )
        os.chmod(path, 0o755)

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each start, without the program itself."""
        starts = self._calls.read_text().split("\1")[:-1] if self._calls.exists() else []
        return [start.split("\0")[:-1] for start in starts]
