"""Scheduling options: what is allowed, and the text for what is not."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.errors import OptionError
from jobqueue.options import OPTION_NAMES, JobOptions, check_option, effective_options

_WORDS = {
    "maxAttempts": "a whole number, 1 or more",
    "maxErrors": "a whole number, 1 or more",
    "timeout": "a number of seconds above 0",
    "priority": "a whole number from -499 to 500",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maxAttempts", 1),
        ("maxAttempts", 10**6),
        ("timeout", 1),
        ("timeout", 0.001),
        ("priority", -499),
        ("priority", 500),
    ],
)
def test_a_value_in_its_range_is_kept(name: str, value: Any) -> None:
    options = JobOptions(is_root=True)
    setattr(options, name, value)
    assert getattr(options, name) == value
    assert options.stored() == {name: value}
    assert repr(options) == f"JobOptions({name}={value!r})"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maxAttempts", 0), ("maxAttempts", -1), ("maxAttempts", 1.0), ("maxAttempts", True), ("maxAttempts", "3"),
        ("timeout", 0), ("timeout", -1.5), ("timeout", float("inf")), ("timeout", float("nan")), ("timeout", True),
        ("timeout", "1"), ("priority", -500), ("priority", 501), ("priority", 1.5), ("priority", False),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_an_error_that_says_what_is_allowed(name: str, value: Any) -> None:
    options = JobOptions(is_root=True)
    with pytest.raises(OptionError) as caught:
        setattr(options, name, value)
    assert str(caught.value) == f"option {name} is {value!r}, but has to be {_WORDS[name]}"
    assert options.stored() == {}


def test_an_unknown_option_is_an_error_that_names_the_known_ones() -> None:
    options = JobOptions()
    text = "there is no option retries; the options are maxAttempts, maxErrors, priority, timeout"
    with pytest.raises(OptionError, match=f"^{text}$"):
        options.retries = 3
    with pytest.raises(OptionError, match=f"^{text}$"):
        options.retries = None
    with pytest.raises(OptionError, match=f"^{text}$"):
        check_option("retries", 3)
    with pytest.raises(AttributeError, match=f"^{text}$"):
        options.retries  # noqa: B018


def test_a_sub_job_has_no_priority_of_its_own() -> None:
    options = JobOptions()
    with pytest.raises(
        OptionError, match=r"^option priority belongs to the whole top-level job; set it on the JobRoot$"
    ):
        options.priority = 5
    assert options.priority is None


def test_none_takes_an_option_back() -> None:
    options = JobOptions(is_root=True)
    assert (options.maxAttempts, options.timeout, options.priority) == (None, None, None)
    options.timeout = 5
    options.timeout = None
    options.maxAttempts = None
    assert options.timeout is None
    assert options.stored() == {}
    assert repr(options) == "JobOptions()"


def test_what_is_stored_is_a_copy() -> None:
    options = JobOptions()
    options.timeout = 5
    options.stored()["timeout"] = 6
    assert options.timeout == 5


def test_the_first_level_that_sets_an_option_wins() -> None:
    assert effective_options() == {"maxAttempts": 3, "maxErrors": 1, "timeout": None, "priority": 0}
    assert set(effective_options()) == OPTION_NAMES
    found = effective_options({"timeout": 1}, {"timeout": 2, "maxAttempts": 5}, {"maxAttempts": 7, "priority": 9})
    assert found == {"maxAttempts": 5, "maxErrors": 1, "timeout": 1, "priority": 9}
