"""Whatever befalls a queue in whatever state: after a repair it is sound, and a worker can run the rest."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobqueue.check.audit import audit, repair
from jobqueue.errors import JobQueueError
from jobqueue.layout import INDEX_FOLDERS, TOKEN_FOLDERS, ClosedToken, Entry, Token
from jobqueue.store import Store
from tests.damages import finish
from tests.support import snapshot
from tests.support_share import QuickShare
from tests.support_worker import attached, new_queue, worker_on

# What a program cannot mend: a person deletes the first, and the second one clears up by itself.
_STAYS = {"broken", "early"}


def _make(location: Path, chance: random.Random) -> Store:
    """A queue of two or three hierarchies of up to six jobs, worked at for a while."""
    new_queue(location)
    queue = attached(location, QuickShare(chance.random().__hash__()))
    for _ in range(chance.randint(1, 3)):
        root = queue.createJobRoot("noop")
        jobs = [root]
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


def _tokens(store: Store, number: int) -> list[Path]:
    return sorted(Path(store.layout.job(number).tokens).glob("*/0*"))


def _damage(store: Store, chance: random.Random) -> str:
    """One thing that a roll-back, a backup or a person may do; what it was."""
    numbers = sorted(
        entry.number for entry in store.index.all() if store.share.has(store.layout.dir, f"job{entry.number}")
    )
    if not numbers:
        return "nothing is left"
    number = chance.choice(numbers)
    job = store.layout.job(number)
    what = chance.choice(
        ["lose", "copy", "move", "entry", "copied entry", "latch", "latches", "journal", "folder", "dir"]
    )
    tokens = _tokens(store, number)
    latches = sorted(Path(job.waits).glob("*")) if os.path.isdir(job.waits) else []
    if what == "lose" and tokens:
        chance.choice(tokens).unlink()
    elif what in ("copy", "move") and tokens:
        path = chance.choice(tokens)
        token = Token.parse(path.name) or ClosedToken.parse(path.name)
        assert token is not None
        move = max(0, token.move + chance.randint(-2, 2))
        target = Path(job.token_folder(chance.choice(["blocked", "ready", "cancelled"])))
        if what == "move":
            path.unlink()
        if target.is_dir():
            (target / Token(token.node, token.attempt, move, token.charged).name).touch()
    elif what in ("entry", "copied entry"):
        entry = store.index.find(number)
        assert entry is not None
        path = Path(store.layout.index_folder(entry.folder), entry.name)
        folder = chance.choice(INDEX_FOLDERS)
        moves = max(0, entry.moves + chance.randint(-1, 2))
        if what == "entry":
            path.unlink()
        Path(store.layout.index_folder(folder), Entry(folder, entry.priority, number, moves).name).touch()
    elif what == "latch" and latches:
        latch = chance.choice(latches)
        inside = sorted(latch.iterdir())
        if inside and chance.random() < 0.5:
            chance.choice(inside).unlink()
        else:
            (latch / f"{chance.randint(0, 6):07d}").touch()
    elif what == "latches" and latches:
        shutil.rmtree(chance.choice(latches))
    elif what == "journal" and os.path.isdir(job.journals):
        for path in Path(job.journals).iterdir():
            path.write_bytes(path.read_bytes()[: chance.randint(0, 200)])
    elif what == "folder":
        shutil.rmtree(chance.choice([job.token_folder(folder) for folder in TOKEN_FOLDERS]), ignore_errors=True)
    elif what == "dir" and chance.random() < 0.2:
        shutil.rmtree(job.dir)
    return f"{what} of job{number}"


def _stays(store: Store) -> list[str]:
    return [finding.kind for finding in audit(store).found if not finding.is_note]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), count=st.integers(1, 4))
def test_after_a_repair_a_queue_is_sound_and_a_worker_can_run_the_rest(seed: int, count: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
        store = _make(Path(directory) / "queue", chance)
        told = [_damage(store, chance) for _ in range(count)]
        report = repair(store)
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
