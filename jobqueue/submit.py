"""Writing a hierarchy into the queue, and publishing it with one rename."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from jobqueue import graph
from jobqueue.errors import DependencyError
from jobqueue.hierarchy import Node, encode_hierarchy
from jobqueue.identity import host_name, user_name
from jobqueue.layout import JobLayout
from jobqueue.names import MAX_NODES, TOKEN_FOLDERS, Span, Token, latch_entry
from jobqueue.options import effective_options
from jobqueue.store import Store

if TYPE_CHECKING:
    from jobqueue.job import Job, JobRoot


class Submission:
    """One hierarchy's way into the queue.

    The number is taken as late as possible: at publishing, or when a procedure asks for its job's directory.

    Args:
        store: the queue.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._job: JobLayout | None = None
        self._is_asked_for = False
        self._is_tried = False

    def make_dir(self, place: str) -> str:
        """Makes the final directory of a job before it is published; its absolute path."""
        job = self._layout()
        self._is_asked_for = True
        return self._store.share.make_dirs_below(job.dir, place) if place else job.dir

    def publish(self, root: JobRoot) -> tuple[int, int]:
        """Writes everything, syncs it, and makes it visible; the top-level job's number and the root's node.

        Order matters: what the entry leads to has to be whole and lasting before the entry is there.

        CRASH: before the last rename an unpublished directory is left, which no worker looks at.

        Raises:
            DependencyError: the dependencies form a cycle.
            OSError: the share did not take it, or its answer was lost; to be called again, which publishes nothing
                twice.
        """
        nodes = self._nodes(root)
        if self._is_tried and not self._withdraw():
            # It was done at the last try, only the answer was lost.
            self._store.index.make_last()
            return self._layout().number, len(nodes) - 1
        job = self._layout()
        self._is_tried = True
        try:
            self._write(job, nodes)
            self._write_values(job, root, nodes)
            if self._store.config.use_sym_links:
                self._link(job, nodes)
            self._store.share.sync_everything(job.dir)
            config = self._store.config
            levels = (root.options.stored(), config.proc_options(root._type), config.options)
            self._store.index.publish(job.number, effective_options(*levels)["priority"])
        except OSError:
            # A share that is away takes nothing back either; the next try begins with it.
            with suppress(OSError):
                self._withdraw()
            raise
        return job.number, len(nodes) - 1

    def _withdraw(self) -> bool:
        """Takes back what an earlier try has written; ``False`` if that has been published all the same."""
        if self._job is None:
            return True
        share, job = self._store.share, self._job
        if not self._store.index.withdraw(job.number):
            return False
        if not self._is_asked_for:
            # The next try takes another number, whatever becomes of this one's directory.
            self._job = None
            share.remove_tree(job.dir)
            return True
        # What postCreate has written stays, and the number with it.
        for directory in (job.tokens, job.waits, job.journals):
            share.remove_tree(directory)
        share.try_unlink(job.hierarchy)
        return True

    def _layout(self) -> JobLayout:
        if self._job is None:
            self._job = self._store.layout.job(self._store.index.take_number())
        return self._job

    def _nodes(self, root: JobRoot) -> list[Node]:
        order: list[Job] = graph.post_order(root, lambda job: job._dependencies)
        reached = set(order)
        for job in root._jobs:
            if job not in reached:
                # A cycle beside the root is reported as one.
                graph.post_order(job, lambda other: other._dependencies)
                raise DependencyError(
                    f"the job {job._label or job._type!r} is no dependency of the root, however indirect, so it would "
                    "never run; add it with addDependency"
                )
        if len(order) > MAX_NODES:
            raise DependencyError(f"a hierarchy holds at most {MAX_NODES} jobs, not {len(order)}; submit several")
        number = {job: node for node, job in enumerate(order)}
        children = graph.without_implied([[number[child] for child in job._dependencies] for job in order])
        parents: list[list[int]] = [[] for _ in order]
        for node, below in enumerate(children):
            for child in below:
                parents[child].append(node)
        return [
            Node(
                node,
                job._place,
                job._type,
                job._params,
                job._label,
                parents[node],
                children[node],
                job.options.stored(),
                job._array.info if job._array else None,
            )
            for node, job in enumerate(order)
        ]

    def _write_values(self, job: JobLayout, root: JobRoot, nodes: Sequence[Node]) -> None:
        """The parameters of arrays' items, one file for each array that has some."""
        order: dict[str, Job] = {other._place: other for other in root._jobs if other._array}
        for node in nodes:
            if node.array and node.array.frames is None and (array := order[node.place]._array):
                self._store.share.write_new(job.items(node.node), array.values)

    def _write(self, job: JobLayout, nodes: Sequence[Node]) -> None:
        share = self._store.share
        for directory in (job.tokens, job.waits, job.journals, *(job.token_folder(name) for name in TOKEN_FOLDERS)):
            share.make_dir(directory)
        submitter = f"{user_name()}@{host_name()}"
        hierarchy = encode_hierarchy(nodes, submitted=share.clock.now(), submitter=submitter)
        share.write_new(job.hierarchy, hierarchy)
        for node in nodes:
            folder = job.blocked if node.children else job.ready
            span = Span(0, node.array.length) if node.array else None
            share.create(f"{folder}/{Token(node.node, 0, 0, 0, span).name}")
            if node.children:
                latch = job.latch(node.node)
                share.make_dir(latch)
                for child in node.children:
                    share.create(f"{latch}/{latch_entry(child)}")

    def _link(self, job: JobLayout, nodes: Sequence[Node]) -> None:
        """Shows each dependency that lies elsewhere as a symbolic link in its dependent's directory, to browse by."""
        share = self._store.share
        taken = {node.place for node in nodes}
        for node in nodes:
            number = 0
            for child in node.children:
                place = nodes[child].place
                if place.rpartition("/")[0] == node.place:
                    continue
                here = job.node_dir(node.place)
                if node.place:
                    share.make_dirs_below(job.dir, node.place)
                while f"{node.place}/job{number}".lstrip("/") in taken or share.has(here, f"job{number}"):
                    number += 1
                depth = node.place.count("/") + 1 if node.place else 0
                share.link_for_people("../" * depth + place, f"{here}/job{number}")
                number += 1
