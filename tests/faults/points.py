"""The points at which a flow can be hurt, and a place where it is tried at one after the other."""

from __future__ import annotations

import itertools
import shutil
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.faults.flows import Flow
from tests.support_faults import CountingShare, F, Point

# More failures than this say nothing new.
_TOLD = 20


class Stage:
    """Where flows are acted, each in a queue of its own.

    Args:
        empty_queue: a queue, to be copied.
        scratch: where the copies are made.

    Attributes:
        acted: how many have been.
    """

    def __init__(self, empty_queue: Path, scratch: Path) -> None:
        self._empty_queue = empty_queue
        self._scratch = scratch
        self.acted = 0

    def failure(self, what: object, act: Callable[[Path], None]) -> str | None:
        """Acts in a new queue; what was wrong, or ``None``."""
        self.acted += 1
        queue_dir = self._scratch / f"queue{self.acted}"
        shutil.copytree(self._empty_queue, queue_dir)
        try:
            act(queue_dir)
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            return f"{what}: {error!r}, {at.filename}:{at.lineno}"
        finally:
            shutil.rmtree(queue_dir)
            shutil.rmtree(f"{queue_dir}-out", ignore_errors=True)
        return None


def points_of(stage: Stage, flow_class: type[Flow], fates: tuple[F, ...]) -> list[Point[F]]:
    """Each call of a flow, with all that can befall it."""
    points: list[Point[F]] = []

    def count(queue_dir: Path) -> None:
        share = CountingShare()
        flow = flow_class(queue_dir)
        try:
            flow.act(share, share.begin)
            share.end()
            flow.finish()
        finally:
            flow.close()
        points.extend(share.points(fates))

    assert_none([stage.failure("nothing", count)])
    assert points
    return points


def assert_none(failures: Iterable[str | None]) -> None:
    found = list(itertools.islice((failure for failure in failures if failure), _TOLD))
    assert not found, "\n".join(["", *found])
