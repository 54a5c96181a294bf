"""Does a lock of one process shut out another, and is it free when it was released?"""

from __future__ import annotations

from jobqueue.doctor.meeting import Meeting
from jobqueue.mounts import Level, Remark
from jobqueue.share import Lock, Share

_SLOWER = (
    "the queue is safe all the same, since no lock decides anything alone; but the death of a host is noticed only "
    "after `deadAfter`, not within 45 s"
)


def lock_each_other_out(meeting: Meeting, rounds: int) -> Remark:
    """The first two processes lock the same file by turns, each while the other tries."""
    found = {"untaken": 0, "shared": 0, "stuck": 0}
    for nth in range(rounds):
        holder, other = (0, 1) if nth % 2 == 0 else (1, 0)
        path = f"{meeting.directory}/lock"
        if meeting.me == holder:
            lock = _try_lock(meeting.share, path)
            meeting.say(f"locked-{nth}", lock is not None)
            meeting.hear(f"tried-{nth}", other)
            if lock is not None:
                lock.release()
            meeting.say(f"released-{nth}")
        elif meeting.me == other:
            is_locked = meeting.hear(f"locked-{nth}", holder)
            was_free = _is_free(meeting.share, path)
            meeting.say(f"tried-{nth}")
            meeting.hear(f"released-{nth}", holder)
            found["untaken"] += not is_locked
            found["shared"] += is_locked and was_free
            found["stuck"] += is_locked and not _is_free(meeting.share, path)
        meeting.all_say(f"lock-{nth}-end")
    said = meeting.all_say("lock-end", found)
    return judge_locks(rounds, **{key: sum(one[key] for one in said) for key in found})


def _try_lock(share: Share, path: str) -> Lock | None:
    try:
        return share.lock(path)
    except OSError:
        return None


def _is_free(share: Share, path: str) -> bool:
    lock = _try_lock(share, path)
    if lock is None:
        return False
    lock.release()
    return True


def judge_locks(rounds: int, *, untaken: int, shared: int, stuck: int) -> Remark:
    """What became of so many rounds.

    Args:
        rounds: how many there were.
        untaken: how often the first one could not lock at all.
        shared: how often both had the lock at once.
        stuck: how often it stayed locked after it was released.
    """
    if shared:
        says = f"a lock excludes nobody: {shared} of {rounds} times two processes held it at once; {_SLOWER}"
    elif untaken:
        says = f"it takes no locks: {untaken} of {rounds} tries failed; {_SLOWER}"
    elif stuck:
        says = f"a lock stays when it is released: {stuck} of {rounds} times; {_SLOWER}"
    else:
        return Remark(Level.FULL, "lock", f"a lock shut out the other process {rounds} of {rounds} times")
    return Remark(Level.WARNING, "lock", says)
