"""Whether answers keep what the design page wants of a file system (docs/design/shares.md).

A share may forget, be late, and say ENOENT of what it has done. It may not do what it was not asked for, do half of it,
say that it has done what it has not, or hide an entry from a listing afresh.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.lab.calls import Heard, Script, Step

_OTHER = "something else changed"


class _Case(NamedTuple):
    """One call, its answer, and what the server had before and after the step."""

    args: list[str]
    answer: Any
    before: dict[str, Any]
    after: dict[str, Any]
    # What each path has held until now.
    held: dict[str, list[str]]

    @property
    def is_error(self) -> bool:
        return isinstance(self.answer, dict) and "error" in self.answer


def allowed(script: Script, heard: list[Heard]) -> str | None:
    """``None`` if the answers to a script keep the promises, else which one was broken, where.

    Args:
        script: what was called.
        heard: what each step brought.
    """
    before: dict[str, Any] = {}
    held: dict[str, list[str]] = {}
    doomed: set[str] = set()
    for number, (step, one) in enumerate(zip(script.steps, heard, strict=True), 1):
        # SMB: what was removed while a host had it open goes when that host closes it, a second later if it likes.
        before = _without(before, *(doomed - set(one.truth)))
        if why := _judge_step(step, one, before, held):
            return f"{script.name}, step {number} ({step.who} {step.call} {step.args}): {why}; {one.answers}, {before}"
        if step.call == "unlink" and True in one.answers:
            doomed.add(step.args[0])
        # NFS: the client removes its silly name after it has closed the file.
        doomed.update(path for path in one.truth if "/.gone-" in path or path.endswith(".removed-while-open"))
        before = one.truth
        for path, found in before.items():
            if found:
                held.setdefault(path, []).append(found[0])
    return None


def _judge_step(step: Step, heard: Heard, before: dict[str, Any], held: dict[str, list[str]]) -> str | None:
    if not step.hosts:
        return None if heard.truth == before else "something changed though nobody called"
    cases = [
        _Case([str(arg).replace("{who}", who) for arg in step.args], answer, before, heard.truth, held)
        for who, answer in zip(step.hosts, heard.answers, strict=True)
    ]
    for case in cases:
        if case.is_error and case.answer["error"] not in errno.errorcode.values():
            return "the call did not come to an end"
        if why := _RULES[step.call](case):
            return why
    if step.call in ("rename", "mkdir", "unlink") and len(cases) > 1:
        won = [case for case in cases if case.answer in (None, True)]
        if len(won) > 1:
            return "an exclusive call was done for more than one"
    return None


def _without(tree: dict[str, Any], *paths: str) -> dict[str, Any]:
    return {path: found for path, found in tree.items() if path not in paths}


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """The same names and texts; times may differ."""
    return {path: found and found[0] for path, found in one.items()} == {
        path: found and found[0] for path, found in other.items()
    }


def _looks(case: _Case) -> str | None:
    return None if case.after == case.before else "a look changed something"


def _lists(case: _Case) -> str | None:
    return None if _same(case.before, case.after) else "a listing changed something"


def _lists_afresh(case: _Case) -> str | None:
    if why := _lists(case):
        return why
    names = _children(case.after, case.args[0])
    if names is None:
        return None if case.is_error else "a directory was listed that is gone"
    return None if case.answer == names else f"a listing afresh differs from {names}"


def _children(tree: dict[str, Any], directory: str) -> list[str] | None:
    if directory != "." and tree.get(directory, "") is not None:
        return None
    parts = [path.rpartition("/") for path in tree]
    return sorted(name for parent, _, name in parts if parent == directory.removeprefix("."))


def _opens(case: _Case) -> str | None:
    """Opening asks the server; only a name that was missing can stay missing."""
    if why := _looks(case):
        return why
    found = case.after.get(case.args[0])
    if found is None or case.answer is None or case.is_error:
        return None
    return None if case.answer["time"] == found[1] else "opening showed an old time"


def _replaced(case: _Case) -> list[str]:
    """What files held that this one has replaced: a host that had one open lately may still show it."""
    text = case.after[case.args[0]][0]
    return [old for old in case.held.get(case.args[0], []) if not old or not text.startswith(old)]


def _reads(case: _Case) -> str | None:
    """Reading what was closed elsewhere, after opening it anew, gives what was written."""
    if why := _looks(case):
        return why
    found = case.after.get(case.args[0])
    if found is None or case.is_error or case.answer in (found[0], *_replaced(case)):
        return None
    return "what was read is not what was written"


def _sizes(case: _Case) -> str | None:
    if why := _looks(case):
        return why
    found = case.after.get(case.args[0])
    if found is None or case.is_error or case.answer in (0, *map(len, (found[0], *_replaced(case)))):
        return None
    return "the size is not that of the file"


def _writes(case: _Case) -> str | None:
    path, text = case.args[0], case.args[1] if len(case.args) > 1 else ""
    if path not in case.after:
        # By the path that the host remembers: the directory may have been renamed.
        name = path.rpartition("/")[2]
        path = next((new for new in case.after if new not in case.before and new.rpartition("/")[2] == name), path)
    if not _same(_without(case.before, path), _without(case.after, path)):
        return _OTHER
    if case.is_error:
        return None
    if path not in case.after:
        return "it was not written, and said to be"
    return None if case.after[path][0].endswith(text) else "it is not what was written"


def _moves(case: _Case) -> str | None:
    """A rename is done once and whole, or not at all; whoever hears of success has moved it."""
    source, target = case.args
    if _same(case.before, case.after):
        if case.answer is None or (case.answer is True and target not in case.before):
            return "it was not done, and said to be"
        return None
    if source in case.after or source not in case.before:
        return _OTHER
    new = [path for path in case.after if path not in case.before or path == target]
    if len(new) != 1:
        return "the file is not at one new place"
    return None if _same(_without(case.before, source, *new), _without(case.after, *new)) else _OTHER


def _removes(case: _Case) -> str | None:
    path = case.args[0]
    silly = [name for name in case.after if name.endswith(".removed-while-open")]
    return None if _same(_without(case.before, path, *silly), _without(case.after, path, *silly)) else _OTHER


def _takes_out(case: _Case) -> str | None:
    path = case.args[0]
    if case.answer is None and path in case.after:
        return "its name is still there"
    gone = [name for name in case.after if "/.gone-" in name]
    return None if _same(_without(case.before, path, *gone), _without(case.after, path, *gone)) else _OTHER


def _makes(case: _Case) -> str | None:
    path = case.args[0]
    if case.answer is None and (path in case.before or path not in case.after):
        return "it was not made, and said to be"
    return None if _same(_without(case.before, path), _without(case.after, path)) else _OTHER


def _removes_dir(case: _Case) -> str | None:
    path = case.args[0]
    if case.answer == "removed" and path in case.after:
        return "it was not removed, and said to be"
    if path not in case.after and any(name.startswith(f"{path}/") for name in case.before):
        return "a directory with something in it was removed"
    return None if _same(_without(case.before, path), _without(case.after, path)) else _OTHER


def _anything(_case: _Case) -> str | None:
    """Holding a file open, and locks, of which nothing is wanted."""
    return None


_RULES: dict[str, Callable[[_Case], str | None]] = {
    "list": _lists,
    "afresh": _lists_afresh,
    "is_dir": _looks,
    "stat": _looks,
    "changed": _opens,
    "size": _sizes,
    "read": _reads,
    "create": _writes,
    "write_new": _writes,
    "write_whole": _writes,
    "append": _writes,
    "touch": _lists,
    "rename": _moves,
    "move": _moves,
    "unlink": _removes,
    "take_out": _takes_out,
    "mkdir": _makes,
    "rmdir": _removes_dir,
    "hold": _anything,
    "drop": _anything,
    "lock": _anything,
    "unlock": _anything,
}
