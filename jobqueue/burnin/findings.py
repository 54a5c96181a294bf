"""What a burn-in has come to: what was lost, what was committed twice, and how long a recovery took."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jobqueue.burnin.plan import Action
from jobqueue.burnin.victims import Struck
from jobqueue.check.audit import audit
from jobqueue.hierarchy import Hierarchy
from jobqueue.journal import events, read_record
from jobqueue.layout import JobLayout
from jobqueue.names import ClosedToken, RunningToken, job_name, temporary_name
from jobqueue.store import Store


@dataclass
class Tally:
    """What was counted.

    Attributes:
        hierarchies: how many were submitted.
        jobs: how many jobs they are.
        executions: how often a job was begun.
        finished: how many jobs have exactly one result, a good one.
        twice: jobs that have two results, or files that another attempt has published than the one whose result counts.
        lost: jobs or files that are not there.
        failed: jobs that have failed, which none should.
        other: whatever else a check of the queue has found.
        recoveries_s: how long it took from each blow until a job that it hit was begun again, by action.
    """

    hierarchies: int = 0
    jobs: int = 0
    executions: int = 0
    finished: int = 0
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    recoveries_s: dict[str, list[float]] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        return not (self.twice or self.lost or self.failed or self.other)


class _Starts:
    """When each attempt has begun: by top-level job, node and attempt."""

    def __init__(self) -> None:
        self.at: dict[tuple[int, int], dict[int, float]] = {}
        self.count = 0

    def read(self, store: Store, job: JobLayout) -> None:
        for name in store.share.names_or_none(job.journals) or ():
            for _, event in events(store.share, f"{job.journals}/{name}"):
                if event.get("event") == "start":
                    self.count += 1
                    self.at.setdefault((job.number, event["node"]), {})[event["attempt"]] = event["time"]


def count_up(store: Store, submitted: Iterable[int], blows: Sequence[Struck]) -> Tally:
    """Counts what has become of all that was submitted, once nothing runs any more.

    Args:
        store: the queue.
        submitted: the top-level jobs whose submission was acknowledged.
        blows: what was done to workers, here and elsewhere.

    Raises:
        OSError: the share is in trouble.
    """
    tally, starts = Tally(), _Starts()
    entries = {entry.number: entry.folder for entry in store.index.all()}
    for number in sorted(submitted):
        tally.hierarchies += 1
        job = store.layout.job(number)
        if entries.pop(number, None) != "done":
            tally.lost.append(f"job{number} has not come to its end")
        if store.share.names_or_none(job.dir) is None:
            tally.lost.append(f"job{number} is gone")
            continue
        starts.read(store, job)
        _count_job(store, job, tally)
    tally.other += [f"job{number} was never submitted" for number in sorted(entries)]
    tally.executions = starts.count
    tally.recoveries_s = recoveries(blows, starts.at)
    tally.other += [
        f"{finding.job or 'queue'}: {finding.says} ({finding.kind})"
        for finding in audit(store).found
        if not finding.is_note
    ]
    return tally


def _count_job(store: Store, job: JobLayout, tally: Tally) -> None:
    """Counts the tokens of one hierarchy, and looks who has published the files."""
    closed = [ClosedToken.parse(name) for name in store.share.names_or_none(job.finished) or ()]
    by_node = Counter(token.node for token in closed if token is not None)
    failed = [ClosedToken.parse(name) for name in store.share.names_or_none(job.failed) or ()]
    failed_nodes = {token.node: token for token in failed if token is not None}
    hierarchy = Hierarchy(store.share, job.hierarchy)
    tally.jobs += hierarchy.count
    for node in range(hierarchy.count):
        name = job_name(job.number, hierarchy.node(node).place)
        results = by_node[node] + (node in failed_nodes)
        tally.finished += by_node[node] == 1 and results == 1
        if results > 1:
            tally.twice.append(f"{name} has {results} results")
        elif node in failed_nodes:
            tally.failed.append(f"{name} has failed: {_error(store, job, failed_nodes[node])}")
        elif not results:
            tally.lost.append(f"{name} has no result")
    for token in closed:
        if token is not None and by_node[token.node] == 1:
            _look_at_file(store, hierarchy.node(token.node).params["path"], job.number, token, tally)


def _error(store: Store, job: JobLayout, token: ClosedToken) -> str:
    path = job.journal(token.worker, token.slot)
    record = read_record(store.share, path, token.offset, token.node, token.attempt)
    return str((record or {}).get("error", "record lost"))


def _look_at_file(store: Store, path: str, number: int, token: ClosedToken, tally: Tally) -> None:
    """Whether the file that a job has published is that of the attempt whose result counts."""
    # Only these fields are in the name of the directory that the attempt has written in, and so in its file.
    writer = RunningToken(number, token.node, token.attempt, 0, 0, token.slot)
    expected = temporary_name(token.worker, writer) + "\n"
    try:
        text = store.share.read(path).decode("utf-8", "replace")
    except FileNotFoundError:
        tally.lost.append(f"{path} was not published")
        return
    if text != expected:
        tally.twice.append(f"{path} was written by {text!r}, and the result that counts is by {expected!r}")


def recoveries(blows: Sequence[Struck], starts: dict[tuple[int, int], dict[int, float]]) -> dict[str, list[float]]:
    """How long it took from each blow until a job that it hit was begun again, in seconds, by action.

    A job whose attempt ended well all the same was not begun again, and is not counted.

    Args:
        blows: with what the workers ran.
        starts: by top-level job and node, when each attempt began.
    """
    found: dict[str, list[float]] = {action.value: [] for action in Action}
    for blow in blows:
        for job, node, attempt in blow.running:
            later = [at for number, at in starts.get((job, node), {}).items() if number > attempt]
            if later:
                found[blow.action].append(max(0.0, min(later) - blow.at))
    return found


def median_and_longest(values_s: Sequence[float]) -> tuple[float, float] | None:
    """Of some times, in seconds; ``None`` if there are none."""
    return (statistics.median(values_s), max(values_s)) if values_s else None
