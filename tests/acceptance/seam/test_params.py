"""What parameters may be, and that they come back exactly."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jobqueue
from jobqueue import params as codec
from jobqueue.hierarchy import Hierarchy
from tests.support import same, snapshot

_HUGE = st.integers(min_value=10**4300, max_value=10**4310)
_KEYS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.binary(), _HUGE)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(),
        _HUGE, st.text(alphabet=st.characters(codec=None)),
    ),
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(_KEYS, inner),
        st.dictionaries(st.sampled_from(["$tuple", "$bytes", "$int", "$dict", "$", "a"]), inner, max_size=2),
        st.dictionaries(st.tuples(_KEYS, _KEYS), inner, max_size=2),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_any_nested_value_comes_back_equal_and_of_the_same_types(queue: jobqueue.JobQueue, value: Any) -> None:
    handle = queue.createJobRoot("python", function="copy:copy", args=[value]).activate()
    # What a worker would be given, read from the disk by an object that has not seen the submission.
    other = jobqueue.JobQueue(queue.location)
    assert other._store
    node = Hierarchy(other._store.share, handle.procDefFile).node(0)
    seen = {name: codec.decode(stored) for name, stored in node.params.items()}
    assert same(seen["args"], [value])
    queue.deleteJobs(handle)


EVERY_TYPE: dict[str, Any] = {
    "none": None, "bools": [True, False], "int": -(10**30), "huge": 7**9000, "float": -0.0, "inf": math.inf,
    "text": "Käse ☃ \ud800 \0 \n", "bytes": bytes(range(256)), "tuple": (1, (), ("a",)), "list": [[], [1.5]],
    "dict": {"a": {"b": ()}, "$tuple": [1]}, "dollar": {"$tuple": [1]}, "huge key": {7**9000: 1}, "keys": {1: "int", False: "bool", None: "none", (1, b"x"): 2.0},  # noqa: E501  one call, one error
}  # fmt: skip


def test_a_worker_gets_every_type_as_it_was_submitted(queue: jobqueue.JobQueue, run_all: Callable[[], int]) -> None:
    handles = {
        name: queue.createJobRoot("python", function="copy:deepcopy", args=[value]).activate()
        for name, value in EVERY_TYPE.items()
    }
    assert run_all() == len(handles)
    for name, handle in handles.items():
        assert same(handle.result, EVERY_TYPE[name]), name


def test_not_a_number_comes_back_as_such(queue: jobqueue.JobQueue) -> None:
    job = queue.createJobRoot("python", function="copy:copy", args=[math.nan]).activate()
    queue.runNextAvailableJob()
    assert math.isnan(job.result)


def test_another_process_gets_every_type_as_it_was_submitted(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    job = queue.createJobRoot("python", function="copy:deepcopy", args=[EVERY_TYPE]).activate()
    code = "import sys, jobqueue; jobqueue.JobQueue(sys.argv[1]).runNextAvailableJob()"
    subprocess.run([sys.executable, "-c", code, str(queue_dir)], check=True)
    assert same(job.result, EVERY_TYPE)


class _Level(IntEnum):
    HIGH = 2


class _Text(str):
    __slots__ = ()


class _Mine:
    pass


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (set(), "set"), (frozenset(), "frozenset"), (1j, "complex"), (_Mine(), "_Mine"), (Path("a"), "PosixPath"),
        (_Level.HIGH, "_Level"), (_Text("a"), "_Text"), (OrderedDict(), "OrderedDict"), (bytearray(), "bytearray"),
        (range(3), "range"), (_Mine, "type"), (len, "builtin_function_or_method"),
    ],
)  # fmt: skip
def test_anything_else_is_a_type_error_that_names_the_parameter(
    queue: jobqueue.JobQueue, queue_dir: Path, value: Any, kind: str
) -> None:
    before = snapshot(queue_dir)
    root = queue.createJobRoot("noop")
    for call in (queue.createJobRoot, root.createJob):
        with pytest.raises(TypeError, match=f"parameter args has the type {kind}, which cannot be stored"):
            call("python", function="copy:copy", args=value)
        with pytest.raises(TypeError, match=r"parameter args\[1\]\['deep'\] has the type " + kind):
            call("python", function="copy:copy", args=[0, {"deep": value}])
    assert snapshot(queue_dir) == before


def test_a_key_that_cannot_be_stored_is_named_too(queue: jobqueue.JobQueue) -> None:
    with pytest.raises(TypeError, match="parameter a key of kwargs has the type frozenset"):
        queue.createJobRoot("python", function="copy:copy", kwargs={frozenset(): 1})


def test_a_value_that_contains_itself_is_a_type_error(queue: jobqueue.JobQueue) -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(TypeError, match="is nested more than 100 deep, or contains itself"):
        queue.createJobRoot("python", function="copy:copy", args=value)


def test_changing_a_value_after_creation_changes_nothing(queue: jobqueue.JobQueue) -> None:
    value = [1, 2]
    root = queue.createJobRoot("python", function="copy:copy", args=[value])
    value.append(3)
    job = root.activate()
    queue.runNextAvailableJob()
    assert job.result == [1, 2]
