"""A queue in many states, and what can befall it: by hand, by a restored backup, by a server that was rolled back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jobqueue.check.look import JobLook, Look
from jobqueue.layout import JobLayout
from jobqueue.names import Entry
from jobqueue.store import Store
from jobqueue.worker.runner import Step
from tests.support_share import QuickShare
from tests.support_worker import Worker, attached, new_queue, worker_on

DONE, STALLED, CANCELLED, HALF, FRESH = 1, 2, 3, 4, 5
# A worker that has died, as long as nobody sweeps it.
DEAD = "dead-host-0000000000"


def make_scene(location: Path) -> Path:
    """A queue with five hierarchies: a root that needs 0, 1 and 2, each named after how far it is.

    Of HALF 0 has finished, and 2 needs 1 and is blocked. Of STALLED 0 has failed.
    """
    new_queue(location)
    queue = attached(location, QuickShare(7))
    with worker_on(location, QuickShare(8)) as worker:
        for number in (DONE, STALLED, CANCELLED, HALF, FRESH):
            root = queue.createJobRoot("noop", label=f"job{number}")
            first = ("code", {"text": "raise RuntimeError('no licence')"}) if number == STALLED else ("noop", {})
            root.createJob(first[0], **first[1])
            second = root.createJob("noop")
            root.createJob("noop").addDependency(second)
            handle = root.activate()
            worker.runner.chooser.look_again()
            if number in (DONE, STALLED):
                worker.run_all()
            elif number == CANCELLED:
                handle.cancel()
            elif number == HALF:
                assert worker.step() is Step.RAN
    return location


def entry(store: Store, number: int) -> Entry:
    found = store.index.find(number)
    assert found is not None
    return found


def put_entry(store: Store, number: int, folder: str) -> None:
    """Moves an entry as the protocol would not."""
    before = entry(store, number)
    layout = store.layout
    os.rename(
        f"{layout.index_folder(before.folder)}/{before.name}",
        f"{layout.index_folder(folder)}/{before.moved(folder).name}",
    )


def token(store: Store, number: int, node: int) -> Path:
    """Where a job's only token lies."""
    tokens = Path(store.layout.job(number).tokens)
    (found,) = tokens.glob(f"*/{node:07d}.*")
    return found


def dead_worker(store: Store) -> Path:
    """The folder of a worker that died before it had said who it is."""
    files = store.layout.worker(DEAD)
    for directory in (files.running, files.won, files.inbox):
        os.makedirs(directory, exist_ok=True)
    return Path(files.dir)


def touch(*parts: str | Path) -> None:
    Path(*parts).touch()


def _job(store: Store, number: int) -> JobLayout:
    return store.layout.job(number)


# --- what can befall it ----------------------------------------------------------------------------------------------


def older_token(store: Store) -> None:
    """A backup brings back a token that has moved on since."""
    touch(_job(store, HALF).ready, "0000000.0.0.0")


def older_token_of_the_root(store: Store) -> None:
    touch(_job(store, DONE).blocked, "0000003.0.0.0")


def claimed_and_given_back(store: Store) -> None:
    """A server that was rolled back shows a token in running/ again that was given back."""
    os.rename(token(store, FRESH, 0), f"{_job(store, FRESH).ready}/0000000.1.2.0")
    touch(dead_worker(store), "running", f"{FRESH}.0000000.1.1.0.1")


def won_and_ready(store: Store) -> None:
    """Of two with the same MOVE that counts which is further on its way."""
    os.unlink(token(store, FRESH, 0))
    touch(_job(store, FRESH).ready, "0000000.1.2.0")
    touch(_job(store, FRESH).finished, f"0000000.1.2.0.{DEAD}.1.0")
    line = b'{"node":0,"attempt":1,"ok":true}\n'
    Path(_job(store, FRESH).journal(DEAD, 1)).write_bytes(line)
    os.unlink(f"{_job(store, FRESH).latch(3)}/0000000")


def lost_ready(store: Store) -> None:
    os.unlink(token(store, FRESH, 0))


def lost_blocked(store: Store) -> None:
    os.unlink(token(store, HALF, 2))


def lost_root(store: Store) -> None:
    os.unlink(token(store, HALF, 3))


def lost_finished(store: Store) -> None:
    os.unlink(token(store, HALF, 0))


def lost_finished_with_its_journal(store: Store) -> None:
    os.unlink(token(store, DONE, 0))
    (journal,) = Path(_job(store, DONE).journals).iterdir()
    lines = journal.read_bytes().splitlines(keepends=True)
    # As a power cut leaves it: as long as before, and with nothing in it.
    journal.write_bytes(b"".join(b"\0" * len(line) if b'"node":0,' in line else line for line in lines))


def lost_finished_root(store: Store) -> None:
    os.unlink(token(store, DONE, 3))


def lost_failed(store: Store) -> None:
    os.unlink(token(store, STALLED, 0))


def lost_cancelled(store: Store) -> None:
    os.unlink(token(store, CANCELLED, 3))


def lost_all(store: Store) -> None:
    shutil.rmtree(_job(store, HALF).tokens)


def lost_worker(store: Store) -> None:
    """Somebody has removed a worker's folder with what it ran."""
    os.unlink(token(store, HALF, 1))
    Path(_job(store, HALF).journal(DEAD, 1)).write_bytes(b'{"event":"start","node":1,"attempt":3,"time":1.0}\n')


def asleep(store: Store) -> None:
    put_entry(store, FRESH, "waiting")


def done_too_early(store: Store) -> None:
    put_entry(store, FRESH, "done")


def half_cancelled(store: Store) -> None:
    put_entry(store, FRESH, "done")
    os.rename(token(store, FRESH, 0), f"{_job(store, FRESH).cancelled}/0000000.0.1.0")


def open_below_a_finished_root(store: Store) -> None:
    os.rename(token(store, DONE, 0), f"{_job(store, DONE).ready}/0000000.1.9.0")


def not_done(store: Store) -> None:
    put_entry(store, DONE, "runnable")


def cancelled_and_held(store: Store) -> None:
    put_entry(store, CANCELLED, "held")


def latch_emptied(store: Store) -> None:
    """Whoever has settled the last sub-job died before he made the job ready, and was never swept."""
    job = _job(store, HALF)
    with worker_on(store.layout.dir) as worker:
        assert worker.step() is Step.RAN
    os.rename(f"{job.ready}/0000002.0.1.0", f"{job.blocked}/0000002.0.2.0")


def latch_with_a_finished_job(store: Store) -> None:
    latch_emptied(store)
    os.mkdir(_job(store, HALF).latch(2))
    touch(_job(store, HALF).latch(2), "0000001")


def latch_with_a_finished_job_among_others(store: Store) -> None:
    touch(_job(store, HALF).latch(3), "0000000")


def latch_with_a_stranger(store: Store) -> None:
    touch(_job(store, HALF).latch(2), "0000000")


def latch_lost(store: Store) -> None:
    shutil.rmtree(_job(store, HALF).latch(3))


def latch_lost_in_part(store: Store) -> None:
    os.unlink(f"{_job(store, HALF).latch(3)}/0000002")


def latch_lost_of_a_failed_job(store: Store) -> None:
    attached(store.layout.dir, QuickShare()).findJob(f"job{FRESH}").setError()
    shutil.rmtree(_job(store, FRESH).latch(3))


def ready_too_early(store: Store) -> None:
    os.rename(token(store, HALF, 2), f"{_job(store, HALF).ready}/0000002.0.1.0")
    shutil.rmtree(_job(store, HALF).latch(2))


def two_entries(store: Store) -> None:
    touch(store.layout.index_folder("held"), entry(store, FRESH)._replace(moves=3).name)


def two_entries_in_one_folder(store: Store) -> None:
    touch(store.layout.index_folder("runnable"), entry(store, FRESH)._replace(moves=3, priority=7).name)


def directory_removed(store: Store) -> None:
    shutil.rmtree(_job(store, FRESH).dir)


def entry_lost(store: Store) -> None:
    before = entry(store, HALF)
    os.unlink(f"{store.layout.index_folder(before.folder)}/{before.name}")


def entry_of_a_finished_job_lost(store: Store) -> None:
    before = entry(store, DONE)
    os.unlink(f"{store.layout.index_folder(before.folder)}/{before.name}")


def hierarchy_lost(store: Store) -> None:
    os.unlink(_job(store, FRESH).hierarchy)


def hierarchy_torn(store: Store) -> None:
    path = Path(_job(store, FRESH).hierarchy)
    path.write_bytes(path.read_bytes()[:400])


def hierarchy_with_a_wrong_edge(store: Store) -> None:
    path = Path(_job(store, FRESH).hierarchy)
    path.write_bytes(path.read_bytes().replace(b'"children":[1]', b'"children":[3]'))


def hierarchy_of_a_later_format(store: Store) -> None:
    path = Path(_job(store, FRESH).hierarchy)
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":9'))


def unknown_node(store: Store) -> None:
    touch(_job(store, FRESH).ready, "0000004.0.0.0")


def unknown_node_in_flight(store: Store) -> None:
    touch(dead_worker(store), "won", f"{FRESH}.0000009.1.2.0.1.0")


def running_of_a_deleted_job(store: Store) -> None:
    touch(dead_worker(store), "running", "3.0000000.1.1.0.1")
    directory = _job(store, CANCELLED).dir
    before = entry(store, CANCELLED)
    os.unlink(f"{store.layout.index_folder(before.folder)}/{before.name}")
    shutil.rmtree(directory)


def won_of_a_deleted_job(store: Store) -> None:
    touch(dead_worker(store), "won", "1.0000000.1.2.0.1.0")
    attached(store.layout.dir, QuickShare()).deleteJobs(None)
    before = entry(store, DONE)
    os.unlink(f"{store.layout.index_folder(before.folder)}/{before.name}")
    shutil.rmtree(_job(store, DONE).dir)


def number_forgotten(store: Store) -> None:
    """The highest number was deleted, and the tombstone is gone."""
    touch(store.layout.trash, "6.ready.0000000.0.0.0")


def folder_of_the_queue_lost(store: Store) -> None:
    os.rmdir(store.layout.index_folder("held"))
    os.rmdir(store.layout.tmp)


def folder_of_a_job_lost(store: Store) -> None:
    os.rmdir(_job(store, FRESH).failed)
    os.rmdir(_job(store, FRESH).journals)


def file_instead(path: str) -> None:
    """Somebody has made a file where a directory was."""
    shutil.rmtree(path)
    Path(path).write_bytes(b"a file")


def workers_a_file(store: Store) -> None:
    file_instead(store.layout.workers)


def trash_a_file(store: Store) -> None:
    file_instead(store.layout.trash)


def trash_and_tmp_files(store: Store) -> None:
    file_instead(store.layout.tmp)
    trash_a_file(store)


def trash_lost_and_workers_a_file(store: Store) -> None:
    os.rmdir(store.layout.trash)
    workers_a_file(store)


def index_a_file(store: Store) -> None:
    queue = attached(store.layout.dir, QuickShare())
    # What was never begun would pass for a submission that was never published.
    queue.deleteJobs([queue.findJob(f"job{number}") for number in (FRESH, CANCELLED)])
    file_instead(store.layout.index)


def done_a_file(store: Store) -> None:
    file_instead(store.layout.index_folder("done"))


def ready_a_file(store: Store) -> None:
    file_instead(_job(store, HALF).ready)


def tokens_a_file(store: Store) -> None:
    file_instead(_job(store, HALF).tokens)


def tokens_a_file_and_entry_lost(store: Store) -> None:
    entry_lost(store)
    tokens_a_file(store)


def waits_a_file(store: Store) -> None:
    file_instead(_job(store, HALF).waits)


def journals_a_file(store: Store) -> None:
    file_instead(_job(store, FRESH).journals)


def latch_a_file(store: Store) -> None:
    file_instead(_job(store, HALF).latch(3))


class Damage(NamedTuple):
    """Something that befalls the scene.

    Attributes:
        do: does it.
        kinds: what a check calls it.
        left: what a repair cannot mend.
    """

    do: Callable[[Store], None]
    kinds: tuple[str, ...]
    left: tuple[str, ...] = ()


DAMAGES = [
    Damage(older_token, ("two-tokens",)),
    Damage(older_token_of_the_root, ("two-tokens",)),
    Damage(claimed_and_given_back, ("two-tokens",)),
    Damage(won_and_ready, ("two-tokens",)),
    Damage(lost_ready, ("lost-token",)),
    Damage(lost_blocked, ("lost-token",)),
    Damage(lost_root, ("lost-token",)),
    Damage(lost_finished, ("lost-token",)),
    Damage(lost_finished_with_its_journal, ("lost-token",)),
    Damage(lost_finished_root, ("lost-token",)),
    Damage(lost_failed, ("lost-token",)),
    Damage(lost_cancelled, ("lost-token",)),
    Damage(lost_all, ("missing-folder",) * 6 + ("lost-token",) * 4),
    Damage(lost_worker, ("lost-token",)),
    Damage(asleep, ("not-woken",)),
    Damage(done_too_early, ("open-under-done",)),
    Damage(half_cancelled, ("open-under-done",)),
    Damage(open_below_a_finished_root, ("taken-back",)),
    Damage(not_done, ("not-done",)),
    Damage(cancelled_and_held, ("not-done",)),
    Damage(latch_emptied, ("latch-empty",)),
    Damage(latch_with_a_finished_job, ("latch-over",)),
    Damage(latch_with_a_finished_job_among_others, ("latch-over",)),
    Damage(latch_with_a_stranger, ("latch-over",)),
    Damage(latch_lost, ("latch-missing",)),
    Damage(latch_lost_in_part, ("latch-missing",)),
    Damage(latch_lost_of_a_failed_job, ("latch-missing",)),
    Damage(ready_too_early, ("early",)),
    Damage(two_entries, ("two-entries",)),
    Damage(two_entries_in_one_folder, ("two-entries",)),
    Damage(directory_removed, ("no-directory",)),
    Damage(entry_lost, ("no-entry",)),
    Damage(entry_of_a_finished_job_lost, ("no-entry",)),
    Damage(hierarchy_lost, ("broken",), ("broken",)),
    Damage(hierarchy_torn, ("broken",), ("broken",)),
    Damage(hierarchy_with_a_wrong_edge, ("broken",), ("broken",)),
    Damage(hierarchy_of_a_later_format, ("broken",), ("broken",)),
    Damage(unknown_node, ("unknown-node",)),
    Damage(unknown_node_in_flight, ("unknown-node",)),
    Damage(running_of_a_deleted_job, ("token-of-nobody",)),
    Damage(won_of_a_deleted_job, ("token-of-nobody",)),
    Damage(number_forgotten, ("number",)),
    Damage(folder_of_the_queue_lost, ("missing-folder", "missing-folder")),
    Damage(folder_of_a_job_lost, ("missing-folder", "missing-folder")),
    Damage(workers_a_file, ("not-a-directory",)),
    Damage(trash_a_file, ("not-a-directory",)),
    Damage(trash_and_tmp_files, ("not-a-directory",) * 2),
    Damage(trash_lost_and_workers_a_file, ("missing-folder", "not-a-directory")),
    Damage(index_a_file, ("not-a-directory",) + ("missing-folder",) * 5 + ("no-entry",) * 3),
    Damage(done_a_file, ("not-a-directory", "no-entry", "no-entry")),
    Damage(ready_a_file, ("not-a-directory", "lost-token")),
    Damage(tokens_a_file, ("not-a-directory",) + ("missing-folder",) * 5 + ("lost-token",) * 4),
    Damage(
        tokens_a_file_and_entry_lost,
        ("no-entry", "not-a-directory") + ("missing-folder",) * 5 + ("lost-token",) * 4,
    ),
    Damage(waits_a_file, ("not-a-directory",) + ("latch-missing",) * 2),
    Damage(journals_a_file, ("not-a-directory",)),
    Damage(latch_a_file, ("not-a-directory", "latch-missing")),
]


def name_of(damage: Damage) -> str:
    return damage.do.__name__


def finish(store: Store) -> None:
    """A worker runs what is left, once what a person has to say was said."""
    queue = attached(store.layout.dir, QuickShare(21))
    for found in store.index.all():
        job = queue.findJob(f"job{found.number}")
        # What cannot be read stays where it is.
        if found.folder == "held" and not JobLook(Look(store), found.number).broken:
            job.release()
    worker = Worker(store.layout.dir, QuickShare(22), "last")
    try:
        worker.run_all()
    finally:
        worker.leave()
