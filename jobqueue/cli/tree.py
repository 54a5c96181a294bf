"""Shows a job, and below it all that it depends on.

A job that several others wait for appears once, with a note. More than 20 jobs
below one that are equal (of one type, in one state, and so are all that they
depend on) appear as the first one and a count, unless --all is given.

With --json: an array of objects in post-order (a job comes after all that it
waits for) with the keys job, state, label, type, waits_for, needed_by.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jobqueue.cli._common import DONE, add_job, open_queue
from jobqueue.cli._output import coloured, has_colours, number_of, plain, print_json
from jobqueue.handle import reader_of

if TYPE_CHECKING:
    from jobqueue.handle import JobHandle
    from jobqueue.hierarchy import Node

_MANY = 20
_FEW = 3
# A chain of thousands would be a staircase of megabytes; from here on the depth stands before the job.
_MAX_INDENT = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser)
    parser.add_argument("--all", action="store_true", help="every job, however many are equal")


def run(arguments: argparse.Namespace) -> int:
    job = open_queue(arguments).findJob(arguments.job)
    tree = _Tree(job)
    if arguments.json:
        print_json([tree.told(number) for number in sorted(reader_of(job).with_descendants())])
        return DONE
    # At once, since an unbuffered output would make a call of each line.
    print("\n".join(tree.lines(reader_of(job).node().node, collapse=not arguments.all)))
    return DONE


class _Tree:
    """A hierarchy with the state of each of its jobs.

    Args:
        job: any job of it.
    """

    def __init__(self, job: JobHandle) -> None:
        reader = reader_of(job)
        hierarchy = reader.hierarchy()
        self._top = reader.number
        self._nodes: list[Node] = list(hierarchy.nodes())
        self._states = [seen.state.value for seen in reader.scan()]
        self._kinds = self._find_kinds()
        self._has_colours = has_colours()

    def _find_kinds(self) -> list[int]:
        """A number for each job, the same for equal ones."""
        known: dict[Any, int] = {}
        kinds: list[int] = []
        # Children come before the jobs that wait for them, so theirs are known.
        for node, state in zip(self._nodes, self._states, strict=True):
            kind = (node.type, state, tuple(sorted(kinds[child] for child in node.children)))
            kinds.append(known.setdefault(kind, len(known)))
        return kinds

    def told(self, number: int) -> dict[str, Any]:
        node = self._nodes[number]
        return {
            "job": self._name(number), "state": self._states[number], "label": node.label, "type": node.type,
            "waits_for": [self._name(child) for child in node.children],
            "needed_by": [self._name(parent) for parent in node.parents],
        }  # fmt: skip

    def lines(self, root: int, *, collapse: bool) -> Iterator[str]:
        """The job ``root`` and all below it; nothing here recurses, since chains may be long."""
        shown: set[int] = set()
        # What is still to come: a job, the job above it, how deep it is, and how many more it stands for.
        pending: list[tuple[int, int | None, int, int]] = [(root, None, 0, 0)]
        while pending:
            number, above, depth, more = pending.pop()
            shown.add(number)
            yield self._line(number, above, depth)
            # None of these is pending below another job: no dependency that others imply is stored.
            fresh = [child for child in self._nodes[number].children if child not in shown]
            pending += [(child, number, depth + 1, rest) for child, rest in reversed(self._grouped(fresh, collapse))]
            if more:
                yield f"{_indent(depth)}... and {more} more like this one"

    def _grouped(self, children: list[int], collapse: bool) -> list[tuple[int, int]]:
        """The jobs to show, each with how many more it stands for."""
        sizes = Counter(self._kinds[child] for child in children)
        found, stood_for = [], set()
        for child in children:
            kind = self._kinds[child]
            if not collapse or sizes[kind] <= _MANY:
                found.append((child, 0))
            elif kind not in stood_for:
                stood_for.add(kind)
                found.append((child, sizes[kind] - 1))
        return found

    def _line(self, number: int, above: int | None, depth: int) -> str:
        node, state = self._nodes[number], self._states[number]
        label = f"  {plain(node.label)}" if node.label else ""
        others = [parent for parent in node.parents if parent != above]
        note = ""
        if above is not None and others:
            rest = f" and {number_of(len(others) - _FEW, 'other')}" if len(others) > _FEW else ""
            note = f"  (also for {', '.join(map(self._name, others[:_FEW]))}{rest})"
        shown = coloured(state) if self._has_colours else state
        return f"{_indent(depth)}{self._name(number)}  {shown}{label}{note}"

    def _name(self, number: int) -> str:
        from jobqueue.names import job_name

        return job_name(self._top, self._nodes[number].place)


def _indent(depth: int) -> str:
    return "  " * depth if depth <= _MAX_INDENT else "  " * _MAX_INDENT + f"[{depth}] "
