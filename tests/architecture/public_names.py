"""What is public, as text: ``python -m tests.architecture.public_names`` writes public_names.txt."""

from __future__ import annotations

import inspect
from enum import Enum
from pathlib import Path

import jobqueue
from jobqueue.options import JobOptions

FILE = Path(__file__).with_name("public_names.txt")


def describe() -> str:
    """The public names of the package with their signatures, one a line."""
    lines = []
    for name in sorted(jobqueue.__all__):
        found = getattr(jobqueue, name)
        if not inspect.isclass(found):
            lines.append(_call(f"jobqueue.{name}", found))
        elif issubclass(found, Enum):
            lines.append(f"jobqueue.{name}: {', '.join(found.__members__)}")
        else:
            lines += _describe_class(f"jobqueue.{name}", found)
    lines += _describe_class("Job.options", JobOptions)
    return "\n".join(lines) + "\n"


def _describe_class(name: str, kind: type) -> list[str]:
    lines = [_call(name, kind)]
    members = {member for base in kind.__mro__[:-1] if base.__module__.startswith("jobqueue") for member in vars(base)}
    for base in kind.__mro__:
        members |= set(vars(base).get("__annotations__", ()))
    for member in sorted(member for member in members if not member.startswith("_")):
        found = inspect.getattr_static(kind, member, None)
        if isinstance(found, property):
            assert found.fget is not None
            lines.append(f"    {member}: {_plain(found.fget.__annotations__['return'])}")
        elif inspect.isfunction(found):
            lines.append(f"    {_call(member, found)}")
        else:
            annotations = {
                key: value for base in kind.__mro__ for key, value in vars(base).get("__annotations__", {}).items()
            }
            lines.append(f"    {member}: {_plain(annotations.get(member, 'set by the constructor'))}")
    return lines


def _call(name: str, found: object) -> str:
    return f"{name}{_plain(str(inspect.signature(found)))}"  # type: ignore[arg-type]


def _plain(annotation: object) -> str:
    return str(annotation).replace("'", "")


if __name__ == "__main__":
    FILE.write_text(describe())
