"""One look at a queue, listing by listing. What moves meanwhile may be seen twice, or not at all."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any, NamedTuple

from jobqueue.errors import BrokenJobError
from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.journal import events
from jobqueue.layout import JobLayout
from jobqueue.names import (
    INDEX_FOLDERS,
    TOKEN_FOLDERS,
    ClosedToken,
    Duty,
    Entry,
    RunningToken,
    Token,
    WonToken,
    base_name,
    is_latch_entry,
    job_name,
    parse_archive,
    parse_job_number,
    parse_shard,
)
from jobqueue.registry import worker_names
from jobqueue.state import AnyToken
from jobqueue.store import Store

# A job that is in one of these has begun, or may begin at any moment.
BEGUN = ("ready", "running", "won", "finished")
_MAY_NOT_WRITE = (errno.EACCES, errno.EPERM, errno.EROFS)


class Place(NamedTuple):
    """Where a token lies.

    Attributes:
        folder: one of a job's token folders, or ``running`` or ``won``.
        directory: the path of that folder.
        name: the token's name as it is listed.
        token: what the name says.
        worker: in whose folder it lies, if it is in flight.
    """

    folder: str
    directory: str
    name: str
    token: AnyToken
    worker: str | None = None

    @property
    def path(self) -> str:
        return f"{self.directory}/{self.name}"

    @property
    def where(self) -> str:
        return f"{self.worker}.{self.folder}" if self.worker else self.folder


class Record(NamedTuple):
    """One event of a journal, and where it lies."""

    worker: str
    slot: int
    offset: int
    fields: dict[str, Any]


class Look:
    """One look at a queue.

    Args:
        store: the queue.
        only: look into these top-level jobs alone, and ask the server anew for each listing; ``None``: all of them.
    """

    def __init__(self, store: Store, only: Collection[int] | None = None) -> None:
        self.store = store
        self.is_whole = only is None
        layout = store.layout
        # Order matters: a directory is there before its entry comes, and goes after it has gone to trash/.
        numbers = map(parse_job_number, self.names(layout.dir))
        self.directories = {number for number in numbers if number is not None}
        self.folders = self.names(layout.index)
        self.entries: dict[int, list[Entry]] = {}
        # RACE: an entry moves while we look, so it may be seen twice; as in `Index.all` it is seen at least once.
        for folder in (*INDEX_FOLDERS, "runnable", "waiting"):
            for name in self.names(layout.index_folder(folder)):
                entry = Entry.parse(folder, name)
                if entry and entry not in self.entries.setdefault(entry.number, []):
                    self.entries[entry.number].append(entry)
        # Order matters: a job is archived before its entry goes.
        self.archived = {number for name in self.names(layout.archives) if (number := parse_archive(name)) is not None}
        self.trash = self.names(layout.trash)
        trashed = [entry for name in self.trash if (entry := Entry.parse("trash", name))]
        self.deleting = {entry.number for entry in trashed}
        # What tokens of arrays were split with: the worker, and the name.
        self.spares: set[tuple[str | None, str]] = set()
        # Of which arrays somebody is still to see whether all of them has finished.
        self.duties: set[tuple[int, int]] = set()
        self._flying = self._in_flight()
        self.numbers = sorted({*self.directories, *self.entries} if only is None else only)

    def names(self, directory: str) -> list[str]:
        """The names in a directory; none where it is missing, which is a finding of its own."""
        return self.names_or_none(directory) or []

    def names_or_none(self, directory: str) -> list[str] | None:
        """The names in a directory, or ``None`` if it is missing.

        NFS: a client may hide or show a name for long after the server has changed its mind. At a second look it is
        made to ask again; a tick of the server's clock has passed since the first one.
        """
        if not self.is_whole and self.store.share.is_remote(directory):
            try:
                self.store.share.touch(directory)
            except FileNotFoundError:
                return None
            except OSError as error:
                # Whoever may only read looks at what the client shows him.
                if error.errno not in _MAY_NOT_WRITE:
                    raise
        return self.store.share.names_or_none(directory)

    def is_file_instead(self, path: str) -> bool:
        """Whether a file lies where a directory belongs."""
        return self.store.share.is_file_instead(path)

    def in_flight(self) -> dict[int, list[Place]]:
        """The tokens in workers' folders, by top-level job; at a second look they are listed for each job anew."""
        if not self.is_whole:
            self._flying = self._in_flight()
        return self._flying

    def _in_flight(self) -> dict[int, list[Place]]:
        found: dict[int, list[Place]] = {}
        self.spares, self.duties = set(), set()
        parses: tuple[tuple[str, Callable[[str], RunningToken | WonToken | None]], ...] = (
            ("running", RunningToken.parse),
            ("won", WonToken.parse),
        )
        for worker in worker_names(self.store) if self.names(self.store.layout.workers) else ():
            files = self.store.layout.worker(worker)
            for folder, parse in parses:
                directory = f"{files.dir}/{folder}"
                for name in self.names(directory):
                    if duty := Duty.parse(name):
                        self.duties.add((duty.job, duty.node))
                    elif token := parse(name):
                        found.setdefault(token.job, []).append(Place(folder, directory, name, token, worker))
            # Order matters: a spare is there before something owes what it is for.
            if any(place.token.span for places in found.values() for place in places):
                self.spares.update((worker, name) for name in self.names(files.spare))
        return found

    @cached_property
    def server_now(self) -> float | None:
        """The server's present in seconds since the epoch; ``None`` for one who may not write here.

        Ages are told by the server's clock alone: those of two hosts may be hours apart.
        """
        try:
            self.store.share.touch(self.store.layout.tmp)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in _MAY_NOT_WRITE:
                raise
            return None
        return self.store.share.last_change(self.store.layout.tmp)

    def age_s(self, path: str) -> float:
        """Seconds since a file or directory was renamed or changed, by the server's clock; 0 where that is unknown."""
        changed = self.store.share.last_change(path)
        return self.server_now - changed if changed is not None and self.server_now is not None else 0.0


class JobLook:
    """One look at a top-level job.

    Args:
        look: at the queue.
        number: the top-level job's.

    Attributes:
        entry: its entry; of several the one with the most moves. ``None``: it has none.
        missing: directories that belong in it and are not there.
        files_instead: those in whose place a file lies.
        latch_files: files that lie in the place of a latch; known once `latched` is.
        places: all its tokens, in the order in which tokens flow.
        nodes: its jobs, in post-order; empty where the hierarchy is broken.
        broken: why the hierarchy cannot be read, or ``None``.
        assumed: its jobs whose tokens lie where a repair will put them, not where they were seen.
    """

    def __init__(self, look: Look, number: int) -> None:
        self.look = look
        self.number = number
        self.files = look.store.layout.job(number)
        self.entries = sorted(look.entries.get(number, []), key=_rank, reverse=True)
        self.entry = self.entries[0] if self.entries else None
        share = look.store.share
        wanted = (self.files.tokens, self.files.waits, self.files.journals)
        listed = share.names_and_files(self.files.dir, {base_name(path) for path in wanted})
        self.is_there = number in look.directories and listed is not None
        names, files = listed or ([], set())
        self.missing = [path for path in wanted if base_name(path) not in names]
        self.files_instead = [path for path in wanted if base_name(path) in files]
        self.latch_files: list[str] = []
        self.places: list[Place] = []
        # RACE: in the order in which tokens flow, so that only one that moves back meanwhile can be missed.
        for folder in TOKEN_FOLDERS[:2]:
            self._list(folder)
        self.places += look.in_flight().get(number, [])
        for folder in TOKEN_FOLDERS[2:]:
            self._list(folder)
        self.nodes: list[Node] = []
        self.broken: str | None = None
        self.assumed: set[int] = set()
        try:
            self.nodes = list(Hierarchy(share, self.files.hierarchy).nodes())
            _check_edges(self.nodes, self.files.hierarchy)
        except BrokenJobError as error:
            self.nodes, self.broken = [], error.reason

    def _list(self, folder: str) -> None:
        directory = self.files.token_folder(folder)
        parse = ClosedToken.parse if folder in ("finished", "failed") else Token.parse
        names = self.look.names_or_none(directory)
        if names is None:
            instead = self.look.is_file_instead(directory)
            (self.files_instead if instead else self.missing).append(directory)
        self.places += [Place(folder, directory, name, token) for name in names or () if (token := parse(name))]
        for shard in [name for name in names or () if parse_shard(name)]:
            inside = self.look.names(f"{directory}/{shard}")
            self.places += [
                Place(folder, f"{directory}/{shard}", name, token) for name in inside if (token := parse(name))
            ]

    @cached_property
    def by_node(self) -> list[list[Place]]:
        """Each job's tokens, the one that counts first: that with the higher MOVE, and of two alike the later one.

        An array has one here that stands for all of its tokens.
        """
        found: list[list[Place]] = [[] for _ in self.nodes]
        for place in self.places:
            if place.token.node < len(found) and place.token.span is None:
                found[place.token.node].append(place)
        for node in self.nodes:
            if node.array is not None:
                pieces = self.pieces.get(node.node, [])
                found[node.node].append(_together(node.node, node.array.length, pieces, self.files))
        for places in found:
            # What was listed later is further on its way.
            places.reverse()
            places.sort(key=lambda place: -place.token.move)
        return found

    @cached_property
    def pieces(self) -> dict[int, list[Place]]:
        """The tokens of arrays, by node."""
        found: dict[int, list[Place]] = {}
        for place in self.places:
            if place.token.span is not None:
                found.setdefault(place.token.node, []).append(place)
        return found

    def is_settled(self, node: int) -> bool:
        """Whether a job has finished, and nobody is still to do what follows from that."""
        return self.states[node] == "finished" and (self.number, node) not in self.look.duties

    @cached_property
    def states(self) -> list[str | None]:
        """The folder in which each job's token lies; ``None`` for one that was not seen."""
        return [places[0].folder if places else None for places in self.by_node]

    def assume(self, node: int, folder: str, token: AnyToken) -> None:
        """From here on a job's token counts as where a repair will put it."""
        self.by_node[node].insert(0, Place(folder, self.files.token_folder(folder), token.name, token))
        self.states[node] = folder
        self.assumed.add(node)

    def assume_entry(self, entry: Entry) -> None:
        """From here on the entry counts as where a repair will put it."""
        self.entry = entry

    def name(self, node: int) -> str:
        """What people call a job of it."""
        return job_name(self.number, self.nodes[node].place) if node < len(self.nodes) else job_name(self.number, "")

    @cached_property
    def latched(self) -> dict[int, set[int]]:
        """The latches that are there, each with the sub-jobs in it."""
        found = {}
        for node in [int(name) for name in self.look.names(self.files.waits) if is_latch_entry(name)]:
            names = self.look.names_or_none(self.files.latch(node))
            # A file in its place holds nothing, and so counts as a latch that is missing.
            if names is not None:
                found[node] = {int(name) for name in names if is_latch_entry(name)}
            elif self.look.is_file_instead(self.files.latch(node)):
                self.latch_files.append(self.files.latch(node))
        return found

    @cached_property
    def records(self) -> dict[int, list[Record]]:
        """What the journals tell of each job, in no order."""
        found: dict[int, list[Record]] = {}
        for name in self.look.names(self.files.journals):
            worker, _, rest = name.partition(".")
            slot, _, suffix = rest.partition(".")
            if suffix != "jsonl" or not (slot.isascii() and slot.isdigit()):
                continue
            for offset, fields in events(self.look.store.share, f"{self.files.journals}/{name}"):
                if isinstance(fields.get("node"), int) and isinstance(fields.get("attempt"), int):
                    found.setdefault(fields["node"], []).append(Record(worker, int(slot), offset, fields))
        return found


def _together(node: int, length: int, places: list[Place], files: JobLayout) -> Place:
    """A place that says what those of an array's tokens come to; its name changes with any of theirs."""
    sizes: dict[str, int] = {}
    for place in places:
        assert place.token.span is not None
        sizes[place.folder] = sizes.get(place.folder, 0) + place.token.span.size
    if sizes.get("finished", 0) >= length:
        folder = "finished"
    else:
        order = ("cancelled", "ready", "running", "won", "failed", "blocked")
        # What has no token is seen to by itself.
        folder = next((folder for folder in order if folder in sizes), "running")
    highest = max((place.token.move for place in places), default=0)
    names = " ".join(sorted(place.name for place in places))
    token = Token(node, 0, highest, 0)
    return Place(folder, files.tokens, f"{token.name}+{zlib.crc32(names.encode('ascii')):08x}", token)


def _rank(entry: Entry) -> tuple[int, int]:
    return entry.moves, INDEX_FOLDERS.index(entry.folder)


def _check_edges(nodes: list[Node], path: str) -> None:
    """A line can be JSON and lead nowhere."""
    if not nodes:
        raise BrokenJobError("the hierarchy holds no job", path)
    for node in nodes:
        try:
            is_sound = all(0 <= child < node.node for child in node.children) and all(
                node.node < parent < len(nodes) for parent in node.parents
            )
        except TypeError as error:
            raise BrokenJobError(f"job {node.node} of the hierarchy cannot be read ({error})", path) from error
        if not is_sound:
            raise BrokenJobError(f"job {node.node} of the hierarchy depends on what is not before it", path)
