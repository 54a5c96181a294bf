"""How a job is scheduled: a validated record on `Job.options`, with defaults in queue.cfg (public)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobqueue.errors import OptionError
from jobqueue.names import PRIORITY_MAX, PRIORITY_MIN

DEFAULT_MAX_ATTEMPTS = 3
DEFAULT_MAX_ERRORS = 1


def _attempts(value: Any) -> bool:
    return type(value) is int and value >= 1


def _seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _priority(value: Any) -> bool:
    return type(value) is int and PRIORITY_MIN <= value <= PRIORITY_MAX


# Name, what is allowed, and the words for it.
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "maxAttempts": (_attempts, "a whole number, 1 or more"),
    "maxErrors": (_attempts, "a whole number, 1 or more"),
    "timeout": (_seconds, "a number of seconds above 0"),
    "priority": (_priority, f"a whole number from {PRIORITY_MIN} to {PRIORITY_MAX}"),
}
OPTION_NAMES = frozenset(_RULES)


def check_option(name: str, value: Any) -> None:
    """Raises `OptionError` if there is no such option or the value is out of its range."""
    if name not in _RULES:
        raise OptionError(f"there is no option {name}; the options are {', '.join(sorted(_RULES))}")
    allowed, words = _RULES[name]
    if not allowed(value):
        raise OptionError(f"option {name} is {value!r}, but has to be {words}")


def check_stored(options: Mapping[str, Any]) -> None:
    """Raises `OptionError` if a stored option is out of its range; those that only a later version knows are let be."""
    for name, value in options.items():
        if name in _RULES:
            check_option(name, value)


class JobOptions:
    """How a job is scheduled. ``None`` means: as queue.cfg says, under ``[NAME proc]``, else under ``[main]``.

    Attributes:
        maxAttempts: how often the job may die under a worker before it has failed; 1 or more, by default 3.
        maxErrors: how many of its attempts may end with an error of their own, or overrun the timeout, before it has
            failed; 1 or more, by default 1. Deaths do not count for it, nor its errors for maxAttempts.
        timeout: seconds after which an attempt is ended and has failed; by default none.
        priority: of the whole top-level job, -499..500, higher first, by default 0; only for a `JobRoot`.

    Raises:
        OptionError: a value is out of its range, or there is no such option.
    """

    __slots__ = ("_is_root", "_values")

    maxAttempts: int | None
    maxErrors: int | None
    timeout: float | None
    priority: int | None

    def __init__(self, *, is_root: bool = False) -> None:
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_is_root", is_root)

    def __getattr__(self, name: str) -> Any:
        if name not in _RULES:
            raise AttributeError(f"there is no option {name}; the options are {', '.join(sorted(_RULES))}")
        return self._values.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if value is None and name in _RULES:
            self._values.pop(name, None)
            return
        check_option(name, value)
        if name == "priority" and not self._is_root:
            raise OptionError("option priority belongs to the whole top-level job; set it on the JobRoot")
        self._values[name] = value

    def __repr__(self) -> str:
        return f"JobOptions({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"

    def stored(self) -> dict[str, Any]:
        """The options that were set, to be stored."""
        return dict(self._values)


def effective_options(*levels: Mapping[str, Any]) -> dict[str, Any]:
    """The options that hold for one job; the first level that sets one wins."""
    found: dict[str, Any] = {
        "maxAttempts": DEFAULT_MAX_ATTEMPTS, "maxErrors": DEFAULT_MAX_ERRORS, "timeout": None, "priority": 0,
    }  # fmt: skip
    for level in reversed(levels):
        found.update(level)
    return found
