"""Broken jobs: a worker says which, keeps them out of everybody's way, and goes on."""

from __future__ import annotations

from jobqueue.errors import BrokenJobError, JobNotFoundError, JobStateError
from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.store import Store


def set_aside(store: Store, number: int, why: str) -> None:
    """Moves a broken top-level job's entry to held/, if it is runnable, and says so."""
    entry = store.index.find(number, ("runnable", "waiting"))
    if entry is None:
        return
    try:
        store.index.put(number, "held", among=("runnable", "waiting", "held"))
    except (JobNotFoundError, JobStateError):
        # RACE: it was deleted or cancelled since we looked.
        return
    store.log.error(
        "job%d is broken (%s); it is held and the others go on. `jobqueue delete job%d` removes it.",
        number,
        why,
        number,
    )


def node_or_set_aside(store: Store, number: int, node: int) -> Node | None:
    """A job's line in its hierarchy; where that cannot be read (any more) the top-level job is set aside."""
    try:
        return Hierarchy(store.share, store.layout.job(number).hierarchy).node(node)
    except BrokenJobError as error:
        set_aside(store, number, str(error))
        return None
