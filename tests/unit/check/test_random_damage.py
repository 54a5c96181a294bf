"""Whatever befalls a queue in whatever state: after a repair it is sound, and a worker can run the rest."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobqueue import Job
from jobqueue.check.audit import audit, repair
from jobqueue.errors import JobQueueError
from jobqueue.layout import JobLayout
from jobqueue.names import INDEX_FOLDERS, TOKEN_FOLDERS, ClosedToken, Entry, Token
from jobqueue.store import Store
from tests.damages import file_instead, finish
from tests.support import snapshot
from tests.support_share import QuickShare
from tests.support_worker import attached, new_queue, worker_on

# What a program cannot mend: a person deletes the first, and the second one clears up by itself.
_STAYS = {"broken", "early"}


def _make(location: Path, chance: random.Random) -> Store:
    """A queue of two or three hierarchies of up to six jobs, worked at for a while."""
    new_queue(location)
    queue = attached(location, QuickShare(chance.getrandbits(30)))
    for _ in range(chance.randint(1, 3)):
        root = queue.createJobRoot("noop")
        jobs: list[Job] = [root]
        for _ in range(chance.randint(0, 5)):
            fails = chance.random() < 0.15
            parent = chance.choice(jobs)
            job = parent.createJob("code", text="raise RuntimeError" if fails else "pass")
            for other in chance.sample(jobs[1:], chance.randint(0, len(jobs[1:]))):
                if other is not parent and chance.random() < 0.3:
                    other.addDependency(job)
            jobs.append(job)
        root.activate()
    with worker_on(location, QuickShare(1)) as worker:
        for _ in range(chance.randint(0, 10)):
            worker.runner.chooser.look_again()
            worker.step()
    for handle in queue.listJobs():
        try:
            if chance.random() < 0.15:
                handle.cancel()
            elif chance.random() < 0.15:
                handle.hold()
        except JobQueueError:
            # It has ended.
            continue
    return Store(str(location), QuickShare(2))


def _tokens(job: JobLayout) -> list[Path]:
    return sorted(Path(job.tokens).glob("*/0*"))


def _lose(job: JobLayout, _store: Store, chance: random.Random) -> None:
    chance.choice([*_tokens(job), Path(job.dir, "none")]).unlink(missing_ok=True)


def _copy_or_move(job: JobLayout, _store: Store, chance: random.Random) -> None:
    for path in _tokens(job)[chance.randint(0, 5) :][:1]:
        token = Token.parse(path.name) or ClosedToken.parse(path.name)
        assert token is not None
        target = Path(job.token_folder(chance.choice(["blocked", "ready", "cancelled"])))
        if chance.random() < 0.5:
            path.unlink()
        if target.is_dir():
            move = max(0, token.move + chance.randint(-2, 2))
            (target / Token(token.node, token.attempt, move, token.charged).name).touch()


def _change_entry(job: JobLayout, store: Store, chance: random.Random) -> None:
    entry = store.index.find(job.number)
    assert entry is not None
    if chance.random() < 0.5:
        Path(store.layout.index_folder(entry.folder), entry.name).unlink()
    folder = chance.choice(INDEX_FOLDERS)
    moves = max(0, entry.moves + chance.randint(-1, 2))
    Path(store.layout.index_folder(folder), Entry(folder, entry.priority, job.number, moves).name).touch()


def _change_latch(job: JobLayout, _store: Store, chance: random.Random) -> None:
    latches = sorted(path for path in Path(job.waits).glob("*") if path.is_dir())
    for latch in latches[chance.randint(0, 3) :][:1]:
        what = chance.choice(["whole", "part", "more"])
        if what == "whole":
            shutil.rmtree(latch)
        elif what == "part":
            chance.choice([*sorted(latch.iterdir()), latch / "none"]).unlink(missing_ok=True)
        else:
            (latch / f"{chance.randint(0, 6):07d}").touch()


def _tear_journals(job: JobLayout, _store: Store, chance: random.Random) -> None:
    for path in Path(job.journals).glob("*"):
        path.write_bytes(path.read_bytes()[: chance.randint(0, 200)])


def _lose_folder(job: JobLayout, _store: Store, chance: random.Random) -> None:
    shutil.rmtree(job.token_folder(chance.choice(TOKEN_FOLDERS)), ignore_errors=True)


def _put_a_file_instead(job: JobLayout, store: Store, chance: random.Random) -> None:
    folders = [job.token_folder(folder) for folder in TOKEN_FOLDERS]
    latches = sorted(map(str, Path(job.waits).glob("*")))
    path = Path(chance.choice([job.tokens, job.waits, job.journals, *folders, *latches, store.layout.workers]))
    if path.is_dir():
        file_instead(str(path))


def _lose_all(job: JobLayout, _store: Store, _chance: random.Random) -> None:
    shutil.rmtree(job.dir)


# The most likely ones several times.
_DAMAGES = [_lose, _lose, _copy_or_move, _copy_or_move, _change_entry, _change_entry, _change_latch, _change_latch,
            _tear_journals, _lose_folder, _put_a_file_instead, _lose_all]  # fmt: skip


def _damage(store: Store, chance: random.Random) -> str:
    """One thing that a roll-back, a backup or a person may do; what it was."""
    entries = sorted(entry.number for entry in store.index.all())
    numbers = [number for number in entries if store.share.has(store.layout.dir, f"job{number}")]
    if not numbers:
        return "nothing is left"
    number, do = chance.choice(numbers), chance.choice(_DAMAGES)
    do(store.layout.job(number), store, chance)
    return f"{do.__name__} of job{number}"


def _stays(store: Store) -> list[str]:
    return [finding.kind for finding in audit(store).found if not finding.is_note]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), count=st.integers(1, 4))
def test_after_a_repair_a_queue_is_sound_and_a_worker_can_run_the_rest(seed: int, count: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
        store = _make(Path(directory) / "queue", chance)
        told = [_damage(store, chance) for _ in range(count)]
        foretold = {(finding.kind, finding.job, finding.path) for finding in audit(store).found}
        report = repair(store)
        # A look says all that a repair will do.
        done = {(finding.kind, finding.job, finding.path) for finding in report.found}
        assert done == foretold, (told, sorted(done ^ foretold, key=str))
        left = {finding.kind for finding in report.left if not finding.is_note}
        assert left <= _STAYS, (told, report)
        before = snapshot(store.layout.dir)
        repair(store)
        assert snapshot(store.layout.dir) == before, told
        finish(store)
        assert set(_stays(store)) <= {"broken"} | left, (told, audit(store))
        for found in store.index.all():
            counts = store.tokens.counts(store.layout.job(found.number))
            # Nothing is ready and not run, and what has no failure in it has come to its end.
            assert found.folder == "held" or not counts["ready"], (told, found, counts)
            assert found.folder in ("done", "held") or counts["failed"], (told, found, counts)
