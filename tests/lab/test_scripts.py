"""What two clients of a real share are answered is what the design page says, and what the promises allow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jobqueue.testing import Anomalies
from tests.lab import facts, judge, modelled
from tests.lab.calls import Heard, Script, Step, load_scripts, recorded
from tests.lab.guest import SHARES, kinds_to_try

_SCRIPTS = {script.name: script for script in load_scripts()}


def _heard(path: Path) -> dict[str, list[Heard]]:
    found = json.loads(path.read_text())
    return {name: [Heard(tuple(answers), truth) for answers, truth in heard] for name, heard in found.items()}


@pytest.mark.lab("scripts")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", kinds_to_try())
def test_a_real_share_keeps_the_promises(kind: str, guest_part: Callable[[str, str], Path]) -> None:
    heard = _heard(guest_part(kind, "scripts"))
    assert set(heard) == set(_SCRIPTS)
    assert [why for name, steps in heard.items() if (why := judge.allowed(_SCRIPTS[name], steps))] == []


@pytest.mark.lab("scripts")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("begins", facts.rows())
@pytest.mark.parametrize("kind", kinds_to_try())
def test_the_design_page_says_what_is_seen(kind: str, begins: str, guest_part: Callable[[str, str], Path]) -> None:
    answers = facts.Answers(_heard(guest_part(kind, "scripts")))
    assert facts.judge(begins, kind, answers) is None


@pytest.mark.parametrize("kind", SHARES)
def test_what_was_recorded_keeps_the_promises(kind: str) -> None:
    heard = recorded(kind)
    assert set(heard) == set(_SCRIPTS)
    assert [why for name, steps in heard.items() if (why := judge.allowed(_SCRIPTS[name], steps))] == []


@pytest.mark.lab("scripts")
@pytest.mark.fresh
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", kinds_to_try())
def test_the_model_share_allows_what_a_real_one_does(kind: str, guest_part: Callable[[str, str], Path]) -> None:
    heard = _heard(guest_part(kind, "scripts"))
    assert [why for name, steps in heard.items() if (why := modelled.allowed(_SCRIPTS[name], steps, kind))] == []


@pytest.mark.parametrize("kind", SHARES)
def test_the_model_share_allows_what_was_recorded(kind: str) -> None:
    heard = recorded(kind)
    assert [why for name, steps in heard.items() if (why := modelled.allowed(_SCRIPTS[name], steps, kind))] == []


@pytest.mark.parametrize(
    ("name", "step", "answer"),
    [
        # A rename that was done is told to fail though nothing was lost.
        ("own_entries", 5, {"error": "ENOENT"}),
        # A host does not see what it has made itself.
        ("own_entries", 4, []),
        # A listing afresh hides an entry.
        ("same_tick_many-1", 9, ["1", "2"]),
        # Opening shows an old time.
        ("beat", 5, {"time": 0}),
        # Both make one directory.
        ("race_mkdir", 4, None),
        # What was closed elsewhere is not what is read.
        ("journal", 4, "1\n"),
        # An error that nobody has seen.
        ("positive_renamed", 4, {"error": "EMFILE"}),
    ],
)
def test_the_model_share_does_not_allow_what_no_kernel_does(name: str, step: int, answer: object) -> None:
    heard = recorded("nfs4.2")[name]
    given = heard[step - 1]
    assert answer not in given.answers or name == "race_mkdir", "it is what was recorded"
    heard[step - 1] = Heard((answer,) * len(given.answers), given.truth)
    why = modelled.allowed(_SCRIPTS[name], heard, "nfs4.2")
    assert why is not None and f"step {step} " in why


def test_a_silly_name_may_go_after_its_file_was_closed() -> None:
    heard = recorded("nfs4.2")["silly_rename"]
    closed = heard[7]
    heard[7] = Heard(closed.answers, {**closed.truth, "d/.removed-while-open": ["", 0]})
    assert judge.allowed(_SCRIPTS["silly_rename"], heard) is None
    assert modelled.allowed(_SCRIPTS["silly_rename"], heard, "nfs4.2") is None


def test_a_switch_that_is_off_allows_less(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = {kind: (mounted, Anomalies()) for kind, (mounted, _) in modelled.SWITCHES.items()}
    monkeypatch.setattr(modelled, "SWITCHES", honest)
    heard = recorded("nfs3")
    refused = {name for name, steps in heard.items() if modelled.allowed(_SCRIPTS[name], steps, "nfs3")}
    assert {"negative_rename", "silly_rename", "beat_by_stat"} <= refused
    assert {"own_entries", "lost_rename", "race_rename", "journal"}.isdisjoint(refused)


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
