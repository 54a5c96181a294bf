"""Notes and findings about results: does the record say what the token says?"""

from __future__ import annotations

from collections.abc import Iterator

from jobqueue.check.finding import Finding
from jobqueue.check.look import JobLook, Place
from jobqueue.journal import record_in
from jobqueue.names import ClosedToken


def find_in_records(job: JobLook) -> Iterator[Finding]:
    """Results whose record cannot be read, or says something else."""
    # One journal after the other: there are few, and each is read once.
    closed: dict[str, list[tuple[Place, ClosedToken]]] = {}
    pieces = [place for places in job.pieces.values() for place in places]
    for place in [*(place for place, *_ in job.by_node), *pieces]:
        if isinstance(place.token, ClosedToken):
            path = job.files.journal(place.token.worker, place.token.slot)
            closed.setdefault(path, []).append((place, place.token))
    for path, places in sorted(closed.items()):
        data = job.look.store.share.read_or_none(path) or b""
        for place, token in places:
            record = record_in(data, token.offset, token.node, token.attempt)
            name = job.name(token.node)
            if record is None:
                # CRASH: a power cut on a local disk may take the record of a plain success.
                says = f"record lost: the job is {place.folder}, and of its result nothing can be read"
                yield Finding("record-lost", job.number, name, path, says, (place.name,), is_note=True)
            elif bool(record["ok"]) is not (place.folder == "finished"):
                says = f"the job is {place.folder}, and its record says ok: {str(record['ok']).lower()}"
                yield Finding("record-differs", job.number, name, path, says, (place.name,))
