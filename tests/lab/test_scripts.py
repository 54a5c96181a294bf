"""What two clients of a real share are answered is what the design page says, and what the promises allow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import facts, judge
from tests.lab.calls import Heard, Script, Step, load_scripts, recorded
from tests.lab.guest import SHARES

_SCRIPTS = {script.name: script for script in load_scripts()}


def _heard(path: Path) -> dict[str, list[Heard]]:
    found = json.loads(path.read_text())
    return {name: [Heard(tuple(answers), truth) for answers, truth in heard] for name, heard in found.items()}


@pytest.mark.lab("scripts")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", SHARES)
def test_a_real_share_keeps_the_promises(kind: str, guest_part: Callable[[str, str], Path]) -> None:
    heard = _heard(guest_part(kind, "scripts"))
    assert set(heard) == set(_SCRIPTS)
    assert [why for name, steps in heard.items() if (why := judge.allowed(_SCRIPTS[name], steps))] == []


@pytest.mark.lab("scripts")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("begins", facts.rows())
@pytest.mark.parametrize("kind", SHARES)
def test_the_design_page_says_what_is_seen(kind: str, begins: str, guest_part: Callable[[str, str], Path]) -> None:
    answers = facts.Answers(_heard(guest_part(kind, "scripts")))
    assert facts.judge(begins, kind, answers) is None


@pytest.mark.parametrize("kind", SHARES)
def test_what_was_recorded_keeps_the_promises(kind: str) -> None:
    heard = recorded(kind)
    assert set(heard) == set(_SCRIPTS)
    assert [why for name, steps in heard.items() if (why := judge.allowed(_SCRIPTS[name], steps))] == []


@pytest.mark.parametrize("begins", facts.rows())
@pytest.mark.parametrize("kind", SHARES)
def test_the_design_page_says_what_was_recorded(kind: str, begins: str) -> None:
    assert facts.judge(begins, kind, facts.Answers(recorded(kind))) is None


def test_every_row_of_the_page_is_held_against_something() -> None:
    assert [first for first in facts.table() if not any(first.startswith(begins) for begins in facts.rows())] == []


def test_a_page_that_says_something_else_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(facts.PAGE.read_text().replace("ENOENT | ENOENT | done |", "done | ENOENT | done |", 1))
    answers = facts.Answers(recorded("nfs4.2"))
    why = facts.judge("*b* has looked for a name", "nfs4.2", answers, page)
    assert why == "the page says 'done', seen was 'ENOENT'"
    page.write_text(facts.PAGE.read_text().replace("ENOENT | ENOENT | done |", "perhaps | ENOENT | done |", 1))
    assert "nobody here can read" in str(facts.judge("*b* has looked for a name", "nfs4.2", answers, page))


_FILE = {"d": None, "d/x": ["", 0]}


@pytest.mark.parametrize(
    ("step", "answer", "before", "after"),
    [
        (("b", "rename", ("d/x", "d/y")), None, _FILE, _FILE),
        (("b", "rename", ("d/x", "d/y")), {"error": "ENOENT"}, _FILE, {**_FILE, "d/y": ["", 0]}),
        (("b", "rename", ("d/x", "d/y")), None, _FILE, {"d": None}),
        (("b", "move", ("d/x", "d/y")), True, _FILE, _FILE),
        (("a+b", "rename", ("d/x", "d/{who}")), (None, None), _FILE, {"d": None, "d/a": ["", 0]}),
        (("a+b", "mkdir", ("d/n",)), (None, None), {"d": None}, {"d": None, "d/n": None}),
        (("b", "mkdir", ("d/x",)), None, _FILE, _FILE),
        (("b", "unlink", ("d/x",)), True, {**_FILE, "d/y": ["", 0]}, {"d": None}),
        (("b", "rmdir", ("d",)), "removed", _FILE, {}),
        (("b", "rmdir", ("d",)), "removed", {"d": None}, {"d": None}),
        (("b", "afresh", ("d",)), [], _FILE, _FILE),
        (("b", "afresh", ("d",)), ["x"], {}, {}),
        (("b", "list", ("d",)), ["x"], _FILE, {"d": None}),
        (("b", "changed", ("d/x",)), {"time": 0}, {"d/x": ["", 1]}, {"d/x": ["", 1]}),
        (("b", "read", ("d/x",)), "1\n", {"d/x": ["1\n2\n", 1]}, {"d/x": ["1\n2\n", 1]}),
        (("b", "size", ("d/x",)), 1, {"d/x": ["12", 1]}, {"d/x": ["12", 1]}),
        (("b", "write_new", ("d/x", "one")), None, {}, {"d/x": ["on", 1]}),
        (("b", "create", ("d/z",)), None, _FILE, _FILE),
        (("b", "read", ("d/x",)), "old", {"d/x": ["new", 1]}, {"d/x": ["new", 1]}),
        (("b", "stat", ("d/x",)), {"error": "ValueError('x')"}, _FILE, _FILE),
        (("-", "wait", (1,)), (), _FILE, {"d": None}),
    ],
)  # fmt: skip
def test_a_share_that_breaks_a_promise_is_found(
    step: tuple[str, str, tuple[str, ...]], answer: object, before: dict[str, object], after: dict[str, object]
) -> None:
    script = Script("planted", "", (Step("a", "hold", ("d/x",)), Step(*step)))
    answers = answer if isinstance(answer, tuple) else (answer,)
    assert judge.allowed(script, [Heard((None,), before), Heard(answers, after)]) is not None
