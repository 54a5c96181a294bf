"""The file that says what to do: what is written is read, by a window of lines, and a broken one is called so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobqueue.errors import BrokenJobError
from jobqueue.hierarchy import Hierarchy, Node, encode_hierarchy
from jobqueue.share import Share

_TEXT = st.text(alphabet=st.characters(codec=None), max_size=12)
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def node_lists(draw: st.DrawFn) -> list[Node]:
    places = draw(st.lists(_TEXT.filter(bool), max_size=7, unique=True))
    count = len(places) + 1

    def among(numbers: range) -> list[int]:
        return draw(st.lists(st.sampled_from(numbers), max_size=3)) if numbers else []

    return [
        Node(
            number,
            place,
            draw(st.none() | _TEXT),
            draw(st.dictionaries(_TEXT, _JSON, max_size=3)),
            draw(st.none() | _TEXT),
            among(range(number + 1, count)),
            among(range(number)),
            draw(st.dictionaries(st.sampled_from(["timeout", "maxAttempts", "later"]), st.integers(min_value=1))),
        )
        for number, place in enumerate([*places, ""])
    ]


def _simple(count: int, params: Callable[[int], dict[str, Any]] = lambda node: {"frame": node}) -> list[Node]:
    """A root with sub-jobs."""
    below = [Node(node, f"job{node}", "noop", params(node), None, [count - 1], []) for node in range(count - 1)]
    return [*below, Node(count - 1, "", None, {}, "the root", [], list(range(count - 1)))]


class CountingShare(Share):
    """Remembers how much of a file was read at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def read_part(self, path: str, offset: int, size: int) -> bytes:
        data = super().read_part(path, offset, size)
        self.sizes.append(len(data))
        return data


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".hierarchy"


def _write(path: Path, nodes: list[Node], submitter: str = "anna@node7") -> None:
    path.write_bytes(encode_hierarchy(nodes, submitted=1234.5, submitter=submitter))


def _read(path: Path, share: Share | None = None) -> Hierarchy:
    return Hierarchy(share or Share(), str(path))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(node_lists(), st.text(max_size=100))
def test_any_hierarchy_is_read_as_it_was_written(path: Path, nodes: list[Node], submitter: str) -> None:
    _write(path, nodes, submitter)
    hierarchy = _read(path)
    assert (hierarchy.count, hierarchy.root, hierarchy.submitted) == (len(nodes), len(nodes) - 1, 1234.5)
    assert submitter.startswith(hierarchy.submitter)
    assert [hierarchy.node(number) for number in range(len(nodes))] == nodes
    assert list(hierarchy.nodes()) == nodes
    for node in nodes:
        assert hierarchy.find(node.place) == node.node
        assert Hierarchy(Share(), str(path)).node(node.node) == node
    assert hierarchy.find("job1/nowhere") is None


def test_the_file_is_text_with_a_header_of_fixed_length(path: Path) -> None:
    _write(path, _simple(2))
    data = path.read_bytes()
    assert data.isascii()
    assert data[255:256] == b"\n"
    header = json.loads(data[:256])
    assert header == {"format": 1, "jobs": 2, "offsets": header["offsets"], "submitted": 1234.5, "by": "anna@node7"}
    assert data[256:].startswith(b'{"place":"job0","node":0,')
    offsets = [int(line) for line in data[header["offsets"] :].split()]
    assert offsets[0] == 256
    assert offsets[-1] == header["offsets"]
    assert all(data[at - 1 : at] == b"\n" for at in offsets)


@pytest.mark.parametrize("submitter", ["anna@node7", "x" * 200, "Ж" * 100, "\U0001f600" * 30, '"\\' * 50])
def test_a_submitters_name_of_any_length_leaves_the_header_its_length(path: Path, submitter: str) -> None:
    largest = encode_hierarchy([], submitted=1_234_567_890.123456, submitter=submitter)
    assert largest[255:256] == b"\n"
    _write(path, _simple(3), submitter)
    found = _read(path)
    assert found.submitter
    assert submitter.startswith(found.submitter)
    assert found.node(2).label == "the root"


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 512, 513, 700])
def test_all_jobs_are_found_across_the_borders_of_the_window(path: Path, count: int) -> None:
    nodes = _simple(count)
    _write(path, nodes)
    hierarchy = _read(path)
    for number in sorted({0, 1, 254, 255, 256, 257, 511, 512, 513, count - 1} & set(range(count)), reverse=True):
        assert hierarchy.node(number) == nodes[number]
    assert [hierarchy.node(number) for number in range(count)] == nodes
    assert list(hierarchy.nodes()) == nodes
    assert hierarchy.find("job300") == (300 if count > 301 else None)


def test_jobs_in_a_row_are_read_256_at_a_time(path: Path) -> None:
    _write(path, _simple(1025))
    share = CountingShare()
    hierarchy = _read(path, share)
    share.sizes.clear()
    for number in range(1024):
        hierarchy.node(number)
    # The table of offsets and the lines, for each window.
    assert len(share.sizes) == 2 * 4


def test_long_lines_make_a_short_window_but_never_an_empty_one(path: Path) -> None:
    # A third of a window each, and one that is longer than two windows.
    sizes = [90_000] * 5 + [600_000] + [90_000] * 2
    nodes = _simple(len(sizes) + 1, lambda node: {"text": "x" * sizes[node]})
    _write(path, nodes)
    share = CountingShare()
    hierarchy = _read(path, share)
    share.sizes.clear()
    for number in range(len(nodes)):
        assert hierarchy.node(number) == nodes[number]
    assert max(share.sizes) < 700_000
    assert sorted(share.sizes)[-2] <= 1 << 18


@pytest.mark.parametrize("number", [-1, 3, 10**9])
def test_a_job_that_is_not_there_is_an_error(path: Path, number: int) -> None:
    _write(path, _simple(3))
    with pytest.raises(BrokenJobError) as caught:
        _read(path).node(number)
    assert str(caught.value) == f"{path}: there is no job {number} in the hierarchy"


# --- broken files -----------------------------------------------------------------------------------------------------


def _read_everything(path: Path) -> None:
    """Comes to the end only if nothing is wrong with the file."""
    hierarchy = _read(path)
    for number in range(hierarchy.count):
        hierarchy.node(number)
    list(hierarchy.nodes())
    hierarchy.find("job0")


def _error(read: Callable[[], object], path: Path) -> str:
    with pytest.raises(BrokenJobError) as caught:
        read()
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    return caught.value.reason


def test_a_missing_file_is_a_broken_job(path: Path) -> None:
    assert _error(lambda: _read(path), path).startswith("the hierarchy cannot be read ([Errno 2]")
    path.mkdir()
    assert _error(lambda: _read(path), path).startswith("the hierarchy cannot be read ([Errno 21]")
    path.rmdir()
    path.touch()
    below = path / "below"
    assert _error(lambda: _read(below), below).startswith("the hierarchy cannot be read ([Errno 20]")


@pytest.mark.parametrize("read", ["node", "find", "nodes"])
def test_a_file_that_was_removed_after_its_header_was_read_is_a_broken_job(path: Path, read: str) -> None:
    _write(path, _simple(3))
    hierarchy = _read(path)
    calls: dict[str, Callable[[], object]] = {
        "node": lambda: hierarchy.node(1),
        "find": lambda: hierarchy.find("job1"),
        "nodes": lambda: list(hierarchy.nodes()),
    }
    path.unlink()
    assert _error(calls[read], path).startswith("the hierarchy cannot be read ([Errno 2]")
    path.mkdir()
    assert _error(calls[read], path).startswith("the hierarchy cannot be read ([Errno 21]")


def test_a_file_that_is_torn_anywhere_is_a_broken_job(path: Path) -> None:
    _write(path, _simple(4))
    whole = path.read_bytes()
    for size in range(len(whole) - 1):
        path.write_bytes(whole[:size])
        _error(lambda: _read_everything(path), path)


def test_a_file_with_a_hole_is_a_broken_job(path: Path) -> None:
    """As a power cut leaves it: the size is right, and blocks of it are zero."""
    _write(path, _simple(8))
    whole = path.read_bytes()
    for at in range(0, len(whole) - 64, 64):
        path.write_bytes(whole[:at] + bytes(64) + whole[at + 64 :])
        _error(lambda: _read_everything(path), path)


@pytest.mark.parametrize(
    "foreign",
    [
        b"#!/bin/sh\necho\n",
        b"[1, 2]",
        b"3",
        b'"text"',
        b"{}",
        b"null",
        b"\x7fELF" + bytes(500),
        b'{"format":1,"jobs":null}',
        b'{"format":1,"jobs":1e999}',
    ],
)
def test_a_foreign_file_is_a_broken_job(path: Path, foreign: bytes) -> None:
    path.write_bytes(foreign)
    assert _error(lambda: _read(path), path).startswith("the hierarchy cannot be read (")


def test_another_version_is_a_broken_job(path: Path) -> None:
    _write(path, _simple(2))
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2', 1))
    assert _error(lambda: _read(path), path) == "the hierarchy has a format version that this jobqueue does not know"


def _change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new, 1))


def test_lines_that_stand_in_each_others_place_are_a_broken_job(path: Path) -> None:
    _write(path, _simple(3))
    _change(path, b'"node":1', b'"node":0')
    hierarchy = _read(path)
    assert hierarchy.node(0).place == "job0"
    expected = "job 1 of the hierarchy cannot be read (job 0 stands where job 1 belongs)"
    assert _error(lambda: hierarchy.node(1), path) == expected
    assert _error(lambda: list(hierarchy.nodes()), path) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"place"', b'"piece"'), (b'"node":', b'"mode":'), (b'{"place"', b'["place"'), (b"params", b"param ")],
)
def test_a_line_that_is_no_job_is_a_broken_job(path: Path, old: bytes, new: bytes) -> None:
    _write(path, _simple(3))
    _change(path, old, new)
    assert _error(lambda: _read(path).node(0), path).startswith("job 0 of the hierarchy cannot be read (")
    assert _read(path).node(1).place == "job1"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("place", None), ("place", 3), ("place", ["job1"]), ("type", 1), ("type", ["noop"]), ("label", 1.5),
        ("label", {}), ("params", []), ("params", None), ("options", ["timeout", 100]), ("options", None),
        ("options", {"timeout": "10"}), ("options", {"timeout": -1}), ("options", {"maxAttempts": 0}),
        ("options", {"maxErrors": True}), ("options", {"priority": 5000}), ("parents", 12), ("parents", None),
        ("parents", {}), ("parents", [1]), ("parents", [0, 2]), ("parents", [3]), ("parents", [2.0]),
        ("parents", ["2"]), ("children", 0), ("children", [1]), ("children", [2]), ("children", [-1]),
        ("children", [False]), ("children", "0"), ("node", True), ("node", 1.0), ("node", "1"),
    ],
)  # fmt: skip
def test_a_line_with_a_value_of_another_kind_or_range_is_a_broken_job(path: Path, part: str, value: Any) -> None:
    nodes = _simple(3)
    changed = {**nodes[1]._asdict(), part: value}
    _write(path, [nodes[0], Node(**changed), nodes[2]])
    assert _error(lambda: _read(path).node(1), path).startswith("job 1 of the hierarchy cannot be read (")
    _error(lambda: list(_read(path).nodes()), path)
    assert _read(path).node(0) == nodes[0]


def test_an_option_that_only_a_later_version_knows_breaks_nothing(path: Path) -> None:
    nodes = [Node(0, "", None, {}, None, [], [], {"later": "than this", "timeout": 3})]
    _write(path, nodes)
    assert list(_read(path).nodes()) == nodes


@pytest.mark.parametrize("new", [b'"mode":1', b'"node":x', b'"node":]'])
def test_a_job_whose_line_cannot_be_read_is_not_found_but_broken(path: Path, new: bytes) -> None:
    _write(path, _simple(3))
    _change(path, b'"node":1', new)
    assert _error(lambda: _read(path).find("job1"), path).startswith("job1 in the hierarchy cannot be read (")
    assert _read(path).find("job0") == 0


def test_fewer_lines_than_jobs_are_a_broken_job(path: Path) -> None:
    _write(path, _simple(3))
    _change(path, b'"jobs":3', b'"jobs":4')
    assert _error(lambda: list(_read(path).nodes()), path) == "the hierarchy has 3 jobs, not 4"


@pytest.mark.parametrize("new", [b"9999999999999", b"0000000000000", b"-000000000009", b"0000000000255", b"x" * 13])
def test_a_damaged_table_of_offsets_is_a_broken_job(path: Path, new: bytes) -> None:
    _write(path, _simple(3))
    whole = path.read_bytes()
    table = whole.rindex(b"0000000000256\n")
    for nth in range(4):
        at = table + nth * 14
        path.write_bytes(whole[:at] + new + whole[at + 13 :])
        assert _error(lambda: _read(path).node(0), path).startswith("the hierarchy cannot be read (")


def test_a_name_of_another_job_inside_a_parameter_is_not_taken_for_it(path: Path) -> None:
    nodes = _simple(3, lambda node: {"text": '\n{"place":"job9","node":9', '{"place":"job9"': node})
    _write(path, nodes)
    assert _read(path).find("job9") is None
    assert _read(path).find("job1") == 1
    assert _read(path).find("job") is None
