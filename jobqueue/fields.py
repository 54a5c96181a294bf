"""A command with fields for frames: which it has, and what it is with them filled in. Pure."""

from __future__ import annotations

import os
import string
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jobqueue.errors import FrameRangeError

FIELDS = ("frame", "start", "end", "frames", "index")


class Chunk(NamedTuple):
    """Some frames: from ``first`` to ``last``, every ``step``-th (1 or more); ``last`` may be below ``first``.

    ``place`` is that of the first one in the whole range, from 0.
    """

    first: int
    last: int
    step: int
    place: int = 0

    @property
    def text(self) -> str:
        """The frames as `parse_frames` reads them: ``1-19x2``."""
        if self.first == self.last:
            return str(self.first)
        return f"{self.first}-{self.last}" + (f"x{self.step}" if self.step > 1 else "")


class Template:
    """A command with fields: ``{frame}``, ``{start}``, ``{end}``, ``{frames}`` and ``{index}``, with optional formats.

    Only numbers and frame ranges are filled in, so nothing needs quotes in a shell line that did not need them before.

    Args:
        command: a shell line, or a list of arguments; ``{{`` and ``}}`` are literal braces.
        size: how many frames a piece may have; ``{frame}`` is the one frame, so it wants 1.
        outputs: paths of what the command makes, with the same fields; in the command ``{output}``, ``{output1}`` and
            so on are left for the procedure to fill in.

    Raises:
        FrameRangeError: the command has another field, or a brace that is not closed.
    """

    def __init__(self, command: str | list[str], size: int, outputs: Sequence[str] = ()) -> None:
        self._command = command
        self._outputs = outputs
        names = ["output", *(f"output{number}" for number in range(1, len(outputs) + 1))] if outputs else []
        # What is put in for such a field is the field itself.
        self._kept = {name: f"{{{name}}}" for name in names}
        # Those that the command has, and those that its outputs have.
        parts = [command] if isinstance(command, str) else command
        self.fields = {name for part in parts for name in _fields(part)} - set(self._kept)
        self.output_fields = {name for output in outputs for name in _fields(output)}
        for name in sorted(self.fields | self.output_fields):
            self._check(name, size)
        # A format that does not fit is found now, not when half of the jobs are made.
        self.fill(Chunk(1, 1, 1))
        self.fill_outputs(Chunk(1, 1, 1))

    def _check(self, name: str, size: int) -> None:
        if name not in FIELDS:
            known = ", ".join(f"{{{field}}}" for field in FIELDS)
            raise FrameRangeError(f"{{{name}}} is none of {known}; a brace that is meant itself is doubled: {{{{ }}}}")
        if name == "frame" and size > 1:
            raise FrameRangeError(
                f"{{frame}} is one frame, but a chunk has up to {size}; use {{start}} and {{end}}, or {{frames}}"
            )

    def fill(self, chunk: Chunk) -> str | list[str]:
        """The command for some frames."""
        if isinstance(self._command, str):
            return self._filled(self._command, chunk)
        return [self._filled(part, chunk) for part in self._command]

    def fill_outputs(self, chunk: Chunk) -> list[str]:
        """The absolute paths of the outputs for some frames; relative ones start at the present directory."""
        return [os.path.abspath(self._filled(output, chunk)) for output in self._outputs]

    def _filled(self, text: str, chunk: Chunk) -> str:
        values = {
            "frame": chunk.first, "start": chunk.first, "end": chunk.last, "frames": chunk.text, "index": chunk.place,
        }  # fmt: skip
        try:
            return text.format(**values, **self._kept)
        except ValueError as error:
            raise FrameRangeError(f"a field in {text!r} cannot be filled: {error}") from error


def _fields(text: str) -> Iterator[str]:
    try:
        for _, name, layout, conversion in string.Formatter().parse(text):
            if name is not None:
                yield name if not conversion else f"{name}!{conversion}"
                # A format may hold fields itself.
                yield from _fields(layout or "")
    except ValueError as error:
        raise FrameRangeError(
            f"the braces in {text!r} do not match ({error}); a brace that is meant itself is doubled: {{{{ }}}}"
        ) from error
