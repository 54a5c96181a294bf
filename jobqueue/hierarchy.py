"""The immutable file that says what to do: written once at submission, read a line at a time.

``job100/.hierarchy`` is text: a header line of fixed length, one line of JSON for each job in depth-first post-order,
then the offset table, one number of fixed width a line. A job's number in it is its *node*: children have lower nodes
than the jobs that wait for them, the root has the highest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jobqueue.errors import BrokenJobError
from jobqueue.items import ArrayInfo
from jobqueue.names import FORMAT_VERSION
from jobqueue.options import check_stored
from jobqueue.params import dumps, loads
from jobqueue.share import Share

_HEADER_BYTES = 256
_OFFSET_BYTES = 14
_SUBMITTER_BYTES = 120  # as JSON; the header's other fields take 130 at most
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_WINDOW_NODES = 256
_WINDOW_BYTES = 1 << 18
_TEXT, _TEXT_OR_NONE, _OBJECT, _INTS = (
    frozenset({str}),
    frozenset({str, type(None)}),
    frozenset({dict}),
    frozenset({int}),
)
# Of what kinds the parts of a line are; edges are looked at by themselves.
_KINDS = {"place": _TEXT, "type": _TEXT_OR_NONE, "label": _TEXT_OR_NONE, "params": _OBJECT, "options": _OBJECT}


class Node(NamedTuple):
    """One job of a hierarchy.

    Attributes:
        node: its number in post-order.
        place: its directory, relative to the root's; ``""`` for the root.
        type: its procedure's type name, or ``None`` for a job that only groups others.
        params: its parameters, encoded as by `jobqueue.params`.
        label: a text for people.
        parents: the nodes that wait for it.
        children: the nodes that it waits for.
        options: the scheduling options that were set.
        array: what its items are, if it is an array.
    """

    node: int
    place: str
    type: str | None
    params: dict[str, Any]
    label: str | None
    parents: Sequence[int] = ()
    children: Sequence[int] = ()
    options: Mapping[str, Any] = {}
    array: ArrayInfo | None = None

    def line(self) -> bytes:
        # The place comes first, so that a line can be found by it.
        stored = {
            "place": self.place,
            "node": self.node,
            "type": self.type,
            "label": self.label,
            "parents": self.parents,
            "children": self.children,
            "options": self.options,
            "params": self.params,
        }
        if self.array is not None:
            stored["array"] = self.array.stored()
        return dumps(stored).encode("ascii") + b"\n"

    def check(self, count: int) -> None:
        """Raises ValueError where a line that was read is JSON, and not what was written.

        Args:
            count: how many jobs the hierarchy has.
        """
        for name, kinds in _KINDS.items():
            if type(getattr(self, name)) not in kinds:
                raise ValueError(f"its {name} is {getattr(self, name)!r:.60}")
        check_stored(self.options)
        if not _are_between(self.children, -1, self.node):
            raise ValueError("it waits for what is not before it")
        if not _are_between(self.parents, self.node, count):
            raise ValueError("what is not after it waits for it")


def _are_between(nodes: Any, above: int, below: int) -> bool:
    """Whether something is a list of whole numbers that lie between two others; a root may have ten thousand."""
    if type(nodes) is not list or not _INTS.issuperset(map(type, nodes)):
        return False
    return not nodes or (above < min(nodes) and max(nodes) < below)


def encode_hierarchy(nodes: Sequence[Node], *, submitted: float, submitter: str) -> bytes:
    """The contents of ``.hierarchy``.

    Args:
        nodes: all jobs, in the order of their node numbers.
        submitted: seconds since the epoch.
        submitter: who submitted it, for people.
    """
    lines = [node.line() for node in nodes]
    offsets = []
    at = _HEADER_BYTES
    for line in lines:
        offsets.append(at)
        at += len(line)
    by = submitter[:80]
    while len(dumps(by)) > _SUBMITTER_BYTES:
        by = by[:-1]
    told = {"format": FORMAT_VERSION, "jobs": len(nodes), "offsets": at, "submitted": submitted, "by": by}
    if arrays := sum(node.array is not None for node in nodes):
        told["arrays"] = arrays
    header = dumps(told).encode("ascii")
    table = b"".join(b"%0*d\n" % (_OFFSET_BYTES - 1, offset) for offset in [*offsets, at])
    return header.ljust(_HEADER_BYTES - 1) + b"\n" + b"".join(lines) + table


class Hierarchy:
    """Reads ``.hierarchy``, a window of lines at a time; holds no file open.

    Args:
        share: to read with.
        path: of the file.

    Raises:
        BrokenJobError: the file is missing or cannot be read as one (from every method).
    """

    def __init__(self, share: Share, path: str) -> None:
        self._share = share
        self._path = path
        self._window: dict[int, bytes] = {}
        self._found_arrays: dict[int, ArrayInfo] = {}
        try:
            header = loads(share.read_part(path, 0, _HEADER_BYTES))
            self.count = int(header["jobs"])
            self.submitted = float(header["submitted"])
            self.submitter = str(header["by"])
            self._table = int(header["offsets"])
            self._arrays = int(header.get("arrays", 0))
            known = header["format"] == FORMAT_VERSION
        except (*_MISSING, ValueError, KeyError, TypeError, OverflowError) as error:
            raise BrokenJobError(f"the hierarchy cannot be read ({error})", path) from error
        if not known:
            raise BrokenJobError("the hierarchy has a format version that this jobqueue does not know", path)

    @property
    def root(self) -> int:
        return self.count - 1

    def node(self, number: int) -> Node:
        """One job.

        Raises:
            BrokenJobError: there is no such job in the file.
        """
        line = self._window.get(number)
        if line is None:
            self._load(number)
            line = self._window[number]
        return self._parse(number, line)

    def find(self, place: str) -> int | None:
        """The node of the job whose directory is ``place``, or ``None``."""
        wanted = b'\n{"place":' + dumps(place).encode("ascii") + b","
        data = self._read()
        at = data.find(wanted, _HEADER_BYTES - 1, self._table)
        if at < 0:
            return None
        try:
            line = data[at + 1 : data.index(b"\n", at + 1)]
            return int(loads(line)["node"])
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenJobError(f"{place} in the hierarchy cannot be read ({error})", self._path) from error

    def arrays(self) -> dict[int, ArrayInfo]:
        """The jobs that are arrays, by node; reads nothing more where there are none."""
        if self._arrays and not self._found_arrays:
            self._found_arrays = {node.node: node.array for node in self.nodes() if node.array is not None}
        return self._found_arrays

    def nodes(self) -> Iterator[Node]:
        """All jobs, in post-order."""
        data = self._read()
        lines = data[_HEADER_BYTES : self._table].splitlines()
        if len(lines) != self.count:
            raise BrokenJobError(f"the hierarchy has {len(lines)} jobs, not {self.count}", self._path)
        for number, line in enumerate(lines):
            yield self._parse(number, line)

    def _read(self) -> bytes:
        try:
            return self._share.read(self._path)
        except _MISSING as error:
            raise BrokenJobError(f"the hierarchy cannot be read ({error})", self._path) from error

    def _load(self, first: int) -> None:
        if not 0 <= first < self.count:
            raise BrokenJobError(f"there is no job {first} in the hierarchy", self._path)
        try:
            wanted = min(_WINDOW_NODES, self.count - first) + 1
            table = self._share.read_part(self._path, self._table + first * _OFFSET_BYTES, wanted * _OFFSET_BYTES)
            offsets = [int(line) for line in table.split()]
            bounds = [_HEADER_BYTES, *offsets, self._table]
            if len(offsets) != wanted or bounds != sorted(bounds):
                raise ValueError("the table of offsets is damaged")
            # Long lines make a short window, but never an empty one.
            offsets = [at for at in offsets if at - offsets[0] <= _WINDOW_BYTES or at == offsets[1]]
            data = self._share.read_part(self._path, offsets[0], offsets[-1] - offsets[0])
        except (*_MISSING, ValueError) as error:
            raise BrokenJobError(f"the hierarchy cannot be read ({error})", self._path) from error
        base = offsets[0]
        self._window = {
            first + nth: data[begin - base : end - base] for nth, (begin, end) in enumerate(itertools.pairwise(offsets))
        }

    def _parse(self, number: int, line: bytes) -> Node:
        try:
            stored = loads(line)
            if type(stored["node"]) is not int or stored["node"] != number:
                raise ValueError(f"job {stored['node']} stands where job {number} belongs")
            if "array" in stored:
                stored["array"] = ArrayInfo.read(stored["array"])
            node = Node(**stored)
            node.check(self.count)
            return node
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenJobError(f"job {number} of the hierarchy cannot be read ({error})", self._path) from error
