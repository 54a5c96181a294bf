"""The procedure ``command``: runs a command."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from jobqueue.fields import Chunk, Template
from jobqueue.proc import JobProc
from jobqueue.procs._check import (
    check_argument,
    check_arguments,
    check_text,
    check_texts,
    choose_label,
    optional,
    shorten,
)
from jobqueue.procs._program import Log, ProgramError, how_ended, start

# Some frames to try fields with.
_ANY = Chunk(1, 1, 1)
_FIELD = re.compile(r"\{output([1-9][0-9]*)?\}")


class command(JobProc):
    """Runs a command; an exit code that is not 0 makes the job fail.

    Args:
        cmd: a command line for the shell, or a list of a program and its arguments, which is run without a shell. A
            list is the safer one: nothing in it needs quotes.
        env: environment variables, added to the worker's own.
        cwd: the working directory; the job's `runningDir` by default.
        outputs: a file that the command makes, or a list of them, by their final absolute paths: they are published
            when the job has succeeded, see `JobProc.output`. The command is to write to ``{output}`` instead, or to
            ``{output1}``, ``{output2}`` and so on; in a line for the shell what is put there is quoted as far as it
            needs that, so it has to stand outside of quotes. Other braces are left alone, and without ``outputs`` these
            are, too. The same paths are in the environment, as ``JOBQUEUE_OUTPUT``, ``JOBQUEUE_OUTPUT1`` and so on.
        label: see `JobProc`; the command by default.

    Raises:
        TypeError: a parameter has a wrong type.
        ValueError: a parameter has a wrong value.
    """

    def __init__(
        self,
        cmd: str | Sequence[str],
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        *,
        outputs: str | Sequence[str] = (),
        label: str | None = None,
    ) -> None:
        if not isinstance(cmd, (str, list, tuple)):
            raise TypeError(f"cmd must be text or a list of texts, not {type(cmd).__name__}")
        self._cmd: str | list[str] = check_text("cmd", cmd) if isinstance(cmd, str) else check_texts("cmd", cmd)
        if not self._cmd or not self._cmd[0].strip():
            raise ValueError("cmd names no program")
        self._env = None if env is None else check_env("env", env)
        self._cwd = optional(check_argument, "cwd", cwd)
        self._outputs = _check_outputs(outputs, [self._cmd] if isinstance(self._cmd, str) else self._cmd)
        self._shown = shorten(self._cmd if isinstance(self._cmd, str) else shlex.join(self._cmd))
        self._log = Log()
        super().__init__(choose_label(label, self._shown))

    @classmethod
    def array_fields(cls, given: Mapping[str, Any]) -> bool:
        """Whether the command of an array is to be run once for a chunk: it has fields for the ends of a range only.

        Raises:
            FrameRangeError: it has a field that there is none of.
        """
        # What is no command whatever is filled in, the constructor says best.
        cls(**given)
        template = _template(given, cls._is_for_range(given))
        template.fill(_ANY)
        outputs = given.get("outputs", ())
        for at, path in enumerate([outputs] if isinstance(outputs, str) else outputs):
            if not os.path.isabs(path):
                raise ValueError(f"outputs[{at}] is {path!r}; it must be the absolute path of a file")
        return cls._is_for_range(given)

    @classmethod
    def array_output(cls, given: Mapping[str, Any], over: Mapping[str, Sequence[Any]] | None) -> str | None:
        """A file that several runs of an array's command would publish, as far as its parameters alone tell.

        Args:
            given: the parameters of all items.
            over: the values of each item's own; ``None`` where fields for frames are filled in, each of which differs
                from one run to the next.
        """
        common = [os.path.normpath(path) for path in _texts(given.get("outputs"))]
        if over is None:
            # A field in a directory that .. takes away again tells nothing apart.
            return next((path for path in common if not Template("", 1, [path]).output_fields), None)
        if "outputs" not in over:
            return next(iter(common), None)
        seen: set[str] = set()
        for item in range(len(over["outputs"])):
            paths = {os.path.normpath(path) for path in _texts(over["outputs"][item])}
            if doubles := seen & paths:
                return min(doubles)
            seen |= paths
        return None

    @staticmethod
    def _is_for_range(given: Mapping[str, Any]) -> bool:
        template = _template(given, False)
        fields = template.fields | template.output_fields
        return bool(fields & {"start", "end", "frames"}) and "frame" not in fields

    @classmethod
    def filled(cls, given: Mapping[str, Any], piece: Chunk) -> dict[str, Any]:
        """The parameters that have fields, with those of an array's frames filled in."""
        template = _template(given, piece.first != piece.last)
        outputs = template.fill_outputs(piece)
        return {"cmd": template.fill(piece), **({"outputs": outputs} if outputs else {})}

    def run(self) -> None:
        """Runs the command.

        Raises:
            ProgramError: it failed, or cannot be started; the message has the exit code or the signal, and the last
                line of the standard error.
        """
        self._log = Log()
        paths = [self.output(path) for path in self._outputs]
        env = None if self._env is None and not paths else {**os.environ, **(self._env or {}), **_variables(paths)}
        code = start(self, fill(self._cmd, paths), hint="install it, or give its path", env=env, cwd=self._cwd)
        if code:
            ended = how_ended(code, shell=isinstance(self._cmd, str))
            self.setStatusLine(shorten(f"{ended}: {self._log.why()}", 200))
            raise ProgramError(f"{self._shown} ended with {ended}: {self._log.why()}")

    def stdoutCallback(self, lineNr: int, line: str) -> None:  # noqa: ARG002 - the seam gives it
        self._log.take("stdout", line)

    def stderrCallback(self, lineNr: int, line: str) -> None:  # noqa: ARG002 - the seam gives it
        self._log.take("stderr", line)


def _texts(outputs: object) -> list[str]:
    """Paths as they are given; what is none, the constructor says best."""
    if isinstance(outputs, str):
        return [outputs]
    return [path for path in outputs if isinstance(path, str)] if isinstance(outputs, (list, tuple)) else []


def _template(given: Mapping[str, Any], is_for_range: bool) -> Template:
    """The parameters of an array's command, whose fields are to be filled in for each item."""
    outputs = given.get("outputs", ())
    paths = [outputs] if isinstance(outputs, str) else list(outputs)
    cmd = given["cmd"]
    return Template(cmd if isinstance(cmd, str) else list(cmd), 2 if is_for_range else 1, paths)


def fill(cmd: str | list[str], paths: Sequence[str]) -> str | list[str]:
    """A command with the outputs' paths in it; they are quoted where it is a line for the shell."""
    if not paths:
        return cmd
    if isinstance(cmd, str):
        return _FIELD.sub(lambda field: shlex.quote(paths[int(field[1] or 1) - 1]), cmd)
    return [_FIELD.sub(lambda field: paths[int(field[1] or 1) - 1], word) for word in cmd]


def _variables(paths: Sequence[str]) -> dict[str, str]:
    found = {f"JOBQUEUE_OUTPUT{number}": path for number, path in enumerate(paths, start=1)}
    return {**found, "JOBQUEUE_OUTPUT": paths[0]} if paths else found


def _check_outputs(outputs: object, words: Sequence[str]) -> list[str]:
    paths = [] if outputs in ((), []) else check_arguments("outputs", outputs)
    for at, path in enumerate(paths):
        if not os.path.isabs(path) or os.path.basename(path) in ("", ".", ".."):
            raise ValueError(f"outputs[{at}] is {path!r}; it must be the absolute path of a file")
        if path in paths[:at]:
            raise ValueError(f"outputs[{at}] is {path!r}, which is in the list already")
    highest = max((int(field[1] or 1) for word in words for field in _FIELD.finditer(word)), default=0)
    if paths and highest > len(paths):
        raise ValueError(f"cmd has {{output{highest}}}, but there are only {len(paths)} outputs")
    return paths


def check_env(name: str, value: object) -> dict[str, str]:
    """Environment variables.

    Raises:
        TypeError: it is no dict of texts.
        ValueError: a name cannot be one, or a value holds a NUL character.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict of texts, not {type(value).__name__}")
    for key, item in value.items():
        if "=" in check_text(f"a name in {name}", key):
            raise ValueError(f"{name} has the name {key!r}, and a name cannot hold an equals sign")
        if item != "":
            check_text(f"{name}[{key!r}]", item)
    return dict(value)
