"""The workers' directories: coming, going, beating, and being told something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from jobqueue.identity import describe_process, new_name
from jobqueue.layout import WorkerLayout
from jobqueue.names import Use, is_worker_name
from jobqueue.params import dumps
from jobqueue.share import Lock, Removal
from jobqueue.store import Store


class Registration:
    """This process's place among the workers of a queue.

    Args:
        store: the queue.
        name: what people call the worker.
        slots: how many jobs it runs at once.

    Raises:
        OSError: it cannot be made.

    Files:
        Makes workers/WORKER/ with all that belongs in it.
    """

    def __init__(self, store: Store, name: str, slots: int) -> None:
        share = store.share
        self.name = new_name(name, share.chance)
        self._store = store
        self._lock: Lock | None = None
        # Requests that were handed on and could not be removed.
        self._read: set[str] = set()
        # The name of the file that says how often this worker calls.
        self._used: str | None = None
        self.files = store.layout.worker(self.name)
        info = {"name": name, "slots": slots, "since": share.clock.now(), **describe_process()}
        share.make_dir(self.files.dir)
        try:
            self._come(dumps(info).encode("ascii"))
        except OSError:
            # A share that is away takes nothing back either.
            with suppress(OSError):
                self.leave()
            raise

    def _come(self, info: bytes) -> None:
        share = self._store.share
        for directory in (self.files.inbox, self.files.running, self.files.won, self.files.spare):
            share.make_dir(directory)
        share.create(self.files.beat)
        try:
            self._lock = share.lock(self.files.lock)
        except OSError as error:
            # A lock only shortens the time until a death is noticed; a share without locks works, too.
            self._store.log.warning("Share %s takes no locks (%s); going on without.", self._store.layout.dir, error)
        # Order matters: a worker without info.json is one that is only coming, and is left alone.
        share.write_whole(self.files.info, info)

    def beat(self) -> None:
        """Gives a sign of life.

        Raises:
            OSError: the share did not take it; FileNotFoundError if our directory is gone.
        """
        self._store.share.touch(self.files.beat)

    def tell_use(self, use: Use) -> None:
        """Lets people see how often this worker calls on the share, for one call.

        Raises:
            OSError: the share is in trouble, or our directory is gone.
        """
        share, directory = self._store.share, self.files.dir
        if self._used is None:
            share.create(f"{directory}/{use.name}")
        elif (error := share.swap(f"{directory}/{self._used}", f"{directory}/{use.name}")) is not None:
            # NFS: it may have been executed all the same.
            found = [name for name in share.names(directory) if Use.parse(name)]
            self._used = found[0] if found else None
            raise error
        self._used = use.name

    def requests(self) -> list[dict[str, Any]]:
        """Takes what others have put into the inbox.

        Raises:
            OSError: the share is in trouble, and nothing was taken.
        """
        share = self._store.share
        found: list[dict[str, Any]] = []
        for name in sorted(share.names_or_none(self.files.inbox) or ()):
            if not name.endswith(".json") or name.startswith("."):
                continue
            path = f"{self.files.inbox}/{name}"
            try:
                if name not in self._read and (request := self._request(path)) is not None:
                    found.append(request)
                # Order matters: it is handed on now, whatever removing it is answered, and never again.
                self._read.add(name)
                share.try_unlink(path)
                self._read.discard(name)
            except IsADirectoryError:
                # A name that is not known.
                continue
            except OSError:
                if not found:
                    raise
                # What was taken already must reach its receiver; the rest stays for the next beat.
                return found
        return found

    def _request(self, path: str) -> dict[str, Any] | None:
        try:
            request = json.loads(self._store.share.read(path))
            if not isinstance(request, dict):
                raise ValueError("it is no JSON object")
        except ValueError as error:
            self._store.log.warning("Request %s does not parse (%s); dropping it.", path, error)
            return None
        return request

    def release_lock(self) -> None:
        """Closes this process's hold on the worker's lock; may be repeated."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def leave(self) -> bool:
        """Takes the worker's directory away; ``False`` if something that it owes is left, for a sweeper."""
        share, files = self._store.share, self.files
        self.release_lock()
        # RACE: rmdir is the fence. A claim of ours that is executed late finds no running/ to land in.
        for directory in (files.running, files.won):
            if share.remove_dir(directory) is Removal.NOT_EMPTY:
                self._store.log.warning("Worker %s owes what lies in %s; leaving it to a sweep.", self.name, directory)
                return False
        return share.remove_tree(files.dir)


def send_request(store: Store, worker: str, request: dict[str, Any]) -> bool:
    """Puts a request into a worker's inbox; ``False`` if the worker is gone.

    It is read at the worker's next beat.
    """
    inbox = store.layout.worker(worker).inbox
    try:
        store.share.write_whole(
            f"{inbox}/{store.share.chance.getrandbits(64):016x}.json", dumps(request).encode("ascii"), sync=False
        )
    except FileNotFoundError:
        return False
    return True


def worker_names(store: Store) -> list[str]:
    """The names of all workers that have a directory, sorted."""
    return sorted(name for name in store.share.names(store.layout.workers) if is_worker_name(name))


def read_info(store: Store, worker: str) -> dict[str, Any] | None:
    """What a worker said of itself when it came; ``None`` if it is just coming or has gone."""
    try:
        info = json.loads(store.share.read(store.layout.worker(worker).info))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return info if isinstance(info, dict) else None


def use_of(store: Store, worker: str) -> Use | None:
    """How often a worker has called on the share of late; ``None`` where it has not said so yet."""
    names = store.share.names_or_none(store.layout.worker(worker).dir) or ()
    return next((use for name in names if (use := Use.parse(name))), None)


def avoided_for(store: Store, worker: str) -> list[str]:
    """The jobs for whose sake a worker is avoided; none if it is not."""
    try:
        note = json.loads(store.share.read(store.layout.worker(worker).avoided))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return []
    jobs = note.get("jobs") if isinstance(note, dict) else None
    return [str(job) for job in jobs] if isinstance(jobs, list) else []


def owed(store: Store) -> Iterator[tuple[WorkerLayout, bool, Any]]:
    """Every token in flight: whose it is, whether it is won, and the token."""
    for name in worker_names(store):
        files = store.layout.worker(name)
        for token in store.tokens.running_of(name):
            yield files, False, token
        # Order matters: a token moves from running/ to won/, so looking in this order cannot miss it.
        for won in store.tokens.won_of(name):
            yield files, True, won
