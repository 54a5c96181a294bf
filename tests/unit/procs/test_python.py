"""The procedure python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobqueue.procs.python import python
from tests.unit.procs.attempts import RecordingAttempt

MODULE = """
import sys
calls = []
class Scene:
    @staticmethod
    def render(*frames, size=None):
        print("printed by the function")
        return {"frames": list(frames), "size": size}
def fail():
    raise ValueError("it is wrong")
answer = 42
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that only this test has, on sys.path."""
    name = f"shots_{tmp_path.name}"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    return name


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"function": 3}, TypeError, "function must be text, not int"),
        ({"function": ""}, ValueError, "function is empty"),
        ({"function": "os"}, ValueError, "function is 'os'; write package.module:function"),
        ({"function": "os:"}, ValueError, "function is 'os:'"),
        ({"function": ":getpid"}, ValueError, "function is ':getpid'"),
        ({"function": "os..path:join"}, ValueError, "function is"),
        ({"function": "os:a b"}, ValueError, "function is"),
        ({"function": "os:a:b"}, ValueError, "function is"),
        ({"function": "os:system('ls')"}, ValueError, "function is"),
        ({"function": "os:getpid", "args": "ab"}, TypeError, "args must be a list or a tuple, not str"),
        ({"function": "os:getpid", "kwargs": []}, TypeError, "kwargs must be a dict, not list"),
        ({"function": "os:getpid", "kwargs": {3: 4}}, TypeError, "kwargs has a name that is no text"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        python(**parameters)


def test_the_label_is_the_call() -> None:
    assert python("shots.render:frame", (1, "a"), {"size": (2, 3)}).label == "shots.render:frame(1, 'a', size=(2, 3))"
    assert python("no.such.module:function").label == "no.such.module:function()"


def test_the_function_is_called_and_its_value_returned(
    attempt: RecordingAttempt, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = attempt.run(python(f"{module}:Scene.render", [1, 2], {"size": (3, 4)}))
    assert result == {"frames": [1, 2], "size": (3, 4)}
    assert capsys.readouterr().out == "printed by the function\n"


def test_what_the_function_raises_comes_through(attempt: RecordingAttempt, module: str) -> None:
    with pytest.raises(ValueError, match="it is wrong"):
        attempt.run(python(f"{module}:fail"))


def test_a_missing_module_or_function_is_named(attempt: RecordingAttempt, module: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_ours"):
        attempt.run(python("no_such_module_of_ours:f"))
    for attribute in ("nothing", "Scene.nothing", "answer.real.nothing"):
        with pytest.raises(ImportError, match=f"{module} has no {attribute} on this worker"):
            attempt.run(python(f"{module}:{attribute}"))


def test_what_cannot_be_called_is_refused(attempt: RecordingAttempt, module: str) -> None:
    with pytest.raises(TypeError, match=f"{module}:answer is a int, which cannot be called"):
        attempt.run(python(f"{module}:answer"))
