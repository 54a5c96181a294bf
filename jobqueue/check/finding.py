"""What an audit finds: in words for people, with what makes it known again, and how it is mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from jobqueue.store import Store

Mend = Callable[[Store], object]


class Cure(NamedTuple):
    """How something is mended.

    Attributes:
        words: what is done.
        mend: does it; may be called beside living workers, may die after each call, and may be called again.
    """

    words: str
    mend: Mend


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: what it is, in one word.
        number: of the top-level job, or ``None`` for the queue itself.
        job: what people call the job, or ``None``.
        path: the file or directory that it is about.
        says: what is wrong, in words.
        evidence: what has to be the same at each look for this to be one and the same thing.
        cure: what a repair does; ``None`` where there is nothing to be done by a program.
        is_note: it is worth a line, and nothing is wrong.
        is_later: it is judged by what the repair of something else of its job will bring about, and mended after that.
    """

    kind: str
    number: int | None
    job: str | None
    path: str
    says: str
    evidence: tuple[str, ...] = ()
    cure: Cure | None = None
    is_note: bool = False
    is_later: bool = False

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        """The same at two looks for the same thing."""
        return self.kind, self.path, self.evidence

    @property
    def told(self) -> tuple[str, str | None, str, str]:
        """The same for what is told twice: what was foreseen, and was found when the rest was mended."""
        return self.kind, self.job, self.path, self.says


def aside(number: int, where: str, name: str) -> str:
    """The name in trash/ of what is set aside: it goes with its top-level job, and is no entry of one to be deleted."""
    return f"{number}.{where}.{name}"
