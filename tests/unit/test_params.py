"""Parameters as JSON: any value comes back equal and of the same types, and anything else is refused by name."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from enum import IntEnum
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue.errors import ParameterError
from jobqueue.params import MAX_DECIMAL_BITS, MAX_DEPTH, as_text, decode, dumps, encode

_ANY_TEXT = st.text(alphabet=st.characters(codec=None))  # with lone surrogates
_HUGE = st.integers(min_value=0, max_value=3).map(lambda more: 1 << (MAX_DECIMAL_BITS - 1 + more))
_PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), _HUGE, _HUGE.map(int.__neg__), st.floats(), _ANY_TEXT, st.binary()
)
_KEYS = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _ANY_TEXT, st.binary(),
        st.sampled_from(["$", "$tuple", "$bytes", "$int", "$dict", "$$"]),
    ),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=3,
)  # fmt: skip
VALUES = st.recursive(
    _PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(_ANY_TEXT, inner, max_size=3),
        st.dictionaries(_KEYS, inner, max_size=3),
    ),
    max_leaves=10,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down; -0.0 is not 0.0, nan is nan, and a dict keeps its order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or (one == other and math.copysign(1, one) == math.copysign(1, other))
    return bool(one == other)


def through_text(value: Any) -> Any:
    text = dumps(encode("value", value))
    assert text.isascii()
    assert "\n" not in text
    return decode(json.loads(text))


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_any_nested_value_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    assert same(through_text(value), value)


@pytest.mark.parametrize(
    "value",
    [
        math.nan, math.inf, -math.inf, -0.0, 7**9000, -(7**9000), 1 << MAX_DECIMAL_BITS, (1 << MAX_DECIMAL_BITS) - 1,
        b"", bytes(range(256)), "\ud800 and \udfff", "\0\n\r\u2028", (), [], {}, ((),), {"$tuple": [1]},
        {"$": {"$": 1}}, {"$int": "ff", "a": 1}, {"a": 1, "b": 2}, {(1, (b"x", None)): {True: 1.0}},
        {1: "int", "1": "text", b"1": "bytes"},
    ],
    ids=lambda value: repr(type(value).__name__),
)  # fmt: skip
def test_values_that_json_has_no_word_for_come_back(value: Any) -> None:
    assert same(through_text(value), value)


def test_stored_values_are_plain_json_where_json_has_a_word() -> None:
    value = {"frames": [1, 2.5, None, True], "scene": "Käse", "deep": {"a": {"b": []}}}
    assert encode("value", value) == value


class _Colour(IntEnum):
    RED = 1


class _Float64(float):
    """As numpy's are: a subclass of float."""


class _Text(str):
    __slots__ = ()


class _Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (_Colour.RED, "_Colour"), (_Float64(1.5), "_Float64"), (_Text("a"), "_Text"), (_Point(1, 2), "_Point"),
        (OrderedDict(a=1), "OrderedDict"), ({1}, "set"), (frozenset(), "frozenset"), (object(), "object"),
        (bytearray(b"x"), "bytearray"), (1j, "complex"), (range(3), "range"), (len, "builtin_function_or_method"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_anything_else_is_a_type_error_that_names_the_parameter(value: Any, kind: str) -> None:
    rest = f"has the type {kind}, which cannot be stored; use None, bool, int, float, str, bytes, list, tuple or dict"
    for place, nested in (
        ("scene", value),
        ("scene[1]", [0, value]),
        ("scene[0]", (value,)),
        ("scene['size'][0]", {"size": [value]}),
        ("scene[7]", {7: value}),
    ):
        with pytest.raises(ParameterError) as caught:
            encode("scene", nested)
        assert isinstance(caught.value, TypeError)
        assert str(caught.value) == f"parameter {place} {rest}"


def test_a_key_that_cannot_be_stored_is_called_a_key() -> None:
    with pytest.raises(ParameterError, match=r"^parameter a key of scene has the type frozenset, which cannot"):
        encode("scene", {frozenset(): 1})


def test_a_value_that_contains_itself_is_refused() -> None:
    a_list: list[Any] = []
    a_list.append(a_list)
    a_dict: dict[Any, Any] = {"text": 1}
    a_dict["itself"] = (a_dict,)
    a_mixed_dict: dict[Any, Any] = {}
    a_mixed_dict[1] = a_mixed_dict
    for value in (a_list, a_dict, a_mixed_dict):
        with pytest.raises(
            ParameterError, match=r"^parameter scene\[.*\] is nested more than 100 deep, or contains itself"
        ):
            encode("scene", value)


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: (value,), lambda value: {"a": value}])
def test_a_value_may_be_nested_a_hundred_deep_and_no_deeper(wrap: Any) -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = wrap(value)
    assert same(through_text(value), value)
    with pytest.raises(ParameterError, match=r"is nested more than 100 deep, or contains itself$"):
        encode("scene", wrap(value))


def test_a_value_for_people_is_as_python_writes_it() -> None:
    assert as_text({"frames": (1, None), "name": b"x"}) == "{'frames': (1, None), 'name': b'x'}"
    # Python refuses to write more than 4300 digits.
    assert (as_text(10**5000), as_text([10**5000])) == ("<int>", "<list>")
