"""The procedure ``python``: calls a Python function."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from jobqueue.params import as_text
from jobqueue.proc import JobProc
from jobqueue.procs._check import check_text, choose_label


class python(JobProc):
    """Imports a function in the worker, calls it, and keeps what it returns as the job's result.

    Args:
        function: ``package.module:function``; after the colon also a dotted name, such as ``Class.method``. The module
            must be importable on the worker; nothing is imported when the job is submitted.
        args: positional arguments.
        kwargs: keyword arguments.
        label: see `JobProc`; the call by default.

    Raises:
        TypeError: a parameter has a wrong type.
        ValueError: ``function`` does not look like ``package.module:function``.
    """

    def __init__(
        self,
        function: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        label: str | None = None,
    ) -> None:
        self._module, self._attribute = _split(check_text("function", function))
        if not isinstance(args, (list, tuple)):
            raise TypeError(f"args must be a list or a tuple, not {type(args).__name__}")
        if kwargs is not None and not isinstance(kwargs, dict):
            raise TypeError(f"kwargs must be a dict, not {type(kwargs).__name__}")
        if kwargs is not None and not all(isinstance(name, str) for name in kwargs):
            raise TypeError("kwargs has a name that is no text")
        self._args = list(args)
        self._kwargs = dict(kwargs or {})
        words = [*map(as_text, self._args), *(f"{name}={as_text(value)}" for name, value in self._kwargs.items())]
        super().__init__(choose_label(label, f"{function}({', '.join(words)})"))

    def run(self) -> object:
        """Calls the function.

        Returns:
            What it returns.

        Raises:
            ImportError: the module cannot be imported on this worker, or has no such function.
            TypeError: it is nothing that can be called.
            Exception: whatever the function raises.
        """
        found: Any = importlib.import_module(self._module)
        for name in self._attribute.split("."):
            try:
                found = getattr(found, name)
            except AttributeError as error:
                raise ImportError(f"{self._module} has no {self._attribute} on this worker") from error
        if not callable(found):
            raise TypeError(f"{self._module}:{self._attribute} is a {type(found).__name__}, which cannot be called")
        return found(*self._args, **self._kwargs)


def _split(function: str) -> tuple[str, str]:
    module, colon, attribute = function.partition(":")
    if not colon or not all(name.isidentifier() for name in [*module.split("."), *attribute.split(".")]):
        raise ValueError(f"function is {function!r}; write package.module:function")
    return module, attribute
