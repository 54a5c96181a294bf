"""The table of the built-in procedures, and what holds for all of them."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from typing import Any

import pytest

import jobqueue.procs
from jobqueue import params
from jobqueue.proc import JobProc
from jobqueue.procs import BUILTIN

# The least that each of them needs.
LEAST: dict[str, dict[str, Any]] = {
    "blender": {"blendFile": "/s/a.blend"},
    "command": {"cmd": "true"},
    "dumpenv": {},
    "ffmpeg": {"input": "/s/f_%04d.png", "output": "/s/a.mp4"},
    "maya": {"sceneFile": "/s/a.mb"},
    "povray": {"sceneFile": "/s/a.pov"},
    "python": {"function": "os:getpid"},
    "renderrib": {"ribFile": "/s/a.rib"},
}
# Words of the scheduling options, and of JobProc itself.
TAKEN = {"maxAttempts", "timeout", "tags", "memory", "priority", "jobType", "run", "stdout", "stderr"}


def make(name: str, **parameters: Any) -> JobProc:
    found = getattr(importlib.import_module(BUILTIN[name]), name)
    assert inspect.isclass(found)
    made = found(**{**LEAST[name], **parameters})
    assert isinstance(made, JobProc)
    return made


def test_the_table_has_every_module_of_the_package() -> None:
    modules = {module.name for module in pkgutil.iter_modules(jobqueue.procs.__path__)}
    assert {name for name in modules if not name.startswith("_")} == set(BUILTIN) == set(LEAST)
    assert all(BUILTIN[name] == f"jobqueue.procs.{name}" for name in BUILTIN)


def test_asking_for_the_table_imports_none_of_them() -> None:
    code = "import sys, jobqueue.procs; print([name for name in sys.modules if name.startswith('jobqueue.procs.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", sorted(BUILTIN))
class TestEvery:
    def test_has_a_class_of_its_name_and_a_label(self, name: str) -> None:
        proc = make(name)
        assert type(proc).__name__ == name
        assert proc.label
        assert make(name, label="mine").label == "mine"

    def test_takes_only_parameters_with_free_names(self, name: str) -> None:
        assert not TAKEN & set(inspect.signature(type(make(name))).parameters)

    def test_has_defaults_that_can_be_stored(self, name: str) -> None:
        for parameter in inspect.signature(type(make(name))).parameters.values():
            if parameter.default is not parameter.empty:
                assert params.decode(params.encode(parameter.name, parameter.default)) == parameter.default

    def test_does_nothing_when_it_is_made(self, name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def forbidden(*args: object, **kwargs: object) -> None:
            raise AssertionError("a constructor has touched the system")

        monkeypatch.chdir(tmp_path)
        with monkeypatch.context() as context:
            for function in ("stat", "listdir", "scandir", "getcwd"):
                context.setattr(os, function, forbidden)
            context.setattr(subprocess, "Popen", forbidden)
            make(name)
            make(name)
        assert not list(tmp_path.iterdir())

    def test_refuses_a_label_that_is_no_text(self, name: str) -> None:
        with pytest.raises(TypeError, match="label must be text, not int"):
            make(name, label=3)

    def test_refuses_a_parameter_that_it_does_not_have(self, name: str) -> None:
        with pytest.raises(TypeError, match="nonsense"):
            make(name, nonsense=1)

    def test_says_in_its_documentation_what_each_parameter_is(self, name: str) -> None:
        proc = type(make(name))
        for parameter in inspect.signature(proc).parameters:
            assert f"        {parameter}: " in (proc.__doc__ or "")
