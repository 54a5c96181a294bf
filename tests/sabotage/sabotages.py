"""The sabotages: what is changed, what that breaks, and which tests have to notice."""

from __future__ import annotations

from typing import NamedTuple

_DEATHS = "tests/faults/test_deaths.py"
_SINGLE = "tests/faults/test_single_faults.py"


class Sabotage(NamedTuple):
    """One change that breaks the protocol.

    Attributes:
        name: to call it by.
        file: that is changed.
        line: what is replaced; it is there once.
        replacement: by what.
        breaks: what that breaks, in words.
        tests: arguments of pytest; these tests have to fail.
    """

    name: str
    file: str
    line: str
    replacement: str
    breaks: str
    tests: tuple[str, ...]


SABOTAGES = (
    # --- single calls ------------------------------------------------------------------------------------------------
    Sabotage(
        "no-second-look", "jobqueue/share/moves.py",
        "            if self.has(target_dir, target):\n",
        "            if False:\n",
        "a rename that was executed and answered ENOENT counts as lost",
        ("tests/unit/test_share.py",),
    ),
    Sabotage(
        "enoent-is-final", "jobqueue/share/moves.py",
        "            if source not in names:\n                return False\n",
        "            return False\n",
        "a rename that was not executed is not tried again",
        ("tests/unit/test_share.py",),
    ),
    Sabotage(
        "eio-is-certain", "jobqueue/share/answers.py",
        "        errno.EIO,\n        errno.ETIMEDOUT,\n",
        "        errno.ETIMEDOUT,\n",
        "after EIO nobody looks whether the rename was executed",
        ("tests/unit/test_share.py",),
    ),
    Sabotage(
        "no-touch-of-the-directory", "jobqueue/share/looking.py",
        "            os.utime(directory)\n",
        "            pass\n",
        "NFSv3 hides for ever what was made in the tick of an earlier listing",
        ("tests/unit/test_kinds_of_shares.py", "tests/unit/test_share.py"),
    ),
    Sabotage(
        "old-file-is-written-over", "jobqueue/share/moves.py",
        '            self.write_new(f"{directory}/{new}", data, sync=sync)\n',
        '            self.write_new(f"{directory}/{new}", data, sync=sync); self.write_new(path, data)\n',
        "a reader sees a part of a file",
        ("tests/unit/test_share.py", "tests/contract/test_share.py"),
    ),
    Sabotage(
        "number-not-exclusive", "jobqueue/share/directories.py",
        "        except FileExistsError:\n            return False\n",
        "        except FileExistsError:\n            return True\n",
        "two submitters take one number",
        ("tests/races/test_numbers.py",),
    ),
    Sabotage(
        "any-file-is-published", "jobqueue/share/moves.py",
        "            if self.stamp(source_dir, name) != stamp:\n",
        "            if self.stamp(source_dir, name) is None:\n",
        "a file that was changed after the commit gets the final name",
        ("tests/unit/test_outputs.py",),
    ),
    # --- tokens ------------------------------------------------------------------------------------------------------
    Sabotage(
        "no-slot-in-the-name", "jobqueue/tokens.py",
        "token.move + 1, token.charged, slot, token.span\n        )\n        running = ",
        "token.move + 1, token.charged, 1, token.span\n        )\n        running = ",
        "two slots of one worker take one token for theirs",
        ("tests/races/test_claiming.py",),
    ),
    Sabotage(
        "move-not-counted", "jobqueue/tokens.py",
        "        ready = Token(running.node, running.attempt, running.move + 1, charged, ",
        "        ready = Token(running.node, running.attempt, running.move, charged, ",
        "a token gets a name that it had before",
        ("tests/unit/test_tokens.py",),
    ),
    Sabotage(
        "attempt-not-counted", "jobqueue/tokens.py",
        "            job.number, token.node, token.attempt + 1, ",
        "            job.number, token.node, max(1, token.attempt), ",
        "two attempts share a directory and their outputs",
        (_DEATHS, "-k", "bring_all and (Run-all or Sweep)"),
    ),
    Sabotage(
        "no-wake-after-give-back", "jobqueue/tokens.py",
        "        self.wake_rest()\n        return ready\n",
        "        return ready\n",
        "what is given back to a parked job is found by nobody",
        ("tests/races/test_park_and_wake.py",),
    ),
    Sabotage(
        "wake-is-forgotten", "jobqueue/tokens.py",
        "        self._unwoken.add(running.job)\n",
        "        self._unwoken.discard(running.job)\n",
        "a wake that the share has refused is not made up for",
        ("tests/unit/test_tokens.py",),
    ),
    Sabotage(
        "close-before-unlatching", "jobqueue/tokens.py",
        "        unblocked: list[Token] = []\n        entry, is_root",
        "        early = ClosedToken(won.node, won.attempt, won.move + 1, won.charged, worker, won.slot, won.offset)\n"
        "        target = job.finished if ok else job.failed\n"
        "        self._share.try_move(self._layout.worker(worker).won, won.name, target, early.name)\n"
        "        unblocked: list[Token] = []\n        entry, is_root",
        "a death in settling leaves a parent blocked for ever",
        (_DEATHS, "-k", "bring_all and SettleFromRecord"),
    ),
    Sabotage(
        "missing-latch-is-not-mine", "jobqueue/tokens.py",
        "        if self._share.remove_dir(latch) is not Removal.NOT_EMPTY:\n",
        "        removal = self._share.remove_dir(latch)\n"
        "        if removal is Removal.MISSING:\n            return False\n"
        "        if removal is Removal.REMOVED:\n",
        "who removes a latch and dies leaves its parent blocked for ever",
        (_DEATHS, "-k", "bring_all and SettleFromRecord"),
    ),
    Sabotage(
        "latch-not-looked-into", "jobqueue/tokens.py",
        "        return not self._seen_latched[latch]\n",
        "        return False\n",
        "a leftover in a latch keeps the parent blocked for ever",
        ("tests/races/test_settling.py",),
    ),
    Sabotage(
        "retry-keeps-charged", "jobqueue/tokens.py",
        "        token = Token(closed.node, closed.attempt, closed.move + 1, 0)\n",
        "        token = Token(closed.node, closed.attempt, closed.move + 1, closed.charged)\n",
        "a user's retry forgives nothing",
        ("tests/unit/test_tokens.py",),
    ),
    Sabotage(
        "retry-of-blocked-is-ready", "jobqueue/tokens.py",
        "        folder = job.blocked if has_children else job.ready\n",
        "        folder = job.ready\n",
        "a job begins before its sub-jobs have finished",
        (_DEATHS, "-k", "bring_all and RetryBlocked"),
    ),
    Sabotage(
        "retry-without-wake", "jobqueue/tokens.py",
        "            self._unblock(job, closed.node)\n        self.wake_or_cancel(job.number)\n",
        "            self._unblock(job, closed.node)\n",
        "a job that is tried again is found by nobody",
        ("tests/races/test_park_and_wake.py",),
    ),
    Sabotage(
        "failure-after-cancel-stays", "jobqueue/tokens.py",
        '        if self._index.find(job.number, ("done",)):\n            self.cancel_failed(job)\n',
        '        self._index.find(job.number, ("done",))\n',
        "a job fails in a hierarchy that was cancelled",
        ("tests/races/test_people.py",),
    ),
    # --- the index ---------------------------------------------------------------------------------------------------
    Sabotage(
        "wake-does-not-raise-k", "jobqueue/index.py",
        '                error = self._swap(entry, entry.moved("runnable"))\n                if error is None:\n'
        '                    return entry.moved("runnable")\n',
        '                error = self._swap(entry, entry._replace(folder="runnable"))\n'
        "                if error is None:\n"
        '                    return entry._replace(folder="runnable")\n',
        "who parks does not notice that something became ready",
        ("tests/races/test_park_and_wake.py",),
    ),
    Sabotage(
        "wake-gives-up", "jobqueue/index.py",
        "            entry, fresh = latest, True\n        raise self._lost(number)\n",
        "            return latest\n        raise self._lost(number)\n",
        "a wake that meets another mover does nothing",
        ("tests/unit/test_index.py", "tests/races/test_park_and_wake.py"),
    ),
    Sabotage(
        "found-in-old-listings-only", "jobqueue/index.py",
        "        if (found is None or found == lost) and self._share.is_remote(self._layout.dir):\n",
        "        if False:\n",
        "an entry that a listing hides is taken for deleted",
        ("tests/unit/test_index.py",),
    ),
    Sabotage(
        "tombstones-ignored", "jobqueue/index.py",
        "            if self._highest_deleted() >= number:\n                self._share.remove_dir(path)\n",
        "            if False:\n                self._share.remove_dir(path)\n",
        "a deleted job's number is used again",
        ("tests/races/test_numbers.py",),
    ),
    Sabotage(
        "draft-left-at-withdrawal", "jobqueue/index.py",
        '                self._share.try_unlink(f"{self._layout.tmp}/{name}")\n        is_gone',
        "                pass\n        is_gone",
        "a rename that comes late publishes what was taken back",
        ("tests/unit/test_index.py",),
    ),
    # --- submitting and deleting -------------------------------------------------------------------------------------
    Sabotage(
        "publish-before-sync", "jobqueue/submit.py",
        "            self._store.share.sync_everything(job.dir)\n",
        "            pass\n",
        "a power cut leaves an entry without its hierarchy",
        ("tests/unit/test_submit.py",),
    ),
    Sabotage(
        "no-tombstone", "jobqueue/control.py",
        "    store.index.bury(number)\n    # RACE: whoever archives",
        "    # RACE: whoever archives",
        "a number is used again when its job was deleted",
        ("tests/races/test_numbers.py",),
    ),
    Sabotage(
        "delete-without-fence", "jobqueue/control.py",
        "    fence(store, job)\n    ask_to_end",
        "    store.tokens.cancel_waiting(job)\n    ask_to_end",
        "a token comes back into a job that is being deleted",
        ("tests/races/test_people.py",),
    ),
    Sabotage(
        "archive-without-confirming", "jobqueue/archiving.py",
        "        if not store.index.try_confirm(entry):\n            return False\n",
        "",
        "an archive that was packed while the job was being removed counts",
        ("tests/unit/test_archiving.py",),
    ),
    Sabotage(
        "archive-not-synced", "jobqueue/packing.py",
        "            draft.sync()\n",
        "",
        "a power cut leaves half an archive, and no job",
        ("tests/unit/test_archives_and_power.py",),
    ),
    Sabotage(
        "archive-name-not-synced", "jobqueue/archives.py",
        "        self._share.sync_dir(self._layout.archives)\n",
        "",
        "a power cut leaves neither the job nor its archive",
        ("tests/unit/test_archives_and_power.py",),
    ),
    Sabotage(
        "archived-entry-comes-back", "jobqueue/index.py",
        "        self._share.sync_dir(self._layout.trash)\n",
        "",
        "after a power cut a directory counts of which parts were removed",
        ("tests/unit/test_archives_and_power.py",),
    ),
    Sabotage(
        "fence-comes-back", "jobqueue/removal.py",
        "            _make_last(store, job.tokens)\n",
        "",
        "after a power cut an archived job seems to run",
        ("tests/unit/test_archives_and_power.py",),
    ),
    # --- a slot's work -----------------------------------------------------------------------------------------------
    Sabotage(
        "no-reconcile", "jobqueue/worker/runner.py",
        "            if token.slot == self._slot:\n",
        "            if False:\n",
        "a claim that was answered ENOENT is never given back",
        (_SINGLE, "-k", "GiveBack or Run-all"),
    ),
    Sabotage(
        "loss-is-believed", "jobqueue/worker/runner.py",
        "        was_in_doubt, self._in_doubt = self._in_doubt, True\n",
        "        was_in_doubt = self._in_doubt\n",
        "a busy slot never looks whether a claim that it has lost was won",
        ("tests/unit/test_slots_in_doubt.py",),
    ),
    Sabotage(
        "commit-before-record", "jobqueue/worker/runner.py",
        "            place = insist(store, what, lambda: self._record(record))\n",
        "            store.tokens.try_commit(token, self._worker, self._slot, self._pen._journal._file.offset)\n"
        "            place = self._record(record)\n",
        "a death after the commit loses the record",
        (_DEATHS, "-k", "bring_all and Run-all"),
    ),
    Sabotage(
        "record-not-synced", "jobqueue/worker/runner.py",
        "        return self._pen.append(record, sync=lasting)\n",
        "        return self._pen.append(record, sync=False)\n",
        "a power cut turns a failure into a success",
        ("tests/unit/test_execution_order.py", "tests/unit/test_kinds_of_shares.py", "tests/unit/test_publishing.py"),
    ),
    Sabotage(
        "append-after-a-torn-line", "jobqueue/worker/pen.py",
        "            self._slot = self._new_slot()\n            self.numbers",
        "            self.numbers",
        "a journal goes on after a line that is torn, or that was not synced",
        ("tests/unit/test_slots_in_doubt.py",),
    ),
    Sabotage(
        "outputs-before-commit", "jobqueue/worker/runner.py",
        "            won = insist(store, what, lambda: store.tokens.try_commit(token, self._worker, place.slot, "
        "place.offset))\n",
        "            from jobqueue.outputs import publish\n            publish(store.share, record)\n"
        "            won = insist(store, what, lambda: store.tokens.try_commit(token, self._worker, place.slot, "
        "place.offset))\n",
        "a superseded attempt writes over the winner's files",
        ("tests/races/test_superseded_outputs.py",),
    ),
    Sabotage(
        "superseded-clears-at-once", "jobqueue/worker/publishing.py",
        "    if not isinstance(seen.token, WonToken | ClosedToken):\n        return False\n",
        "    if not isinstance(seen.token, WonToken | ClosedToken):\n        return True\n",
        "an attempt that may still have won loses its files",
        ("tests/races/test_superseded_outputs.py", "tests/unit/test_publishing.py"),
    ),
    Sabotage(
        "superseded-clears-the-winners", "jobqueue/worker/publishing.py",
        "    return (seen.token.attempt, seen.worker) != (attempt.token.attempt, worker)\n",
        "    return True\n",
        "a winner that wakes up late removes its own unpublished files",
        ("tests/races/test_superseded_outputs.py", "tests/unit/test_publishing.py"),
    ),
    Sabotage(
        "outputs-not-synced", "jobqueue/outputs.py",
        "            stamp = self._share.stamp(temporary, name, sync=True)\n",
        "            stamp = self._share.stamp(temporary, name)\n",
        "a power cut leaves a result whose files are empty",
        ("tests/unit/test_outputs.py",),
    ),
    Sabotage(
        "park-without-a-fresh-listing", "jobqueue/worker/chooser.py",
        "        names = self._store.share.names_afresh(job.ready)\n        return not any",
        "        names = self._ready or ()\n        return not any",
        "a job is parked with what a server hides of it",
        ("tests/unit/test_slots_in_doubt.py",),
    ),
    Sabotage(
        "no-retest-before-parking", "jobqueue/worker/chooser.py",
        "        self._store.tokens.retest(job)\n        names",
        "        names",
        "a leftover in a latch hides from two settlers that each was the last",
        ("tests/races/test_settling.py", "tests/unit/test_tokens.py"),
    ),
    Sabotage(
        "any-attempts-record", "jobqueue/journal.py",
        'event.get("node") == node and event.get("attempt") == attempt and',
        'event.get("node") == node and',
        "the record of a superseded attempt counts",
        ("tests/unit/test_journal.py",),
    ),
    # --- deaths ------------------------------------------------------------------------------------------------------
    Sabotage(
        "give-back-without-charge", "jobqueue/worker/aftermath.py",
        "        charge = ending.action in (DIED, TIMEOUT)\n",
        "        charge = ending.action == TIMEOUT\n",
        "a poison job kills workers for ever",
        ("tests/unit/test_charges.py",),
    ),
    Sabotage(
        "charge-on-drain", "jobqueue/worker/aftermath.py",
        "        charge = ending.action in (DIED, TIMEOUT)\n",
        '        charge = ending.action in (DIED, TIMEOUT, "stop")\n',
        "a worker that is told to end costs its jobs an attempt",
        ("tests/unit/test_aftermath.py",),
    ),
    Sabotage(
        "sweep-without-rmdir", "jobqueue/worker/sweep.py",
        "        if store.share.remove_dir(files.running) is not Removal.NOT_EMPTY:\n",
        "        if not store.tokens.running_of(worker) and not store.tokens.won_of(worker):\n",
        "what lands in a swept worker's folder is never found",
        ("tests/races/test_sweeping.py", _DEATHS, "-k", "swept or (bring_all and Sweep)"),
    ),
    Sabotage(
        "sweep-does-not-settle", "jobqueue/worker/sweep.py",
        "            settle_from_record(store, worker, won)\n",
        "            pass\n",
        "what a dead worker has committed waits for ever",
        (_DEATHS, "-k", "bring_all and Sweep"),
    ),
    Sabotage(
        "swept-inbox-thrown-away", "jobqueue/worker/sweep.py",
        "    _obey_for_it(store, files, me)\n",
        "",
        "a deleted job that was left to a dead worker stays",
        (_DEATHS, "-k", "bring_all and Sweep"),
    ),
    Sabotage(
        "no-backstop", "jobqueue/worker/caretaker.py",
        "        if self._beats % _RETEST_EVERY == 0 and self._watch.is_sweeper:\n",
        "        if False:\n",
        "who dies between giving back and waking leaves a job that nobody looks at",
        (_DEATHS, "-k", "bring_all and GiveBack"),
    ),
    Sabotage(
        "no-reset-after-a-gap", "jobqueue/liveness.py",
        "        if now - self._beaten_at > _GAP_BEATS * self._pace.beat_s:\n",
        "        if False:\n",
        "after an outage everybody takes everybody for dead",
        ("tests/unit/test_liveness.py",),
    ),
    Sabotage(
        "deaths-by-the-clock", "jobqueue/liveness.py",
        "        if pulse.silence >= _DEAD_BEATS * self.patience and silent_s >= limit_s:\n",
        "        if silent_s >= limit_s:\n",
        "a worker is dead after two minutes however few beats we have made",
        ("tests/unit/test_liveness.py",),
    ),
    Sabotage(
        "a-free-lock-is-proof", "jobqueue/liveness.py",
        "        if pulse.was_locked and pulse.silence >= ",
        "        if pulse.silence >= ",
        "on a share without locks everybody is dead after four beats",
        ("tests/unit/test_liveness.py",),
    ),
    Sabotage(
        "no-more-patience", "jobqueue/liveness.py",
        "        patience: int = 2 ** min(self._false_deaths, _MAX_DOUBLED)\n",
        "        patience: int = 1\n",
        "a share on which workers only seem dead never learns",
        ("tests/unit/test_liveness.py",),
    ),
    Sabotage(
        "any-process-of-that-number", "jobqueue/liveness.py",
        'is_process_gone(pid, info.get("started_ticks"))',
        "is_process_gone(pid, None)",
        "a dead worker lives on in another process with its number",
        ("tests/unit/test_liveness.py",),
    ),
    Sabotage(
        "a-kept-file-answers", "jobqueue/share/looking.py",
        "            flags |= os.O_NONBLOCK if self._turns[path] else 0\n",
        "            flags |= 0\n",
        "on SMB who looks twice within a second is told what he was told before",
        ("tests/unit/test_kinds_of_shares.py",),
    ),
    # --- what is held against a job ----------------------------------------------------------------------------------
    Sabotage(
        "a-false-death-is-final", "jobqueue/worker/aftermath.py",
        "                self._revive(job, closed)\n",
        "                pass\n",
        "a job fails for good of a death that was none",
        ("tests/unit/test_charges.py",),
    ),
    Sabotage(
        "errors-are-deaths", "jobqueue/worker/charges.py",
        "        deaths=sum(attempt in died and attempt not in alive for attempt in latest) + unknown,\n",
        "        deaths=charged,\n",
        "errors of a job use up the deaths that it may have",
        ("tests/unit/test_charges.py",),
    ),
    Sabotage(
        "what-failed-here-is-taken-again", "jobqueue/worker/others.py",
        "        return now < self._until[key] and self._look(now)\n",
        "        return False\n",
        "a host without a licence uses up all attempts of all jobs",
        ("tests/unit/test_others.py",),
    ),
    Sabotage(
        "one-job-in-trouble-stops-all", "jobqueue/worker/chooser.py",
        "                failed = error\n",
        "                raise\n",
        "a job that only its submitter may read keeps all others from being run",
        ("tests/unit/test_others.py",),
    ),
    # --- many workers ------------------------------------------------------------------------------------------------
    Sabotage(
        "beats-are-stretched-at-once", "jobqueue/pace.py",
        "            self._doubled += 1\n",
        "            self._doubled = wanted\n",
        "in a farm that grows a worker is silent to those who have not noticed yet",
        ("tests/unit/test_pace.py",),
    ),
    Sabotage(
        "beats-are-not-stretched", "jobqueue/worker/supervisor.py",
        "        self._beat_at = now + self._place.pace.beat_s\n",
        "        self._beat_at = now + self._store.config.beat_s\n",
        "a large farm asks the filer more than it is allowed to",
        ("tests/simulation/test_farms.py",),
    ),
    Sabotage(
        "looking-at-others-has-no-end", "jobqueue/liveness.py",
        "_LOOKING = 0.25\n",
        "_LOOKING = 100.0\n",
        "on a slow server each worker takes itself for the sweeper, and looks at all others",
        ("tests/unit/test_liveness.py",),
    ),
    # --- trouble -----------------------------------------------------------------------------------------------------
    Sabotage(
        "a-full-disk-fails-a-job", "jobqueue/attempt.py",
        "            return insist(self._store, what, lambda: declare(self.outputs), refusals=_REFUSALS)\n",
        "            return declare(self.outputs)\n",
        "a job that declares an output on a full disk has failed",
        ("tests/unit/test_declaring_in_trouble.py",),
    ),
    Sabotage(
        "settle-without-birth", "jobqueue/worker/settling.py",
        "    store.pieces.bear(won, worker)\n",
        "",
        "what a committed chunk has left is run by nobody",
        ("tests/unit/test_pieces.py", "tests/unit/test_array_ends.py"),
    ),
    Sabotage(
        "salvage-without-birth", "jobqueue/worker/salvage.py",
        "    store.pieces.bear(token, owner)\n",
        "",
        "what a dead slot has split off is run by nobody",
        ("tests/unit/test_pieces.py",),
    ),
    Sabotage(
        "no-duty", "jobqueue/pieces.py",
        "            self._take_duty(mine, Duty(won.job, won.node, won.slot))\n",
        "            pass\n",
        "nobody sees that an array has finished whose last slot died",
        ("tests/unit/test_pieces.py", "tests/unit/test_array_ends.py"),
    ),
    Sabotage(
        "no-wake-after-a-birth", "jobqueue/pieces.py",
        "        entry = self._index.wake(owing.job, known)\n",
        "        entry = known\n",
        "the rest of an array is ready in a job that was parked meanwhile",
        ("tests/unit/test_pieces.py",),
    ),
    Sabotage(
        "claim-without-a-spare", "jobqueue/pieces.py",
        "        self._make_spare(claimed, worker)\n",
        "",
        "what was split off passes for born, and is lost",
        ("tests/unit/test_pieces.py",),
    ),
    Sabotage(
        "an-old-listing-of-spares", "jobqueue/pieces.py",
        "        if not is_born and self._is_unborn(spare, name, ready):\n",
        "        if False:\n",
        "after an error the rest of an array passes for born, and is lost",
        ("tests/unit/test_pieces.py",),
    ),
    # --- what a slow chunk gives back, and what is committed before the rest -----------------------------------------
    Sabotage(
        "what-runs-is-given-back", "jobqueue/worker/chunks.py",
        "        keep = max(self._begun, self._at + 1)\n",
        "        keep = self._at\n",
        "an item that runs is ready for others, too",
        ("tests/unit/test_chunks.py",),
    ),
    Sabotage(
        "what-is-given-back-is-not-born", "jobqueue/worker/chunks.py",
        "        self._token, self._is_unborn = shorter, True\n        self._bear(store)\n        return True\n",
        "        self._token, self._is_unborn = shorter, True\n        return True\n",
        "what a slow chunk has given back waits for it all the same",
        ("tests/unit/test_chunks.py",),
    ),
    Sabotage(
        "what-is-given-back-is-not-owed", "jobqueue/pieces.py",
        "move=running.move + self._step(is_for_another), span=_cut(running.span, end, begun=True)\n",
        "move=running.move + self._step(is_for_another), span=Span(running.span.start, end)\n",
        "what a slow chunk has given back is run by nobody",
        ("tests/unit/test_pieces.py", "tests/unit/test_chunks.py"),
    ),
    Sabotage(
        "committed-for-another-without-a-number-of-its-own", "jobqueue/worker/salvage.py",
        "done.span.end, is_for_another=True)",
        "done.span.end)",
        "whoever clears up a second time makes the spare of a rest once more that was born",
        ("tests/unit/test_pieces.py",),
    ),
    Sabotage(
        "given-back-without-a-spare", "jobqueue/pieces.py",
        "        self._make_spare(shorter, worker)\n",
        "",
        "what a slow chunk has given back passes for born, and is lost",
        ("tests/unit/test_pieces.py", "tests/unit/test_chunks.py"),
    ),
    Sabotage(
        "the-rest-of-a-commit-is-not-owed", "jobqueue/pieces.py",
        "        span = _cut(running.span, end, begun=True)\n        won = WonToken(\n",
        "        span = Span(running.span.start, end)\n        won = WonToken(\n",
        "what a chunk has left after a commit is run by nobody",
        ("tests/unit/test_pieces.py", "tests/unit/test_chunks.py"),
    ),
    Sabotage(
        "notes-are-not-believed", "jobqueue/worker/salvage.py",
        "    for done in notes_of(store.share, job, owner, token):\n",
        "    for done in ():\n",
        "after a death finished items run again",
        ("tests/unit/test_chunks.py", "tests/unit/test_pieces.py"),
    ),
    Sabotage(
        "a-cancel-forgets-what-is-done", "jobqueue/worker/aftermath.py",
        "        left = token if token.span is None else salvage(",
        '        left = token if token.span is None or ending.action == "cancel" else salvage(',
        "items of a chunk that have finished are cancelled",
        ("tests/unit/test_item_outputs.py",),
    ),
    Sabotage(
        "a-hold-is-nothing-to-a-chunk", "jobqueue/worker/inprocess.py",
        "self._is_asked or (is_held and attempt is self._runner.current)\n",
        "self._is_asked\n",
        "items of a job that is held are begun",
        ("tests/unit/test_whole_chunks.py",),
    ),
)  # fmt: skip
