"""The table of docs/design/shares.md, row by row, held against what the scripts were answered.

The page is what people read, so it is the page that is tested: a cell stands for what may have been seen, and a cell
that nobody here can read is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.lab.calls import Heard, load_scripts
from tests.lab.guest import PROJECT

PAGE = PROJECT / "docs" / "design" / "shares.md"

_COLUMNS = {"nfs4.2": "NFSv4.2", "nfs3": "NFSv3", "smb": "SMB 3.1.1"}


class Answers:
    """What the scripts were answered on one kind of share.

    Args:
        heard: by the script's name.
    """

    def __init__(self, heard: dict[str, list[Heard]]) -> None:
        self._heard = heard
        self._steps = {script.name: script.steps for script in load_scripts()}

    def of(self, script: str, number: int) -> Any:
        """The answer to a script's step, counted from 1."""
        return self._heard[script][number - 1].answers[0]

    def word(self, script: str, number: int) -> str:
        """The same in a word: the error's name, ``done``, or the answer itself."""
        answer = self.of(script, number)
        if isinstance(answer, dict) and "error" in answer:
            return str(answer["error"])
        if answer is False or answer == "missing":
            # What Share makes of ENOENT.
            return "ENOENT"
        return "done" if answer in (None, True, "removed") else str(answer)

    def plays(self, script: str) -> list[str]:
        """The names under which a script was played several times."""
        return [name for name in self._heard if name.startswith(f"{script}-")]

    def listings(self, script: str) -> list[tuple[str, bool]]:
        """For each time that host b listed: by which call, and whether what the server had was all there."""
        found = []
        for step, heard in zip(self._steps[script], self._heard[script], strict=True):
            if step.who == "b" and step.call in ("list", "afresh"):
                parts = [path.rpartition("/") for path in heard.truth]
                there = {name for parent, _, name in parts if parent == step.args[0]}
                found.append((step.call, there <= set(heard.answers[0])))
        return found


def _stat_finds_it(answers: Answers) -> str:
    return "later" if "ENOENT" in (answers.word("negative_stat", 4), answers.word("negative_cure", 5)) else "at once"


def _what_cures(answers: Answers) -> str:
    for number, cure in ((5, "nothing"), (7, "opening"), (9, "listing")):
        if answers.word("negative_cure", number) == "done":
            return cure
    return "none"


def _same_tick(answers: Answers) -> str:
    seen = [one for play in answers.plays("same_tick_seen") for one in answers.listings(play)]
    seen += [one for play in answers.plays("same_tick_many") for one in answers.listings(play)]
    if not all(is_whole for call, is_whole in seen if call == "afresh"):
        return "not cured"
    return "never" if all(is_whole for _, is_whole in seen) else "cured"


def _renamed_dir(answers: Answers) -> str:
    words = {answers.word(play, 7) for play in answers.plays("replaced_dir")}
    return "lands" if "done" in words else "/".join(sorted(words))


def _beat_by_stat(answers: Answers) -> str:
    return "at once" if answers.of("beat_by_stat", 5) == answers.of("beat_by_stat", 6) else "later"


def _beat_by_opening(answers: Answers) -> str:
    ranks = [answers.of("beat", number)["time"] for number in (2, 5, 8)]
    return "at once" if ranks == sorted(set(ranks)) else "later"


def _replaced_file(answers: Answers) -> str:
    return answers.word("positive_replaced", 5)


class _Row(NamedTuple):
    """A row: how it begins, what was seen of it, and what may have been seen where a cell begins so.

    ``same`` in a cell means the cell to its left.
    """

    begins: str
    seen: Callable[[Answers], str]
    reading: dict[str, set[str]]


_ANSWER = {"ENOENT": {"ENOENT"}, "done, or ENOENT": {"done", "ENOENT"}, "done": {"done"}}

_ROWS = [
    _Row("*b* has looked for a name", lambda answers: answers.word("negative_rename", 4), _ANSWER),
    _Row(
        "the same; `stat` on *b* finds it after",
        _stat_finds_it,
        {"30 s": {"later"}, "more than 75 s": {"later"}, "1 s": {"at once", "later"}},
    ),
    _Row(
        "the same; what makes *b* look again",
        _what_cures,
        {"opening": {"opening"}, "nothing needed": {"nothing"}},
    ),
    # How often depends on how fast the hosts come one after the other.
    _Row(
        "*a* makes an entry in the same tick",
        _same_tick,
        {"never": {"never"}, "16 times of 20; after setting": {"never", "cured"}},
    ),
    _Row(
        "*a* renames a directory",
        _renamed_dir,
        {"the file lands": {"lands"}, "ENOENT": {"ENOENT"}},
    ),
    _Row("*a* removes a directory", lambda answers: answers.word("removed_dir_rename", 7), _ANSWER),
    _Row(
        "a process removes a file that it has open",
        lambda answers: answers.word("silly_rename", 5),
        {"ENOTEMPTY": {"not empty"}},
    ),
    _Row(
        "*a* has made a file and closed it",
        lambda answers: f"{answers.word('pending_removal', 5)}, {answers.word('pending_removal', 8)}",
        {"done": {"done, ENOENT"}, "ENOTEMPTY": {"done, ENOENT", "not empty, done"}},
    ),
    _Row(
        "*a* holds a lock",
        lambda answers: answers.word("lock", 2),
        {"refused": {"EAGAIN", "EACCES"}},
    ),
    _Row(
        "*a* sets a file's time as a beat",
        _beat_by_stat,
        {"seconds later": {"later"}, "at once, or": {"at once", "later"}},
    ),
    _Row("the same with `open` and `fstat`", _beat_by_opening, {"at once": {"at once"}}),
    _Row(
        "*a* replaces a file by a rename",
        _replaced_file,
        {"the new one": {"newer"}, "the old one, or": {"newer", "old", "EINVAL", "ESTALE"}},
    ),
    _Row("the server restarts while a rename", lambda answers: answers.word("lost_rename", 3), _ANSWER),
    _Row(
        "the same with unlink and rmdir",
        lambda answers: " and ".join(sorted({answers.word("lost_unlink", 3), answers.word("lost_rmdir", 2)})),
        _ANSWER,
    ),
    _Row("the same with mkdir", lambda answers: answers.word("lost_mkdir", 1), _ANSWER),
]


def rows() -> list[str]:
    """How the rows begin, in the page's order."""
    return [row.begins for row in _ROWS]


def table(page: Path = PAGE) -> dict[str, dict[str, str]]:
    """The page's first table: what each row says, by the share's kind; "the same" is the cell to the left."""
    lines = [line for line in page.read_text().splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found: dict[str, dict[str, str]] = {}
    for first, *cells in body:
        if len(cells) != len(head) - 1:
            break
        for number, cell in enumerate(cells):
            if cell == "the same":
                cells[number] = cells[number - 1]
        found[first] = {kind: cells[head.index(column) - 1] for kind, column in _COLUMNS.items()}
    return found


def judge(begins: str, kind: str, answers: Answers, page: Path = PAGE) -> str | None:
    """``None`` if what was seen is what a row of the page says of a kind of share, else both."""
    row = next(row for row in _ROWS if row.begins == begins)
    said = next((cells[kind] for first, cells in table(page).items() if first.startswith(begins)), None)
    if said is None:
        return f"the page has no row that begins with {begins!r}"
    # The longest beginning that fits is the most exact one.
    fitting = sorted((words for words in row.reading if said.startswith(words)), key=len)
    if not fitting:
        return f"the page says {said!r}, which nobody here can read"
    seen = row.seen(answers)
    return None if seen in row.reading[fitting[-1]] else f"the page says {said!r}, seen was {seen!r}"
