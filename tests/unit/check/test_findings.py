"""What a check says, and what it leaves alone."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue import control
from jobqueue.check.audit import audit, repair
from jobqueue.check.finding import Finding
from jobqueue.errors import FormatVersionError, JobStateError
from jobqueue.journal import read_record
from jobqueue.names import ClosedToken, RunningToken, Token
from jobqueue.registry import Registration
from jobqueue.state import look_up
from jobqueue.store import Store
from jobqueue.testing import FakeClock
from jobqueue.worker.runner import Step
from tests.damages import (
    CANCELLED,
    DEAD,
    DONE,
    FRESH,
    HALF,
    STALLED,
    asleep,
    cancelled_and_held,
    dead_worker,
    done_too_early,
    entry,
    file_instead,
    half_cancelled,
    latch_lost,
    latch_lost_in_part,
    latch_with_a_finished_job_among_others,
    lost_blocked,
    lost_cancelled,
    lost_failed,
    lost_finished,
    lost_finished_root,
    lost_finished_with_its_journal,
    lost_ready,
    lost_root,
    lost_worker,
    not_done,
    older_token,
    open_below_a_finished_root,
    put_entry,
    ready_a_file,
    ready_too_early,
    token,
    touch,
    trash_a_file,
    won_and_ready,
    workers_a_file,
)
from tests.support import snapshot
from tests.support_share import Call, HookedShare, QuickShare, watched_calls
from tests.support_worker import attached, new_queue, worker_on

__all__ = ["watched_calls"]

_DAYS_S = 2 * 86400.0


class AgedShare(QuickShare):
    """A share on which some things have lain for two days."""

    def __init__(self) -> None:
        super().__init__(5)
        self.old: set[str] = set()

    def last_change(self, path: str) -> float | None:
        changed = super().last_change(path)
        return changed - _DAYS_S if changed is not None and path in self.old else changed


@pytest.fixture
def aged(scene: Path) -> AgedShare:
    return AgedShare()


def kinds(store: Store) -> list[str]:
    return [finding.kind for finding in audit(store).found]


def only(store: Store) -> Finding:
    """What is found and depends on nothing else that is."""
    (found,) = [finding for finding in audit(store).found if not finding.is_later]
    return found


# --- looking more than once --------------------------------------------------------------------------------------


class PausingClock(FakeClock):
    """Lets something happen at a pause."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        super().__init__()
        self.steps = list(steps)
        self.pauses = 0

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.pauses += 1
        if self.steps:
            self.steps.pop(0)()


@pytest.mark.parametrize("looks", [1, 2])
def test_what_is_gone_at_a_later_look_was_a_move_and_is_no_finding(store: Store, looks: int) -> None:
    older_token(store)
    steps = [lambda: None] * (looks - 1) + [lambda: os.unlink(f"{store.layout.job(HALF).ready}/0000000.0.0.0")]
    store.share.clock = PausingClock(*steps)
    assert audit(store).found == []


def test_the_same_finding_with_other_names_is_another_one(store: Store) -> None:
    """At each look a job is ready beside an entry in waiting/, and each time it is another move of the entry."""
    put_entry(store, FRESH, "waiting")
    moves = [lambda: put_entry(store, FRESH, "waiting")] * 20
    store.share.clock = clock = PausingClock(*moves)
    assert audit(store).found == []
    assert clock.pauses > 2
    clock.steps.clear()
    assert kinds(store) == ["not-woken"]


def test_a_sound_queue_is_looked_at_once(store: Store) -> None:
    store.share.clock = clock = PausingClock()
    audit(store)
    assert clock.pauses == 0


def test_a_true_finding_is_told_although_something_else_moves_all_the_time(store: Store) -> None:
    put_entry(store, FRESH, "waiting")
    lost_failed(store)
    store.share.clock = PausingClock(*[lambda: put_entry(store, FRESH, "waiting")] * 20)
    assert kinds(store) == ["lost-token"]


def test_a_token_that_moves_back_while_it_is_looked_for_is_not_lost(
    watched_calls: None, scene: Path, store: Store
) -> None:
    """It runs whenever ready/ is listed, and is ready whenever the workers are."""
    share = HookedShare()
    ready = Path(token(store, FRESH, 0))
    away = dead_worker(store) / "running" / f"{FRESH}.0000000.1.1.0.1"
    looks: list[int] = []

    def hook(call: Call, do: Callable[[], object]) -> object:
        if call.name != "listdir" or str(call.args[0]) != str(ready.parent) or len(looks) == 2:
            return do()
        looks.append(1)
        os.rename(ready, away)
        try:
            return do()
        finally:
            os.rename(away, ready)

    share.hook = hook
    assert audit(Store(str(scene), share)).found == []
    assert len(looks) == 2


class RemoteShare(QuickShare):
    """A share of a server, that has been told for each directory whether it was touched before it was listed."""

    def __init__(self, number: int | None = None) -> None:
        super().__init__()
        self.number = number
        self.calls: list[tuple[str, str]] = []

    def is_remote(self, path: str) -> bool:
        return True

    def touch(self, path: str) -> None:
        self.calls.append(("touch", path))
        if self.number:
            raise OSError(self.number, os.strerror(self.number), path)
        super().touch(path)

    def names_or_none(self, directory: str) -> list[str] | None:
        self.calls.append(("list", directory))
        return super().names_or_none(directory)


@pytest.mark.parametrize("number", [None, errno.EROFS, errno.EACCES])
def test_a_second_look_asks_the_server_anew_where_it_may(scene: Path, number: int | None) -> None:
    share = RemoteShare(number)
    store = Store(str(scene), share)
    older_token(store)
    assert kinds(store) == ["two-tokens"]
    ready = store.layout.job(HALF).ready
    assert [name for name, path in share.calls if path == ready] == ["list", *["touch", "list"] * 2]
    # Its age is that of the last change in it.
    assert ("touch", store.layout.job(HALF).dir) not in share.calls


def test_a_share_in_trouble_is_no_sound_queue(scene: Path) -> None:
    store = Store(str(scene), RemoteShare(errno.EIO))
    older_token(store)
    with pytest.raises(OSError, match="Input/output error"):
        audit(store)


# --- what is nothing -------------------------------------------------------------------------------------------------


def test_what_a_worker_holds_is_no_finding_however_long(store: Store) -> None:
    worker = Registration(store, "hand", 1)
    job = store.layout.job(FRESH)
    for name in ("0000000.0.0.0", "0000001.0.0.0"):
        os.rename(f"{job.ready}/{name}", f"{worker.files.running}/{FRESH}.{name[:7]}.1.1.0.1")
    os.rename(f"{worker.files.running}/{FRESH}.0000000.1.1.0.1", f"{worker.files.won}/{FRESH}.0000000.1.2.0.1.0")
    # Its settler has done all but the last step.
    os.unlink(f"{job.latch(3)}/0000000")
    assert audit(store).found == []
    worker.release_lock()


def test_a_job_that_became_ready_while_a_result_is_being_settled_is_woken_by_its_settler(store: Store) -> None:
    put_entry(store, FRESH, "waiting")
    os.rename(token(store, FRESH, 1), dead_worker(store) / "won" / f"{FRESH}.0000001.1.2.0.1.0")
    assert audit(store).found == []


def test_a_dead_worker_is_no_finding_of_these(store: Store) -> None:
    os.rename(token(store, FRESH, 0), dead_worker(store) / "running" / f"{FRESH}.0000000.1.1.0.1")
    assert audit(store).found == []


def test_a_job_that_failed_after_its_hierarchy_was_cancelled_is_no_finding(store: Store) -> None:
    job = store.layout.job(CANCELLED)
    os.rename(token(store, CANCELLED, 0), f"{job.failed}/0000000.1.3.1.{DEAD}.1.0")
    Path(job.journal(DEAD, 1)).write_bytes(b'{"node":0,"attempt":1,"ok":false}\n')
    assert audit(store).found == []


def test_foreign_names_are_nothing(store: Store) -> None:
    layout = store.layout
    for directory in (
        layout.dir, layout.index, layout.index_folder("runnable"), layout.tmp, layout.trash, layout.workers,
        layout.last, layout.job(FRESH).dir, layout.job(FRESH).ready, layout.job(FRESH).waits,
        layout.job(FRESH).journals, layout.job(FRESH).latch(3), str(dead_worker(store) / "running"),
    ):  # fmt: skip
        for name in (".DS_Store", "._x", "Thumbs.db", "job007", "1.2"):
            touch(directory, name)
    assert audit(store).found == []


def test_an_unknown_format_is_not_touched(scene: Path) -> None:
    path = scene / "queue.cfg"
    path.write_text(path.read_text().replace("formatVersion = 1", "formatVersion = 2"))
    before = snapshot(scene)
    with pytest.raises(FormatVersionError):
        repair(Store(str(scene), QuickShare()))
    assert snapshot(scene) == before


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_the_higher_move_stays_and_the_other_goes_to_trash(store: Store) -> None:
    stays = token(store, HALF, 0)
    older_token(store)
    found = only(store)
    assert (found.job, found.path) == (f"job{HALF}/job0", f"{store.layout.job(HALF).ready}/0000000.0.0.0")
    assert "the one in finished has the higher MOVE, 3, this one in ready has 0" in found.says
    repair(store)
    assert token(store, HALF, 0) == stays
    assert store.share.names(store.layout.trash) == [f"{HALF}.ready.0000000.0.0.0"]


def test_a_claim_that_is_higher_stays_with_its_worker(store: Store) -> None:
    touch(dead_worker(store), "running", f"{FRESH}.0000000.1.1.0.1")
    repair(store)
    assert store.tokens.running_of(DEAD) == [RunningToken(FRESH, 0, 1, 1, 0, 1)]
    assert not store.share.has(store.layout.job(FRESH).ready, "0000000.0.0.0")


def test_of_two_tokens_with_the_same_move_the_one_that_is_further_on_its_way_stays(store: Store) -> None:
    won_and_ready(store)
    repair(store)
    assert token(store, FRESH, 0).parent.name == "finished"


def test_of_three_tokens_one_stays(store: Store) -> None:
    touch(store.layout.job(HALF).ready, "0000000.0.0.0")
    touch(dead_worker(store), "running", f"{HALF}.0000000.1.1.0.1")
    assert kinds(store) == ["two-tokens", "two-tokens"]
    repair(store)
    assert look_up(store, store.layout.job(HALF), 0).state.value == "finished"
    assert len(store.share.names(store.layout.trash)) == 2


def test_a_lost_result_is_found_again_in_the_journal(store: Store) -> None:
    before = ClosedToken.parse(token(store, HALF, 0).name)
    assert before is not None
    lost_finished(store)
    repair(store)
    after = ClosedToken.parse(token(store, HALF, 0).name)
    assert after is not None and after.move > 500
    assert (after.attempt, after.worker, after.slot, after.offset) == (
        before.attempt, before.worker, before.slot, before.offset,
    )  # fmt: skip


def test_a_result_without_a_record_gets_one_that_says_where_it_comes_from(store: Store) -> None:
    lost_finished_with_its_journal(store)
    repair(store)
    found = ClosedToken.parse(token(store, DONE, 0).name)
    assert found is not None and found.worker.startswith("check-")
    job = store.layout.job(DONE)
    record = read_record(store.share, job.journal(found.worker, found.slot), found.offset, 0, found.attempt)
    assert record is not None and record["ok"] is True
    assert record["status"] == "rebuilt by `jobqueue check`: a job that waits for it has begun, so it has succeeded"


def test_a_lost_failure_stays_one_and_a_cancelled_job_too(store: Store) -> None:
    lost_failed(store)
    lost_cancelled(store)
    repair(store)
    assert token(store, STALLED, 0).parent.name == "failed"
    assert token(store, CANCELLED, 3).parent.name == "cancelled"


@pytest.mark.parametrize(("node", "folder"), [(0, "ready"), (1, "blocked")])
def test_a_lost_job_whose_last_error_was_forgiven_is_run_again(store: Store, node: int, folder: str) -> None:
    root = attached(store.layout.dir, QuickShare(7)).createJobRoot("code", text="raise RuntimeError('not yet')")
    root.options.maxErrors = 5
    root.createJob(
        "code", text="if proc.runningDir.endswith('1'): raise RuntimeError('no licence')"
    ).options.maxErrors = 5
    number = root.activate().number
    with worker_on(store.layout.dir, QuickShare(8)) as worker:
        while token(store, number, node).name.split(".")[1] == "0":
            worker.step()
    if node:
        # Of a sub-job whose success was taken back by a roll-back.
        os.makedirs(store.layout.job(number).latch(1), exist_ok=True)
        touch(store.layout.job(number).latch(1), "0000000")
        os.rename(token(store, number, 0), f"{store.layout.job(number).ready}/0000000.2.90.0")
    os.unlink(token(store, number, node))
    repair(store)
    assert token(store, number, node).parent.name == folder


@pytest.mark.parametrize("first", ["a", "z"])
def test_a_job_that_was_made_to_fail_after_a_forgiven_error_stays_failed_in_whatever_journal(
    store: Store, first: str
) -> None:
    """Offsets in two journals say nothing of which record came first."""
    job = store.layout.job(FRESH)
    forgiven = json.dumps({"node": 0, "attempt": 1, "ok": False, "again": True}) + "\n"
    final = json.dumps({"node": 0, "attempt": 1, "ok": False, "error": "made to fail"}) + "\n"
    Path(job.journal(f"{first}-y-0", 1)).write_text(" " * 90 + "\n" + forgiven)
    Path(job.journal("user-y-0", 0)).write_text(final)
    lost_ready(store)
    repair(store)
    found = ClosedToken.parse(token(store, FRESH, 0).name)
    assert found is not None and (found.attempt, found.worker, found.offset) == (1, "user-y-0", 0)


def test_a_record_of_success_counts_wherever_it_lies(store: Store) -> None:
    """Of an attempt that was taken for dead, somebody else has recorded a failure further on in another journal."""
    before = ClosedToken.parse(token(store, HALF, 0).name)
    failure = json.dumps({"node": 0, "attempt": 1, "ok": False}) + "\n"
    Path(store.layout.job(HALF).journal("z-y-0", 1)).write_text(" " * 9000 + "\n" + failure)
    lost_finished(store)
    repair(store)
    after = ClosedToken.parse(token(store, HALF, 0).name)
    assert before is not None and after is not None
    assert (after.worker, after.slot, after.offset) == (before.worker, before.slot, before.offset)


def test_a_job_whose_cancel_was_acknowledged_while_all_of_it_ran_is_not_run_again(store: Store) -> None:
    """Nothing of it could be cancelled then; its worker has died since, and its sweeper before he had cancelled it."""
    number = attached(store.layout.dir, QuickShare(7)).createJobRoot("noop").activate().number
    job, files = store.layout.job(number), store.layout.worker(DEAD)
    dead_worker(store)
    running = store.tokens.try_claim(job, Token(0, 0, 0, 0), DEAD, 1)
    assert running is not None
    control.cancel(store, number)
    os.rename(f"{files.running}/{running.name}", f"{job.ready}/{Token(0, 1, 2, 1).name}")
    assert kinds(store) == ["open-under-done"]
    assert repair(store).is_sound
    assert entry(store, number).folder == "done"
    assert token(store, number, 0).parent.name == "cancelled"


def test_a_new_token_is_above_all_attempts_that_are_known(store: Store) -> None:
    lost_worker(store)
    repair(store)
    assert token(store, HALF, 1).name == "0000001.3.4000.0"
    lost_ready(store)
    os.makedirs(f"{store.layout.job(FRESH).dir}/job0/.attempt7")
    repair(store)
    assert token(store, FRESH, 0).name == "0000000.7.8000.0"


def test_a_job_that_runs_too_early_is_told_and_left_to_run(store: Store) -> None:
    """A worker was fooled by a latch that was lost."""
    job = store.layout.job(FRESH)
    shutil.rmtree(job.latch(2))
    os.rename(token(store, FRESH, 2), dead_worker(store) / "running" / f"{FRESH}.0000002.1.2.0.1")
    found = only(store)
    assert (found.kind, found.job, found.cure) == ("early", f"job{FRESH}/job2", None)
    assert found.says == (
        f"the job is running, and job{FRESH}/job1 has not finished; its result stands, and what has not finished is "
        "run again"
    )
    before = snapshot(store.layout.dir)
    assert not repair(store).is_sound
    assert snapshot(store.layout.dir) == before


def test_what_is_wrong_behind_something_else_is_mended_in_the_same_repair(store: Store) -> None:
    """Two tokens; the one that stays is ready in an entry that waits, and its latch is too full."""
    older_token(store)
    put_entry(store, HALF, "waiting")
    touch(store.layout.job(HALF).latch(3), "0000000")
    told = audit(store).found
    assert [finding.kind for finding in told] == ["two-tokens", "latch-over", "not-woken"]
    report = repair(store)
    assert [finding.told for finding in report.found] == [finding.told for finding in told]
    assert report.left == []


# --- what was a lost token -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lose", "folder", "why"),
    [
        (lost_ready, "ready", "nothing shows that it has ended"),
        (lost_worker, "ready", "nothing shows that it has ended"),
        (lost_blocked, "blocked", "it waits for sub-jobs"),
        (lost_root, "blocked", "it waits for sub-jobs"),
        (lost_finished, "finished", "its record says success, and a job that waits for it does so no more"),
        (lost_finished_with_its_journal, "finished", "a job that waits for it has begun, so it has succeeded"),
        (lost_finished_root, "finished", "the top-level job is done and was not cancelled"),
        (lost_failed, "failed", "its last record says that it has failed"),
        (lost_cancelled, "cancelled", "the top-level job was cancelled"),
    ],
)
def test_what_a_token_was_is_told_by_all_the_rest(
    store: Store, lose: Callable[[Store], None], folder: str, why: str
) -> None:
    lose(store)
    found = only(store)
    assert (found.kind, found.says.partition("; ")[2]) == ("lost-token", why)
    assert found.cure is not None and found.cure.words == f"it gets one in {folder}/"


def test_a_token_is_rebuilt_with_its_own_record(store: Store) -> None:
    before = token(store, DONE, 3).name.split(".")
    lost_finished_root(store)
    repair(store)
    found = token(store, DONE, 3)
    assert (found.parent.name, found.name.split(".")) == ("finished", [*before[:2], "2000", *before[3:]])


def test_a_success_that_a_latch_still_holds_was_told_to_nobody_and_is_made_once_more(store: Store) -> None:
    lost_finished(store)
    touch(store.layout.job(HALF).latch(3), "0000000")
    repair(store)
    assert token(store, HALF, 0).parent.name == "ready"


def test_a_failure_stays_one_without_its_latch(store: Store) -> None:
    lost_failed(store)
    os.unlink(f"{store.layout.job(STALLED).latch(3)}/0000000")
    repair(store)
    assert token(store, STALLED, 0).parent.name == "failed"


def test_one_job_that_has_begun_tells_enough_of_what_it_needs(store: Store) -> None:
    """Job 0 is needed by 1, which has become ready, and by 3, which waits for 2, too."""
    root = attached(store.layout.dir, QuickShare(4)).createJobRoot("noop")
    first, other = root.createJob("noop"), root.createJob("noop")
    shared = first.createJob("noop")
    other.createJob("noop")
    other.addDependency(shared)
    number = root.activate().number
    job = store.layout.job(number)
    os.unlink(token(store, number, 0))
    os.rename(token(store, number, 1), f"{job.ready}/0000001.0.1.0")
    shutil.rmtree(job.latch(1))
    assert only(store).says.endswith("a job that waits for it has begun, so it has succeeded")


def test_an_entry_in_done_says_nothing_of_what_a_blocked_job_waits_for(store: Store) -> None:
    lost_ready(store)
    done_too_early(store)
    repair(store)
    assert token(store, FRESH, 0).parent.name == "ready"
    assert entry(store, FRESH).folder == "runnable"


def test_an_attempt_that_has_no_end_is_later_than_the_failure_before_it(store: Store) -> None:
    lost_failed(store)
    Path(store.layout.job(STALLED).journal(DEAD, 1)).write_bytes(b'{"event":"start","node":0,"attempt":2}\n')
    repair(store)
    assert token(store, STALLED, 0).name == "0000000.2.3000.0"


@pytest.mark.parametrize("answer", [b"false", b"null"])
def test_of_two_ends_of_an_attempt_the_later_one_counts(store: Store, answer: bytes) -> None:
    lost_ready(store)
    lines = [b'{"event":"end","node":0,"attempt":1,"ok":%s}\n' % ok for ok in (b"true", answer)]
    Path(store.layout.job(FRESH).journal(DEAD, 1)).write_bytes(b"".join(lines))
    repair(store)
    found = token(store, FRESH, 0)
    assert (found.parent.name, found.name) == ("failed", f"0000000.1.2000.0.{DEAD}.1.{len(lines[0])}")


def test_a_record_that_says_otherwise_is_not_the_one_of_a_success(store: Store) -> None:
    """The job has been begun that waits for it, so somebody has seen it succeed."""
    os.unlink(token(store, DONE, 0))
    (journal,) = Path(store.layout.job(DONE).journals).iterdir()
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(
        b"".join(line.replace(b'"ok":true', b'"ok":null') if b'"node":0,' in line else line for line in lines)
    )
    repair(store)
    found = ClosedToken.parse(token(store, DONE, 0).name)
    assert found is not None and found.worker.startswith("check-")
    record = read_record(store.share, store.layout.job(DONE).journal(found.worker, found.slot), found.offset, 0, 1)
    assert record is not None
    assert (record["ok"], record["error"], record["end"]) == (True, None, store.share.clock.now())


def test_what_has_never_begun_has_no_attempt(store: Store) -> None:
    lost_ready(store)
    repair(store)
    assert token(store, FRESH, 0).name == "0000000.0.1000.0"


def test_only_what_is_named_like_one_is_an_attempt(store: Store) -> None:
    lost_ready(store)
    directory = f"{store.layout.job(FRESH).dir}/job0"
    for name in (".attempt2", ".attempt", ".attemptx", "7", ".attempt\u00b2", ".attempt\u0663"):
        os.makedirs(f"{directory}/{name}")
    repair(store)
    assert token(store, FRESH, 0).name == "0000000.2.3000.0"


@pytest.mark.parametrize(("lose", "folder"), [(lost_ready, "runnable"), (lost_blocked, "waiting")])
def test_a_job_that_is_ready_again_is_woken_by_who_has_made_its_token(
    store: Store, lose: Callable[[Store], None], folder: str
) -> None:
    number = FRESH if lose is lost_ready else HALF
    if number == HALF:
        os.rename(token(store, HALF, 1), dead_worker(store) / "running" / f"{HALF}.0000001.1.1.0.1")
    put_entry(store, number, "waiting")
    lose(store)
    cure = only(store).cure
    assert cure is not None
    cure.mend(store)
    assert entry(store, number).folder == folder


def test_a_new_token_is_on_the_disk_and_its_record_before_it(watched_calls: None, scene: Path) -> None:
    share = HookedShare()
    store = Store(str(scene), share)
    lost_finished_with_its_journal(store)
    cure = only(store).cure
    assert cure is not None
    share.seen.clear()
    cure.mend(store)
    token_at = next(at for at, call in enumerate(share.seen) if "/finished/" in str(call.args[0]))
    record_at = next(at for at, call in enumerate(share.seen) if call.name == "write")
    synced_at = [at for at, call in enumerate(share.seen) if call.name in ("fsync", "sync_file_system")]
    assert any(record_at < at < token_at for at in synced_at)
    assert max(synced_at) > token_at


# --- latches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lose", "words"),
    [
        (latch_lost, f"job{HALF}/job2, and its latch is missing"),
        (latch_lost_in_part, f"job{HALF}/job2, and its latch does not hold them"),
    ],
)
def test_what_a_latch_lacks_is_named(store: Store, lose: Callable[[Store], None], words: str) -> None:
    lose(store)
    assert only(store).says == f"the job waits for {words}"


@pytest.mark.parametrize(("count", "more"), [(3, ""), (4, " and 1 more"), (5, " and 2 more")])
def test_of_many_jobs_three_are_named(store: Store, count: int, more: str) -> None:
    root = attached(store.layout.dir, QuickShare(4)).createJobRoot("noop")
    for _ in range(count):
        root.createJob("noop")
    number = root.activate().number
    shutil.rmtree(store.layout.job(number).latch(count))
    names = ", ".join(f"job{number}/job{nth}" for nth in range(3))
    assert only(store).says == f"the job waits for {names}{more}, and its latch is missing"


def test_what_a_latch_holds_too_much_is_named(store: Store) -> None:
    says = "the latch holds what the job does not wait for: "
    latch_with_a_finished_job_among_others(store)
    assert only(store).says == f"{says}job{HALF}/job0, finished"
    os.unlink(f"{store.layout.job(HALF).latch(3)}/0000000")
    for name in ("0000016", "0000003"):
        touch(store.layout.job(HALF).latch(2), name)
    found = only(store)
    assert (found.says, found.evidence) == (f"{says}job 3, no sub-job of it", ("0000003", "0000016"))


def _move_on(store: Store, node: int) -> None:
    """Something happens to a job, and then it is where it was."""
    path = token(store, FRESH, node)
    before = Token.parse(path.name)
    assert before is not None
    path.rename(path.with_name(before._replace(move=before.move + 1).name))


@pytest.mark.parametrize("node", [2, 3], ids=["the sub-job", "the job"])
def test_a_latch_that_lacks_a_job_is_no_finding_while_tokens_move(store: Store, node: int) -> None:
    os.unlink(f"{store.layout.job(FRESH).latch(3)}/0000002")
    store.share.clock = PausingClock(*[lambda: _move_on(store, node)] * 20)
    assert audit(store).found == []


def test_a_latch_is_no_finding_while_what_it_holds_changes(store: Store) -> None:
    latch = Path(store.layout.job(FRESH).latch(3))
    (latch / "0000100").touch()
    names = iter(range(101, 200))

    def change() -> None:
        (last,) = latch.glob("00001*")
        last.rename(latch / f"{next(names):07d}")

    store.share.clock = PausingClock(*[change] * 20)
    assert audit(store).found == []


def test_a_latch_is_whole_before_what_was_ready_too_early_is_blocked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_too_early(store)
    found = only(store)
    assert found.says == f"the job is ready, and job{HALF}/job1 has not finished"
    latch, seen = store.layout.job(HALF).latch(2), []
    try_move = store.share.try_move

    def watch(source_dir: str, source: str, target_dir: str, target: str) -> bool:
        seen.append((os.listdir(latch), target))
        return try_move(source_dir, source, target_dir, target)

    monkeypatch.setattr(store.share, "try_move", watch)
    assert found.cure is not None
    found.cure.mend(store)
    assert seen == [(["0000001"], "0000002.0.2.0")]
    assert token(store, HALF, 2).parent.name == "blocked"


def test_of_what_was_cancelled_nothing_waits(store: Store) -> None:
    cancelled_and_held(store)
    shutil.rmtree(store.layout.job(CANCELLED).latch(3))
    assert kinds(store) == ["not-done"]


# --- the standing of a whole job -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "says", "cure"),
    [
        (not_done, "the top-level job is finished, and its entry is in runnable/", "the entry goes to done/"),
        (cancelled_and_held, "jobs of it are cancelled, and its entry is in held/", "the entry goes to done/"),
        (
            done_too_early,
            "the entry is in done/, and 4 of its jobs still wait; nothing of it was cancelled",
            "the entry goes to runnable/",
        ),
        (half_cancelled, "the entry is in done/, and 3 of its jobs still wait", "they are cancelled"),
        (asleep, "jobs are ready, and the entry is in waiting/, where nobody looks", "the entry is woken"),
    ],
)
def test_what_is_wrong_with_a_whole_job_is_said(
    store: Store, do: Callable[[Store], None], says: str, cure: str
) -> None:
    do(store)
    found = only(store)
    assert found.number is not None and found.cure is not None
    assert (found.job, found.says, found.cure.words) == (f"job{found.number}", says, cure)
    at = entry(store, found.number)
    assert found.path == f"{store.layout.index_folder(at.folder)}/{at.name}"


@pytest.mark.parametrize(
    ("do", "evidence"),
    [
        (done_too_early, [f"000000{node}.0.0.0" for node in range(4)]),
        (half_cancelled, [f"000000{node}.0.0.0" for node in (1, 2, 3)]),
        (asleep, ["0000000.0.0.0"]),
    ],
)
def test_what_is_wrong_with_a_whole_job_rests_on_its_open_tokens(
    store: Store, do: Callable[[Store], None], evidence: list[str]
) -> None:
    do(store)
    assert list(only(store).evidence) == evidence


@pytest.mark.parametrize("is_backwards", [False, True])
def test_evidence_is_the_same_in_whatever_order_a_server_lists(scene: Path, is_backwards: bool) -> None:
    class Ordered(QuickShare):
        def names_or_none(self, directory: str) -> list[str] | None:
            names = super().names_or_none(directory)
            return sorted(names, reverse=is_backwards) if names is not None else None

    store = Store(str(scene), Ordered())
    asleep(store)
    assert only(store).evidence == ("0000000.0.0.0",)
    put_entry(store, FRESH, "done")
    assert only(store).evidence == tuple(f"000000{node}.0.0.0" for node in range(4))


def test_a_job_of_which_all_but_the_root_has_finished_comes_back_from_done(store: Store) -> None:
    with worker_on(store.layout.dir) as worker:
        while token(store, HALF, 3).parent.name == "blocked":
            worker.step()
    put_entry(store, HALF, "done")
    assert kinds(store) == ["open-under-done"]
    repair(store)
    assert entry(store, HALF).folder == "runnable"
    assert token(store, HALF, 3).parent.name == "ready"


def test_an_end_is_another_one_when_its_token_is(store: Store) -> None:
    not_done(store)
    assert only(store).evidence == (token(store, DONE, 3).name,)


def test_what_is_cancelled_in_part_outside_of_done_is_cancelled_as_a_whole(store: Store) -> None:
    os.rename(token(store, FRESH, 0), f"{store.layout.job(FRESH).cancelled}/0000000.0.1.0")
    found = only(store)
    assert (found.kind, found.evidence) == ("not-done", ("0000000.0.1.0",))
    assert repair(store).is_sound
    assert entry(store, FRESH).folder == "done"
    assert {token(store, FRESH, node).parent.name for node in range(4)} == {"cancelled"}


def test_what_is_left_open_below_a_finished_root_without_a_record_is_cancelled(store: Store) -> None:
    open_below_a_finished_root(store)
    for path in Path(store.layout.job(DONE).journals).iterdir():
        path.write_bytes(b"")
    assert only(store).kind == "open-under-done"
    repair(store)
    assert token(store, DONE, 0).parent.name == "cancelled"
    assert entry(store, DONE).folder == "done"


def test_a_job_that_comes_back_from_done_may_do_so_twice_and_not_if_it_was_held_meanwhile(store: Store) -> None:
    done_too_early(store)
    cure = only(store).cure
    assert cure is not None
    for _ in range(2):
        cure.mend(store)
        assert entry(store, FRESH).folder == "runnable"
    put_entry(store, FRESH, "held")
    with pytest.raises(JobStateError):
        cure.mend(store)
    assert entry(store, FRESH).folder == "held"


def test_a_backup_that_was_laid_over_a_newer_queue_is_told_at_once(store: Store) -> None:
    put_entry(store, DONE, "held")
    touch(store.layout.index_folder("runnable"), entry(store, DONE)._replace(moves=0).name)
    for node in range(4):
        touch(store.layout.job(DONE).blocked, f"{node:07d}.0.0.0")
    assert kinds(store) == ["two-entries", *["two-tokens"] * 4, "not-done"]


def test_a_result_that_was_moved_by_hand_is_told_with_all_that_follows(store: Store) -> None:
    finished = token(store, HALF, 0)
    os.rename(finished, f"{store.layout.job(HALF).failed}/{finished.name}")
    told = audit(store).found
    assert [finding.kind for finding in told] == ["latch-missing", "record-differs"]
    assert [finding.kind for finding in repair(store).found] == ["latch-missing", "record-differs"]
    assert kinds(store) == ["record-differs"]


def test_what_a_lost_token_hides_is_told_with_it(store: Store) -> None:
    """The root's token is lost, its latch too; jobs are ready, and the entry waits."""
    job = store.layout.job(FRESH)
    os.unlink(token(store, FRESH, 3))
    shutil.rmtree(job.latch(3))
    put_entry(store, FRESH, "waiting")
    told = audit(store).found
    assert [finding.kind for finding in told] == ["lost-token", "latch-missing", "not-woken"]
    report = repair(store)
    assert [finding.told for finding in report.found] == [finding.told for finding in told]
    assert report.left == []


def test_what_follows_from_a_repair_that_loses_its_race_is_not_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result was taken back; before it is put right a slot claims the job, so that it is waited for again."""
    job = store.layout.job(HALF)
    with worker_on(store.layout.dir) as worker:
        assert [worker.step(), worker.step()] == [Step.RAN, Step.RAN]
    before = Path(job.ready, "0000001.1.9.0")
    os.rename(token(store, HALF, 1), before)
    os.makedirs(job.latch(2))
    touch(job.latch(2), "0000001")
    assert kinds(store) == ["taken-back", "latch-over"]
    away = dead_worker(store) / "running" / f"{HALF}.0000001.2.10.0.1"
    move = store.share.try_move

    def claimed_first(source_dir: str, source: str, target_dir: str, target: str) -> bool:
        if source == before.name and before.exists():
            os.rename(before, away)
        return move(source_dir, source, target_dir, target)

    monkeypatch.setattr(store.share, "try_move", claimed_first)
    repair(store)
    assert store.share.has(job.latch(2), "0000001")


# --- entries and directories -----------------------------------------------------------------------------------------


def test_the_entry_that_was_moved_most_stays(store: Store) -> None:
    layout = store.layout
    touch(layout.index_folder("held"), entry(store, FRESH)._replace(moves=3).name)
    assert only(store).path == f"{layout.index_folder('runnable')}/500-{FRESH:08d}.0"
    repair(store)
    assert entry(store, FRESH).folder == "held"
    assert store.share.names(layout.trash) == [f"{FRESH}.runnable.500-{FRESH:08d}.0"]


def test_the_moves_of_an_entry_count_and_not_its_folder(store: Store) -> None:
    before = entry(store, FRESH)
    put_entry(store, FRESH, "runnable")
    touch(store.layout.index_folder("held"), before.name)
    repair(store)
    assert entry(store, FRESH) == before.moved("runnable")


def test_what_was_set_aside_does_not_pass_for_a_job_that_is_being_deleted(store: Store) -> None:
    touch(store.layout.index_folder("held"), entry(store, FRESH)._replace(moves=3).name)
    repair(store)
    assert audit(store).found == []


def test_a_directory_that_was_never_published_is_left_for_a_day(scene: Path, aged: AgedShare) -> None:
    store = Store(str(scene), aged)
    number = store.index.take_number()
    assert audit(store).found == []
    aged.old.add(store.layout.job(number).dir)
    assert kinds(store) == ["unpublished"]
    assert repair(store).is_sound
    assert not store.share.has(str(scene), f"job{number}")
    before = snapshot(scene)
    repair(store)
    assert snapshot(scene) == before
    # Its submitter may still be asleep somewhere.
    assert store.index.take_number() == number + 1


def test_a_whole_submission_that_was_never_published_is_left_for_a_day_and_cannot_be_published_then(
    scene: Path, aged: AgedShare
) -> None:
    store = Store(str(scene), aged)
    name = entry(store, FRESH).name
    os.rename(f"{store.layout.index_folder('runnable')}/{name}", f"{store.layout.tmp}/{name}.01234567")
    assert audit(store).found == []
    aged.old.add(store.layout.job(FRESH).dir)
    assert kinds(store) == ["unpublished"]
    assert repair(store).is_sound
    assert store.share.names(store.layout.tmp) == []
    assert not store.share.has(str(scene), f"job{FRESH}")


def test_who_may_not_write_is_told_no_age(scene: Path) -> None:
    class ReadOnly(AgedShare):
        def touch(self, path: str) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    share = ReadOnly()
    store = Store(str(scene), share)
    number = Store(str(scene), QuickShare()).index.take_number()
    share.old.add(store.layout.job(number).dir)
    assert audit(store).found == []


def test_the_priority_of_a_lost_entry_comes_from_the_hierarchy(store: Store) -> None:
    root = attached(store.layout.dir, QuickShare()).createJobRoot("noop")
    root.options.priority = 77
    number = root.activate().number
    lost = entry(store, number)
    os.unlink(f"{store.layout.index_folder('runnable')}/{lost.name}")
    touch(store.layout.job(number).journals, "x-y-0.1.jsonl")
    repair(store)
    assert entry(store, number)[:3] == ("held", 77, number)


def test_a_broken_job_is_held_and_stays_a_finding(store: Store) -> None:
    os.unlink(store.layout.job(FRESH).hierarchy)
    found = only(store)
    assert "`jobqueue delete job5`" in found.says
    assert found.cure is not None and "held" in found.cure.words
    assert not repair(store).is_sound
    assert entry(store, FRESH).folder == "held"
    assert only(store).cure is None
    control.delete(store, FRESH)
    assert audit(store).is_sound


def test_a_deletion_that_has_died_is_a_note_and_is_done_by_a_repair(store: Store) -> None:
    store.index.discard(FRESH)
    report = audit(store)
    assert ([finding.kind for finding in report.found], report.is_sound) == (["deleting"], True)
    repair(store)
    assert not store.share.has(store.layout.dir, f"job{FRESH}")
    assert store.share.names(store.layout.trash) == []
    assert store.index.take_number() == FRESH + 1


def test_a_deletion_is_left_to_the_worker_that_still_runs_something_of_it(store: Store) -> None:
    os.rename(token(store, FRESH, 0), dead_worker(store) / "running" / f"{FRESH}.0000000.1.1.0.1")
    control.delete(store, FRESH)
    found = only(store)
    assert (found.kind, found.cure) == ("deleting", None)
    before = snapshot(store.layout.dir)
    repair(store)
    assert snapshot(store.layout.dir) == before


def test_a_tombstone_keeps_the_number_of_what_was_deleted(store: Store) -> None:
    touch(dead_worker(store), "won", "8.0000000.1.2.0.1.0")
    assert kinds(store) == ["number", "token-of-nobody"]
    repair(store)
    assert store.index.take_number() == 9


# --- files that lie where directories belong -------------------------------------------------------------------------


def test_a_file_in_the_place_of_a_directory_goes_to_trash_with_what_is_in_it(store: Store) -> None:
    workers_a_file(store)
    found = only(store)
    assert (found.kind, found.path, found.job) == ("not-a-directory", store.layout.workers, None)
    assert found.says == "a file lies where a directory belongs"
    assert repair(store).is_sound
    assert store.share.names(store.layout.workers) == []
    (name,) = store.share.names(store.layout.trash)
    assert name.startswith("workers.")
    assert Path(store.layout.trash, name).read_bytes() == b"a file"


def test_a_file_in_a_job_goes_to_trash_under_its_number(store: Store) -> None:
    ready_a_file(store)
    repair(store)
    (name,) = store.share.names(store.layout.trash)
    assert name.startswith(f"{HALF}.ready.")
    control.delete(store, HALF)
    assert store.share.names(store.layout.trash) == []


def test_a_file_in_the_place_of_trash_itself_is_renamed_beside_it(store: Store) -> None:
    trash_a_file(store)
    repair(store)
    (name,) = [name for name in store.share.names(store.layout.dir) if name.startswith(".gone-trash-")]
    assert Path(store.layout.dir, name).read_bytes() == b"a file"
    assert audit(store).found == []


def test_a_file_in_the_place_of_procs_goes_and_nobody_is_trusted_with_a_new_one(store: Store) -> None:
    file_instead(store.layout.procs)
    assert kinds(store) == ["not-a-directory"]
    assert repair(store).is_sound
    assert not store.share.has(store.layout.dir, "procs")


def test_a_link_that_leads_nowhere_is_no_directory_and_one_to_a_directory_is(store: Store, tmp_path: Path) -> None:
    for number, target in ((FRESH, tmp_path / "nowhere"), (HALF, tmp_path / "elsewhere")):
        shutil.rmtree(store.layout.job(number).journals)
        os.symlink(target, store.layout.job(number).journals)
    os.mkdir(tmp_path / "elsewhere")
    assert [(found.kind, found.job) for found in audit(store).found if not found.is_note] == [
        ("not-a-directory", f"job{FRESH}")
    ]
    assert repair(store).is_sound
    assert os.path.isdir(store.layout.job(FRESH).journals)
    assert os.path.islink(store.layout.job(HALF).journals)


def test_a_directory_that_another_repair_has_just_made_is_left_where_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_a_file(store)
    look = store.share.is_file_instead

    def then_another_repairs(path: str) -> bool:
        was_file = look(path)
        if was_file:
            os.unlink(path)
            os.mkdir(path)
            touch(path, "of-somebody")
        return was_file

    (found,) = audit(store).found
    monkeypatch.setattr(store.share, "is_file_instead", then_another_repairs)
    assert found.cure is not None
    found.cure.mend(store)
    assert store.share.names(store.layout.workers) == ["of-somebody"]


# --- notes -----------------------------------------------------------------------------------------------------------


def test_a_lost_record_is_a_note(store: Store) -> None:
    for path in Path(store.layout.job(DONE).journals).iterdir():
        path.unlink()
    report = audit(store)
    assert [(finding.kind, finding.job) for finding in report.found] == [
        ("record-lost", name) for name in (f"job{DONE}/job0", f"job{DONE}/job1", f"job{DONE}/job2", f"job{DONE}")
    ]
    assert report.is_sound
    assert repair(store).left == report.found


def test_a_record_that_says_something_else_is_a_finding(store: Store) -> None:
    (path,) = Path(store.layout.job(DONE).journals).iterdir()
    path.write_bytes(path.read_bytes().replace(b'"ok":true', b'"ok":null', 1))
    found = only(store)
    assert (found.kind, found.cure) == ("record-differs", None)
    assert "the job is finished, and its record says ok: none" in found.says


def test_leftovers_are_removed_when_they_are_a_day_old(scene: Path, aged: AgedShare) -> None:
    store = Store(str(scene), aged)
    layout = store.layout
    files = [
        f"{layout.tmp}/500-00000009.0.01234567", f"{layout.trash}/3.0000000.1.2.0.w", f"{layout.dir}/.new-queue.cfg-01",
        f"{dead_worker(store)}/.new-info.json-01", f"{dead_worker(store)}/inbox/.new-a.json-01",
        f"{layout.index_folder('held')}/.new-x-01", f"{layout.trash}/500-00000004.9",
    ]  # fmt: skip
    for path in files:
        touch(path)
    assert [finding.kind for finding in audit(store).found] == []
    aged.old.update(files)
    report = audit(store)
    # The last one names a job that is there, and has its entry.
    assert sorted(finding.path for finding in report.found) == sorted(files[:-1])
    assert report.is_sound
    repair(store)
    assert [path for path in files if os.path.exists(path)] == files[-1:]


def test_what_is_open_somewhere_goes_by_itself(store: Store) -> None:
    touch(store.layout.dir, ".nfs000001")
    found = only(store)
    assert (found.kind, found.is_note, found.cure) == ("leftover", True, None)


# --- what it costs ---------------------------------------------------------------------------------------------------


def test_a_look_at_a_job_is_a_few_listings_and_its_files_and_writes_nothing(
    watched_calls: None, tmp_path: Path
) -> None:
    costs = []
    for count in (10, 20):
        queue_dir = new_queue(tmp_path / f"queue{count}")
        queue = attached(queue_dir, QuickShare())
        for _ in range(count):
            queue.createJobRoot("noop").activate()
        with worker_on(queue_dir) as worker:
            worker.run_all()
        share = HookedShare()
        store = Store(str(queue_dir), share)
        share.seen.clear()
        assert audit(store) == ([], [], count)
        assert not [call for call in share.seen if call.writes]
        costs.append((share.count("listdir") + share.count("scandir"), share.count("open"), len(share.seen)))
    listings, files, calls = (many - few for few, many in zip(*costs, strict=True))
    # Its directory and its five folders of tokens; of the hierarchy the header and the lines, and a journal.
    assert (listings / 10, files / 10) == (6, 3)
    assert calls / 10 <= 25
