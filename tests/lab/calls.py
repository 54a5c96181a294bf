"""Scripted calls on a share: what is called, who calls it, and what is answered.

A script is a list of steps ``(who, call, args)``. Its calls are those of `jobqueue.share.Share`, so that the same
script runs on a mounted share (`tests.lab.play`) and on anything else that is a `Share`. ``who`` is

- ``a``, ``b`` or ``c``: a host;
- ``a+b``: both call at once; ``{who}`` in an argument is then the host's letter;
- ``a!``: the reply to the call is lost and the server is restarted before the caller hears of it;
- ``-``: nobody; the call is ``wait SECONDS``, so that caches age and the server's clock ticks.

Paths are relative to the script's own directory, which host *a* has made. Answers are values of JSON; an error is
``{"error": "ENOENT"}``. Times of files are ranks within the script: only which of two is later can be compared.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jobqueue.share import Share

SCRIPTS = Path(__file__).with_name("scripts.json")
ANSWERS = Path(__file__).with_name("answers")

_SILLY = re.compile(r"\.nfs[0-9a-f]+|\.__smb[0-9a-f]+|\.smb[0-9a-f]+")
_GONE = re.compile(r"(\.gone-.*)-[0-9a-f]{8}")


class Step(NamedTuple):
    """One step of a script."""

    who: str
    call: str
    args: tuple[Any, ...]

    @property
    def hosts(self) -> list[str]:
        """The letters of those who call; empty for a wait."""
        return [] if self.who == "-" else self.who.rstrip("!").split("+")

    @property
    def is_lost(self) -> bool:
        """Whether the reply is lost and the server restarted."""
        return self.who.endswith("!")


class Script(NamedTuple):
    """A script: its name, what it is about, and its steps."""

    name: str
    about: str
    steps: tuple[Step, ...]


class Heard(NamedTuple):
    """What one step brought: the answers, one for each host that called, and what the server had after it.

    ``truth`` maps the path of each file to ``[text, time]`` and of each directory to ``None``.
    """

    answers: tuple[Any, ...]
    truth: dict[str, Any]


# Whether some share's answers to a script are allowed: None if they are, else why not.
Judge = Callable[[Script, list[Heard]], str | None]


def load_scripts(path: Path = SCRIPTS) -> list[Script]:
    """The scripts of the data file: ``{NAME: [ABOUT, [WHO, CALL, ARG...]...]}``; ``NAME*5`` is played five times."""
    found = []
    for name, (about, *steps) in json.loads(path.read_text()).items():
        base, _, times = name.partition("*")
        names = [f"{base}-{number}" for number in range(1, int(times) + 1)] if times else [base]
        parsed = tuple(Step(who, call, tuple(args)) for who, call, *args in steps)
        found += [Script(one, about, parsed) for one in names]
    return found


def recorded(share: str) -> dict[str, list[Heard]]:
    """What a kind of share answered when it was last recorded, by the script's name."""
    found = json.loads((ANSWERS / f"{share}.json").read_text())
    return {name: [Heard(tuple(answers), truth) for answers, truth in heard] for name, heard in found.items()}


class Caller:
    """Makes the calls of scripts on one host.

    Args:
        share: to call with.
        base: the directory in which each script has its own.
    """

    def __init__(self, share: Share, base: str) -> None:
        self._share = share
        self._base = base
        self._held: dict[str, Any] = {}

    def make_script_dir(self, script: str) -> None:
        self._share.make_dir(f"{self._base}/{script}")

    def answer(self, script: str, call: str, *args: Any) -> Any:
        """Makes one call; its answer as a value of JSON, times still in seconds."""
        try:
            return getattr(self, f"_do_{call}")(f"{self._base}/{script}", *args)
        except OSError as error:
            return {"error": errno.errorcode.get(error.errno or 0, repr(error))}
        except Exception as error:
            return {"error": repr(error)}

    # --- looking

    def _do_list(self, base: str, path: str) -> list[str]:
        return _plain_names(self._share.names(_join(base, path)))

    def _do_afresh(self, base: str, path: str) -> list[str]:
        return _plain_names(self._share.names_afresh(_join(base, path)))

    def _do_is_dir(self, base: str, path: str) -> bool:
        return self._share.is_dir(f"{base}/{path}")

    def _do_stat(self, base: str, path: str) -> dict[str, float]:
        return {"time": _rounded(self._share.mode_and_owner(f"{base}/{path}")[2] / 1e9)}

    def _do_changed(self, base: str, path: str) -> dict[str, float] | None:
        seen = self._share.changed_at(f"{base}/{path}")
        return None if seen is None else {"time": _rounded(seen)}

    def _do_size(self, base: str, path: str) -> int:
        return self._share.size(f"{base}/{path}")

    def _do_read(self, base: str, path: str) -> str:
        return self._share.read(f"{base}/{path}").decode()

    # --- writing

    def _do_create(self, base: str, path: str) -> None:
        self._share.create(f"{base}/{path}")

    def _do_write_new(self, base: str, path: str, text: str) -> None:
        self._share.write_new(f"{base}/{path}", text.encode())

    def _do_write_whole(self, base: str, path: str, text: str) -> None:
        self._share.write_whole(f"{base}/{path}", text.encode())

    def _do_append(self, base: str, path: str, text: str) -> None:
        self._share.append_once(f"{base}/{path}", text.encode())

    def _do_touch(self, base: str, path: str) -> None:
        self._share.touch(f"{base}/{path}")

    # --- moving

    def _do_rename(self, base: str, source: str, target: str) -> None:
        answer = self._share.swap(f"{base}/{source}", f"{base}/{target}")
        if answer is not None:
            raise answer

    def _do_move(self, base: str, source: str, target: str) -> bool:
        """A rename with the second look."""
        source_dir, _, name = source.rpartition("/")
        target_dir, _, new_name = target.rpartition("/")
        return self._share.try_move(f"{base}/{source_dir}", name, f"{base}/{target_dir}", new_name)

    def _do_unlink(self, base: str, path: str) -> bool:
        return self._share.try_unlink(f"{base}/{path}")

    def _do_take_out(self, base: str, path: str) -> None:
        directory, _, name = path.rpartition("/")
        self._share.take_out(f"{base}/{directory}", name)

    def _do_mkdir(self, base: str, path: str) -> None:
        self._share.make_dir(f"{base}/{path}")

    def _do_rmdir(self, base: str, path: str) -> str:
        return self._share.remove_dir(f"{base}/{path}").value

    # --- holding

    def _do_hold(self, base: str, path: str) -> None:
        """Opens a file to append to it, and keeps it open."""
        self._held[path] = self._share.append_to(f"{base}/{path}")

    def _do_drop(self, _base: str, path: str) -> None:
        self._held.pop(path).close()

    def _do_lock(self, base: str, path: str) -> None:
        self._held[path] = self._share.lock(f"{base}/{path}")

    def _do_unlock(self, _base: str, path: str) -> None:
        self._held.pop(path).release()


def with_ranks(heard: list[Heard]) -> list[Heard]:
    """The same with each time as its rank among all that the script has seen."""
    times = sorted({time for one in heard for time in _times(one)})
    rank = {time: place for place, time in enumerate(times)}
    return [
        Heard(
            tuple(
                {"time": rank[answer["time"]]} if isinstance(answer, dict) and "time" in answer else answer
                for answer in one.answers
            ),
            {path: [found[0], rank[found[1]]] if found else None for path, found in one.truth.items()},
        )
        for one in heard
    ]


def _times(heard: Heard) -> Iterator[float]:
    for answer in heard.answers:
        if isinstance(answer, dict) and "time" in answer:
            yield answer["time"]
    for found in heard.truth.values():
        if found:
            yield found[1]


def _rounded(seconds: float) -> float:
    """SMB counts in steps of 100 ns; finer than that no two answers need to agree."""
    return round(seconds, 5)


def _join(base: str, path: str) -> str:
    return base if path == "." else f"{base}/{path}"


def _plain_names(names: list[str]) -> list[str]:
    """Sorted; what the client calls a file that was removed while open is nobody's business but that it is there."""
    return sorted(map(plain_name, names))


def plain_name(name: str) -> str:
    return _GONE.sub(r"\1", _SILLY.sub(".removed-while-open", name))


def truth_of(directory: Path) -> dict[str, Any]:
    """What the server has below a directory."""
    found: dict[str, Any] = {}
    for path in sorted(directory.rglob("*")):
        name = plain_name(str(path.relative_to(directory)))
        found[name] = None if path.is_dir() else [path.read_text(), _rounded(path.stat().st_mtime_ns / 1e9)]
    return found
