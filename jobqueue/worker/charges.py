"""What is held against a job: deaths of its attempts, and their errors, each with a limit of its own.

A token's name says how many attempts count against its job (CHARGED). That is enough as long as there are fewer than
either limit. Near a limit the journals tell deaths from errors, and which of the deaths were none: a worker that was
taken for dead and lives says so there.
"""

from __future__ import annotations

from typing import NamedTuple

from jobqueue.history import events_of
from jobqueue.layout import JobLayout
from jobqueue.names import Span
from jobqueue.notes import forgiven
from jobqueue.store import Store

# Who records the end of an attempt in a slot's place says what ended it (`ending`); these are held against the job.
DIED, TIMEOUT = "died", "timeout"
# And this against nobody: a person has said that the job has failed.
ASKED_FOR = "fail"


class Charges(NamedTuple):
    """How many attempts count against a job."""

    deaths: int
    errors: int


NOTHING = Charges(0, 0)


def charges(store: Store, job: JobLayout, node: int, charged: int, span: Span | None = None) -> Charges:
    """What the journals say of the attempts that a token's CHARGED counts.

    Args:
        store: the queue.
        job: the top-level job.
        node: the job.
        charged: of its token.
        span: of its token, if it is an array's.

    Raises:
        OSError: a journal cannot be read.
    """
    if not charged:
        return NOTHING
    died, alive = set[int](), set[int]()
    # Of an array's items errors stand in their notes.
    erred = set() if span is None else forgiven(store.share, job, node, span)
    for event in events_of(store, job, node, span):
        attempt, kind = event.fields["attempt"], event.fields.get("event")
        if kind == "alive":
            alive.add(attempt)
        elif event.fields.get("ending") == DIED:
            died.add(attempt)
        elif event.fields.get("ending") == TIMEOUT or event.fields.get("again"):
            erred.add(attempt)
    # A retry has forgiven what came before the latest ones.
    latest = sorted(died | erred)[-charged:]
    # CRASH: a power cut may have taken events that were not synced; what nobody knows the reason of counts as either.
    unknown = charged - len(latest)
    return Charges(
        deaths=sum(attempt in died and attempt not in alive for attempt in latest) + unknown,
        errors=sum(attempt in erred for attempt in latest) + unknown,
    )
