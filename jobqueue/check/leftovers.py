"""Notes about what crashes leave behind and nobody reads. Nothing is removed that is younger than a day."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from jobqueue.check.entries import DAY_S
from jobqueue.check.finding import Cure, Finding
from jobqueue.check.look import Look
from jobqueue.names import INDEX_FOLDERS, Entry
from jobqueue.registry import worker_names
from jobqueue.store import Store


def find_leftovers(look: Look) -> Iterator[Finding]:
    """Drafts, what lies in trash/, and files that were never renamed."""
    layout = look.store.layout
    for name in look.names(layout.tmp):
        yield from _old(look, f"{layout.tmp}/{name}", "a draft that was never published")
    for name in look.trash:
        entry = Entry.parse("trash", name)
        if entry is None or entry.number not in look.directories:
            yield from _old(look, f"{layout.trash}/{name}", "what was deleted or set aside")
    workers = [layout.worker(name) for name in worker_names(look.store)] if look.names(layout.workers) else []
    directories = [layout.dir, layout.procs, layout.last, layout.archives, *map(layout.index_folder, INDEX_FOLDERS)]
    directories += [path for files in workers for path in (files.dir, files.inbox, files.running, files.won)]
    for directory in directories:
        for name in look.names(directory):
            path = f"{directory}/{name}"
            if name.startswith(".new-"):
                yield from _old(look, path, "a file that was begun and never put in its place")
            elif name.startswith(".nfs"):
                says = "a file that was removed while somebody had it open; it goes when he closes it"
                yield Finding("leftover", None, None, path, says, is_note=True)


def _old(look: Look, path: str, says: str) -> Iterator[Finding]:
    if look.age_s(path) > DAY_S and not look.store.share.is_dir(path):
        cure = Cure("it is removed", partial(_remove, path))
        yield Finding("leftover", None, None, path, f"{says}, a day ago", cure=cure, is_note=True)


def _remove(path: str, store: Store) -> None:
    store.share.try_unlink(path)
