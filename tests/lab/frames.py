"""In the guest: the files that jobs publish, watched on the server while they come: whole, once, and the winner's."""

from __future__ import annotations

import os
from pathlib import Path

from jobqueue.names import TEMPORARY

# The last line of a file that was written to its end.
END = "whole"


class Frames:
    """What was ever seen under the final names.

    Args:
        directory: where the files are published, as the server sees it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # Name -> inode, size and text, as first seen.
        self._seen: dict[str, tuple[int, int, str]] = {}
        self._wrong: list[str] = []

    def look(self) -> None:
        """To be called often; what is seen for a moment only must be whole, too."""
        with os.scandir(self._directory) as entries:
            found = [(entry.name, entry.stat(), entry.path) for entry in entries if not entry.name.startswith(".")]
        for name, seen, path in found:
            known = self._seen.get(name)
            if known is None:
                text = Path(path).read_text(errors="replace")
                self._seen[name] = seen.st_ino, seen.st_size, text
                if text.splitlines()[-1:] != [END]:
                    self._wrong.append(f"{name} was published and is torn: {text!r}")
            elif known[:2] != (seen.st_ino, seen.st_size):
                self._wrong.append(f"{name} was there and was replaced")
                self._seen[name] = seen.st_ino, seen.st_size, known[2]

    def problems(self, winners: dict[str, int]) -> list[str]:
        """What is wrong when all has ended.

        Args:
            winners: for each final name the attempt whose result counts.
        """
        self.look()
        found = list(self._wrong)
        for name, (_, _, text) in self._seen.items():
            path = self._directory / name
            if not path.exists() or path.read_text(errors="replace") != text:
                found.append(f"{name} is not what it was when it was published")
        for name, attempt in winners.items():
            text = self._seen[name][2] if name in self._seen else ""
            if not text.startswith(f"{attempt} "):
                found.append(f"{name} is not that of attempt {attempt}: {text[:40]!r}")
        return found + [f"{name} was published by nobody's result" for name in self._seen if name not in winners]

    def left(self) -> int:
        """How many attempts' own directories are left."""
        return sum(name.startswith(TEMPORARY) for name in os.listdir(self._directory))
