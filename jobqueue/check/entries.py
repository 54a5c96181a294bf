"""Findings about the queue's own folders and the entries of its index."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from jobqueue import control
from jobqueue.check.archives import find_beside_archive
from jobqueue.check.finding import Cure, Finding, aside
from jobqueue.check.look import JobLook, Look
from jobqueue.errors import how_to_mend
from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.names import INDEX_FOLDERS, Entry, base_name
from jobqueue.options import effective_options
from jobqueue.store import Store

# An unpublished directory that is younger may be that of a submission that is still under way.
DAY_S = 86400.0
# So far above all that is known, that what a delayed rename or another backup brings back cannot be above it.
LEAP = 1000


def find_in_queue(look: Look) -> Iterator[Finding]:
    """Directories that are missing, or are none, and numbers that might be used again."""
    layout = look.store.layout
    here = look.names(layout.dir)
    folders = [*map(layout.index_folder, INDEX_FOLDERS), layout.last]
    # Order matters: what lies in the place of another one is moved to trash/.
    for path in (layout.trash, layout.index, layout.tmp, layout.workers, *folders):
        if base_name(path) not in (look.folders if path in folders else here):
            says = "the directory is missing; a backup may have left it out since it was empty"
            yield Finding("missing-folder", None, None, path, says, cure=Cure("it is made", partial(_make_dir, path)))
        elif look.is_file_instead(path):
            yield file_instead(None, path)
    if base_name(layout.procs) in here and look.is_file_instead(layout.procs):
        # Where it is missing there are no procedures in it, and whoever makes it is trusted with the workers' rights.
        yield file_instead(None, layout.procs, is_made=False)
    if base_name(layout.archives) in here and look.is_file_instead(layout.archives):
        # It is made with the first archive.
        yield file_instead(None, layout.archives, is_made=False)
    yield from _find_number(look)


def _make_dir(path: str, store: Store) -> None:
    store.share.try_make_dir(path)


def file_instead(job: JobLook | None, path: str, *, is_made: bool = True) -> Finding:
    """What is said of a file that lies where a directory belongs.

    Args:
        job: the top-level job to which the directory belongs, or ``None``.
        path: of the file.
        is_made: whether the directory is made then.
    """
    number, name = (job.number, f"job{job.number}") if job else (None, None)
    words = "the file goes to trash/" if base_name(path) != "trash" else "the file is renamed to .gone-trash-..."
    cure = Cure(f"{words}, and the directory is made" if is_made else words, partial(_replace, number, path, is_made))
    return Finding("not-a-directory", number, name, path, "a file lies where a directory belongs", cure=cure)


def _replace(number: int | None, path: str, is_made: bool, store: Store) -> None:
    layout = store.layout
    if store.share.is_file_instead(path):
        name = f"{base_name(path).lstrip('.')}.{store.share.chance.getrandbits(32):08x}"
        target = f"{layout.trash}/{name}" if number is None else f"{layout.trash}/{number}.{name}"
        if path == layout.trash:
            target = f"{layout.dir}/.gone-{name.replace('.', '-')}"
        store.share.move_file_aside(path, target)
    if not is_made:
        return
    if number is None:
        _make_dir(path, store)
    else:
        _make_part(number, path, store)


def _find_number(look: Look) -> Iterator[Finding]:
    """A number that something in flight, in trash/ or archived still bears, and that the next submission would take."""
    last = look.store.layout.last
    tombstones = [int(name) for name in look.names(last) if name.isascii() and name.isdigit()]
    taken = max([0, *tombstones, *look.directories, *look.entries])
    heads = (name.partition(".")[0] for name in look.trash)
    known = max(
        [0, *look.in_flight(), *look.deleting, *look.archived, *(int(head) for head in heads if head.isdecimal())]
    )
    if known > taken:
        says = f"job{known} was deleted or archived, and nothing keeps its number from being used again"
        cure = Cure(f"the tombstone {known} is made", partial(_bury, known))
        yield Finding("number", None, None, last, says, (str(known),), cure)


def _bury(number: int, store: Store) -> None:
    store.index.bury(number)


# --- one job ---------------------------------------------------------------------------------------------------------


def find_in_entries(job: JobLook) -> Iterator[Finding]:
    """What is wrong between a top-level job's entry and its directory."""
    if job.number in job.look.archived:
        yield from find_beside_archive(job)
    elif job.entry is None:
        yield from _find_without_entry(job)
    if job.entry is None:
        return
    for entry in job.entries[1:]:
        path = f"{job.look.store.layout.index_folder(entry.folder)}/{entry.name}"
        says = f"the job has two entries; the one in {job.entry.folder}/ has been moved more often"
        yield _finding(job, "two-entries", path, says, Cure("this one goes to trash/", partial(_set_aside, entry)))
    if not job.is_there and job.number not in job.look.archived:
        says = "the job has an entry and no directory, so there is nothing left that could be run"
        cure = Cure("the entry is deleted", partial(_delete, job.number))
        yield _finding(job, "no-directory", job.files.dir, says, cure)


def _finding(job: JobLook, kind: str, path: str, says: str, cure: Cure | None) -> Finding:
    return Finding(kind, job.number, f"job{job.number}", path, says, cure=cure)


def _set_aside(entry: Entry, store: Store) -> None:
    name = aside(entry.number, entry.folder, entry.name)
    store.share.try_move(store.layout.index_folder(entry.folder), entry.name, store.layout.trash, name)


def _delete(number: int, store: Store) -> None:
    control.delete(store, number)


def _find_without_entry(job: JobLook) -> Iterator[Finding]:
    if job.number in job.look.deleting:
        yield from _find_deleting(job)
    elif job.is_there:
        yield from _find_unpublished(job)
    else:
        for place in job.places:
            says = "the token is of a job that was deleted"
            mend = partial(_bin, place.directory, place.name, aside(job.number, place.where, place.name))
            yield _finding(job, "token-of-nobody", place.path, says, Cure("it goes to trash/", mend))


def _bin(directory: str, name: str, target: str, store: Store) -> None:
    store.share.try_move(directory, name, store.layout.trash, target)


def _find_deleting(job: JobLook) -> Iterator[Finding]:
    """CRASH: a deleter has died; or it is at work, and then doing the same beside it harms nothing."""
    in_flight = [place for place in job.places if place.worker]
    if not job.is_there:
        return
    # What is in flight is its worker's to drop, or the sweep's; asking again at each repair would change the queue.
    cure = None if in_flight else Cure("the rest of it is removed", partial(_delete, job.number))
    says = "the job is being deleted" + ("; something of it is still in flight" if in_flight else "")
    yield Finding("deleting", job.number, f"job{job.number}", job.files.dir, says, cure=cure, is_note=True)


def _find_unpublished(job: JobLook) -> Iterator[Finding]:
    has_begun = any(place.token.move for place in job.places) or bool(job.look.names(job.files.journals))
    is_fenced = job.files.ready in job.missing and job.files.blocked in job.missing
    is_fenced = is_fenced and job.files.tokens not in job.files_instead
    if has_begun and not is_fenced and not job.broken:
        folder = "done" if job.states[-1] in ("finished", "cancelled") else "held"
        says = "the job has been worked at and has no entry, so that nobody sees it"
        words = f"it gets one in {folder}/" + ("; `jobqueue release` lets it go on" if folder == "held" else "")
        yield _finding(job, "no-entry", job.files.dir, says, Cure(words, partial(_enter, job.number, folder)))
        job.assume_entry(_new_entry(job.look.store, job.number, folder, job.nodes[-1]))
    elif job.look.age_s(job.files.dir) > DAY_S:
        says = "the job was never published, or deleted in part, and for a day nothing has changed in it"
        cure = Cure("it is removed", partial(_remove_unpublished, job.number))
        yield _finding(job, "unpublished", job.files.dir, says, cure)


def _new_entry(store: Store, number: int, folder: str, root: Node) -> Entry:
    levels = (root.options, store.config.proc_options(root.type), store.config.options)
    return Entry(folder, effective_options(*levels)["priority"], number, LEAP)


def _enter(number: int, folder: str, store: Store) -> None:
    """Gives a job an entry again. CRASH: a draft is left in tmp/, which nobody reads."""
    if store.index.find(number) is not None:
        return
    hierarchy = Hierarchy(store.share, store.layout.job(number).hierarchy)
    entry = _new_entry(store, number, folder, hierarchy.node(hierarchy.root))
    draft = f"{entry.name}.{store.share.chance.getrandbits(32):08x}"
    store.share.create(f"{store.layout.tmp}/{draft}")
    store.share.try_move(store.layout.tmp, draft, store.layout.index_folder(folder), entry.name)
    store.share.sync_dir(store.layout.index_folder(folder))


def _remove_unpublished(number: int, store: Store) -> None:
    # RACE: its submitter may be about to publish it after all; without its draft that does nothing any more.
    if store.index.withdraw(number):
        control.delete(store, number)


# --- its directory ---------------------------------------------------------------------------------------------------


def find_in_directory(job: JobLook) -> Iterator[Finding]:
    """Parts of a job's directory that are missing, or are no directories, or cannot be read."""
    for path in job.files_instead:
        yield file_instead(job, path)
    for path in job.missing:
        says = "the directory is missing; a backup may have left it out since it was empty"
        yield _finding(job, "missing-folder", path, says, Cure("it is made", partial(_make_part, job.number, path)))
    if job.broken:
        yield _broken(job)


def _make_part(number: int, path: str, store: Store) -> None:
    # RACE: a deleter removes these folders after it has moved the entry.
    if store.index.find(number) is not None:
        store.share.try_make_dir(path)


def _broken(job: JobLook) -> Finding:
    says = f"the job is broken: {job.broken}; {how_to_mend(job.number)}; what else is wrong with it shows only then"
    is_open = job.entry is not None and job.entry.folder in ("runnable", "waiting")
    cure = Cure("it is held, so that the others go on", partial(_hold, job.number)) if is_open else None
    return _finding(job, "broken", job.files.hierarchy, says, cure)


def _hold(number: int, store: Store) -> None:
    store.index.put(number, "held", among=("runnable", "waiting", "held"))
