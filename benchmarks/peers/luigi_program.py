"""The program that luigi's peer starts: makes the tasks of a list, and has them done.

    python -m benchmarks.peers.luigi_program JOBS WORKERS PORT

With a port, a `luigid` there says what is to be done, and the program is an assistant: it does what others have handed
over, too, and stays.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import luigi

from benchmarks import work


class Call(luigi.Task):
    """A call of a function of `benchmarks.work`; without an output, so that nothing tells that it was done before."""

    function = luigi.Parameter()
    args = luigi.ListParameter()

    def complete(self) -> bool:
        return False

    def run(self) -> None:
        work.FUNCTIONS[self.function](*self.args)


class First(Call):
    """One that is done before the others."""

    priority = 1


class Last(Call):
    """One that depends on others."""

    others: tuple[Call, ...] = ()

    def requires(self) -> tuple[Call, ...]:
        return self.others


def tasks(batch: list[tuple[str, list[int]]]) -> list[Call]:
    """The tasks to hand over."""
    kinds = {"gate": First, "parent": Last}
    made = [kinds.get(name, Call)(function=name, args=args) for name, args in batch]
    if isinstance(made[-1], Last):
        made[-1].others = tuple(made[:-1])
        return made[-1:]
    return made


def main(listed: str, workers: int, port: int) -> int:
    logging.disable(logging.CRITICAL)
    work.stamp("loading")
    place: dict[str, Any] = {"local_scheduler": True}
    if port:
        place = {"scheduler_url": f"http://127.0.0.1:{port}", "assistant": True}
    is_good = luigi.build(tasks(json.loads(Path(listed).read_text())), workers=workers, no_lock=True, **place)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
