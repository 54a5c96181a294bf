"""The entries of top-level jobs: one empty file each, moved by compare-and-swap.

Every move of an entry raises K in its name, so that a rename succeeds only for someone who knows the latest name. What
a mover may conclude from a lost rename differs from move to move and is said at each.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from jobqueue.errors import JobNotFoundError, JobStateError, LostRaceError
from jobqueue.layout import QueueLayout
from jobqueue.names import INDEX_FOLDERS, Entry, parse_job_number
from jobqueue.share import Share

# Each lost round means that somebody else moved the entry, so this is far beyond any number of movers.
_ROUNDS = 1000
_FAULTS = 4


class Index:
    """The index of one queue.

    Args:
        share: to call with.
        layout: the queue's names.
    """

    def __init__(self, share: Share, layout: QueueLayout) -> None:
        self._share = share
        self._layout = layout
        self._last_taken = 0

    # --- looking -----------------------------------------------------------------------------------------------

    def folder(self, folder: str) -> list[Entry]:
        """The entries of one folder, in processing order."""
        names = self._share.names(self._layout.index_folder(folder))
        return [entry for name in sorted(names) if (entry := Entry.parse(folder, name))]

    def all(self) -> list[Entry]:
        """Every entry once, in processing order."""
        found: dict[int, Entry] = {}
        # RACE: an entry moves while we look. Whatever leaves runnable or waiting for one that was listed already is
        # seen in the second round; of two sightings the one with more moves is the later one.
        for folder in (*INDEX_FOLDERS, "runnable", "waiting"):
            for entry in self.folder(folder):
                if entry.number not in found or entry.moves >= found[entry.number].moves:
                    found[entry.number] = entry
        return sorted(found.values(), key=lambda entry: (-entry.priority, entry.number))

    def find(
        self,
        number: int,
        folders: Iterable[str] = (*INDEX_FOLDERS, "runnable", "waiting"),
        *,
        lost: Entry | None = None,
    ) -> Entry | None:
        """The entry of one top-level job in any of ``folders``, searched in their order.

        Args:
            number: of the top-level job.
            folders: where to look.
            lost: the entry as it was seen before, of which a rename has found that it is not there.
        """
        folders = tuple(folders)
        found = self._search(number, folders, self._share.names)
        if (found is None or found == lost) and self._share.is_remote(self._layout.dir):
            # NFS: an entry can be hidden from all later listings of this host; that it is in none has to be sure. One
            # that has gone can stay in all of them, too, and be found and lost for ever.
            found = self._search(number, folders, self._share.names_afresh)
        return found

    def _search(self, number: int, folders: Iterable[str], look: Callable[[str], list[str]]) -> Entry | None:
        part = f"-{number:08d}."
        for folder in folders:
            for name in look(self._layout.index_folder(folder)):
                if part in name and (entry := Entry.parse(folder, name)) and entry.number == number:
                    return entry
        return None

    # --- numbers -----------------------------------------------------------------------------------------------

    def take_number(self) -> int:
        """Takes the next free number by making its job directory.

        Returns:
            1 + the highest number that was ever used.
        """
        number = self._last_taken
        # The number after our own last one is usually free; the directory's name decides, so no listing is needed.
        if number == 0:
            number = self._highest()
        while True:
            number += 1
            path = self._layout.job(number).dir
            if not self._share.try_make_dir(path):
                number = max(number, self._highest())
                continue
            # RACE: between our looking and our making it, a job of this number may have come and been deleted; its
            # deleter left a tombstone before it removed the directory, so we see it now.
            if self._highest_deleted() >= number:
                self._share.remove_dir(path)
                number = self._highest()
                continue
            self._last_taken = number
            return number

    def _highest(self) -> int:
        entries = max((entry.number for folder in INDEX_FOLDERS for entry in self.folder(folder)), default=0)
        numbers = (parse_job_number(name) for name in self._share.names(self._layout.dir))
        return max(entries, max((number for number in numbers if number), default=0), self._highest_deleted())

    def _highest_deleted(self) -> int:
        names = self._share.names(self._layout.last)
        return max((int(name) for name in names if name.isascii() and name.isdigit()), default=0)

    def bury(self, number: int) -> None:
        """Leaves the tombstone of a job that is being deleted, if there is none of a higher number."""
        if self._highest_deleted() >= number:
            return
        self._share.create(f"{self._layout.last}/{number}")
        self._share.sync_dir(self._layout.last)
        for name in self._share.names(self._layout.last):
            if name.isascii() and name.isdigit() and int(name) < number:
                self._share.try_unlink(f"{self._layout.last}/{name}")

    # --- moving ------------------------------------------------------------------------------------------------

    def publish(self, number: int, priority: int) -> Entry:
        """Makes a top-level job visible to the workers, with one rename.

        CRASH: before the rename the job is an unpublished directory; after it, it is published, acknowledged or not.

        Raises:
            OSError: it was not published.
        """
        entry = Entry("runnable", priority, number, 0)
        draft = f"{entry.name}.{self._share.chance.getrandbits(32):08x}"
        self._share.create(f"{self._layout.tmp}/{draft}")
        runnable = self._layout.index_folder("runnable")
        if not self._share.try_move(self._layout.tmp, draft, runnable, entry.name):
            # It may have been published and have moved on already.
            found = self.find(number)
            if found is None:
                raise OSError(errno.EIO, "the job was not published; submit it again", f"{runnable}/{entry.name}")
            entry = found
        # Wherever it is by now, it came into runnable/ or left it; both last from here.
        self.make_last()
        return entry

    def make_last(self) -> None:
        """Makes what was published outlast a power cut."""
        self._share.sync_dir(self._layout.index_folder("runnable"))

    def withdraw(self, number: int) -> bool:
        """Makes sure that an earlier `publish` comes to nothing; ``False`` if it did what it should.

        Order matters: without its draft, a rename that is still on its way does nothing any more.
        """
        for name in self._share.names(self._layout.tmp):
            if f"-{number:08d}." in name:
                self._share.try_unlink(f"{self._layout.tmp}/{name}")
        is_gone = not self._share.has(self._layout.dir, f"job{number}")
        return not is_gone and self.find(number) is None

    def try_park(self, entry: Entry, nothing_ready: Callable[[], bool]) -> bool:
        """Moves an entry from runnable to waiting if nothing of its job is ready.

        Args:
            entry: as it was listed *before* ``nothing_ready`` looks.
            nothing_ready: lists ready/ afresh.

        RACE: a token that comes into ready/ after the look is followed by a wake, which raises K; then this rename
        fails.
        """
        return nothing_ready() and self._swap(entry, entry.moved("waiting")) is None

    def wake(self, number: int, known: Entry | None = None) -> Entry | None:
        """Says that a token has come into ready/: moves the entry to runnable, also when it is there already.

        Args:
            number: of the top-level job.
            known: its entry, as the caller saw it last, if it did.

        Returns:
            The entry as it is now, or ``None`` if it is neither runnable nor waiting.
        """
        faults = 0
        entry, fresh = known, False
        for _ in range(_ROUNDS):
            if entry is not None:
                error = self._swap(entry, entry.moved("runnable"))
                if error is None:
                    return entry.moved("runnable")
                faults += error.errno != errno.ENOENT
                if faults >= _FAULTS:
                    raise error
            latest = self.find(number, ("runnable", "waiting", "runnable"), lost=entry)
            if latest is None:
                return None
            # RACE: we saw the entry after our token had come into ready/, and since then somebody has moved it and left
            # it runnable. Whoever parks it from here on noted K after that move, and will see our token.
            if fresh and entry and latest.folder == "runnable" and latest.moves > entry.moves:
                return latest
            entry, fresh = latest, True
        raise self._lost(number)

    def put(self, number: int, folder: str, *, among: Iterable[str] = INDEX_FOLDERS) -> Entry:
        """Moves an entry to ``folder`` (held, runnable, done) if it is in one of ``among``; it may be there already.

        Raises:
            JobNotFoundError: there is no such job.
            JobStateError: it is in none of these folders.
        """
        return self._change(number, lambda entry: entry.moved(folder), lambda entry: entry.folder == folder, among)

    def set_priority(self, number: int, priority: int) -> Entry:
        """Gives a top-level job another priority (-499..500).

        Raises:
            JobNotFoundError: there is no such job.
        """
        return self._change(
            number,
            lambda entry: entry.moved(entry.folder, priority),
            lambda entry: entry.priority == priority,
            INDEX_FOLDERS,
        )

    def try_confirm(self, entry: Entry) -> bool:
        """Whether nobody has moved an entry since it was seen; it is moved to where it is, so that the share decides.

        RACE: two may do so at once, and only one rename can succeed. Whichever it was: the new name shows that the
        entry was still in the index when the caller had done whatever he has done since he saw it.
        """
        moved = entry.moved(entry.folder)
        if self._swap(entry, moved) is None:
            return True
        # The rename may have been executed all the same. NFS: this host may remember what has gone long since.
        return moved.name in self._share.names_afresh(self._layout.index_folder(entry.folder))

    def discard(self, number: int) -> bool:
        """Moves an entry to trash/, whatever it is; from here no worker finds the job, and that lasts.

        Order matters: an entry that a power cut brings back says that the directory counts, of which parts are gone.

        Returns:
            Whether there was one.
        """
        is_moved = self._move_to_trash(number)
        # CRASH: also where somebody else has moved it, who may have died before this.
        self._share.sync_dir(self._layout.trash)
        return is_moved

    def _move_to_trash(self, number: int) -> bool:
        faults = 0
        entry: Entry | None = None
        for _ in range(_ROUNDS):
            entry = self.find(number, lost=entry)
            if entry is None:
                return False
            error = self._share.swap(self._path(entry), f"{self._layout.trash}/{entry.name}")
            if error is None:
                return True
            faults += error.errno != errno.ENOENT
            if faults >= _FAULTS:
                raise error
        raise self._lost(number)

    def _change(
        self,
        number: int,
        change: Callable[[Entry], Entry],
        is_done: Callable[[Entry], bool],
        among: Iterable[str],
    ) -> Entry:
        faults = 0
        allowed = tuple(among)
        entry: Entry | None = None
        for _ in range(_ROUNDS):
            entry = self.find(number, lost=entry)
            if entry is None:
                raise JobNotFoundError(f"there is no job{number} in the queue", self._layout.dir)
            if is_done(entry):
                return entry
            if entry.folder not in allowed:
                raise JobStateError(f"job{number} is {entry.folder}, not {' or '.join(allowed)}", self._layout.dir)
            error = self._swap(entry, change(entry))
            if error is None:
                return change(entry)
            faults += error.errno != errno.ENOENT
            if faults >= _FAULTS:
                raise error
        raise self._lost(number)

    def _swap(self, entry: Entry, target: Entry) -> OSError | None:
        return self._share.swap(self._path(entry), self._path(target))

    def _path(self, entry: Entry) -> str:
        return f"{self._layout.index_folder(entry.folder)}/{entry.name}"

    def _lost(self, number: int) -> LostRaceError:
        return LostRaceError(f"the entry of job{number} moved at every try; try again", self._layout.index)
