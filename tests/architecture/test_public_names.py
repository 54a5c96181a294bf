"""The public names are those that are checked in; whoever changes one says so by changing the list."""

from __future__ import annotations

import inspect
import re
from enum import Enum

import pytest

import jobqueue
from jobqueue.options import JobOptions
from tests.architecture.public_names import FILE, describe


def test_the_public_names_are_those_of_the_checked_in_list() -> None:
    assert describe() == FILE.read_text(), "if this is meant: python -m tests.architecture.public_names"


def test_the_package_has_the_names_that_it_says_and_no_others() -> None:
    for name in jobqueue.__all__:
        assert getattr(jobqueue, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'jobqueue' has no attribute 'Store'"):
        _ = jobqueue.Store


def test_public_methods_are_camel_case_and_take_no_underscores() -> None:
    for kind in (*(getattr(jobqueue, name) for name in jobqueue.__all__), JobOptions):
        if inspect.isclass(kind) and not issubclass(kind, (Exception, Enum)):
            names = [name for name in dir(kind) if not name.startswith("_")]
            assert [name for name in names if not re.fullmatch(r"[a-z]+([A-Z][a-z]*)*", name)] == []


def test_there_is_one_alias_pair_the_seeds() -> None:
    pairs = []
    for name in jobqueue.__all__:
        kind = getattr(jobqueue, name)
        members = [(key, value) for key, value in vars(kind).items() if inspect.isfunction(value)]
        pairs += [(key, other) for key, value in members for other, twin in members if key < other and value is twin]
    assert pairs == [("createJob", "createJobRoot")]


def test_every_public_name_has_a_docstring() -> None:
    for name in jobqueue.__all__:
        found = getattr(jobqueue, name)
        assert inspect.getdoc(found), name
        if inspect.isclass(found) and found.__module__.startswith("jobqueue"):
            own = {key: value for key, value in vars(found).items() if not key.startswith("_")}
            bare = [key for key, value in own.items() if callable(value) and not inspect.getdoc(value)]
            # What its name says whole needs no more words.
            assert bare in ([], ["isRunning"]), name
