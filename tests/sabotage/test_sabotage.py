"""Breaking the protocol on purpose makes tests fail: a part of the sabotages a day, `make sabotage` all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sabotage.__main__ import ROOT, Outcome, StaleSabotageError, chosen, spoil, try_one
from tests.sabotage.sabotages import SABOTAGES, Sabotage
from tests.support_points import PART, part_of

# So many days until each had its turn; six or so take a minute.
_PARTS = 9
_NAMES = [sabotage.name for sabotage in SABOTAGES]


@pytest.mark.parametrize("name", part_of(_NAMES, "sabotages", _PARTS), ids=lambda name: f"{name}-{PART}")
def test_the_tests_catch_a_sabotage_within_a_minute(name: str) -> None:
    (sabotage,) = chosen([name], None)
    trial = try_one(sabotage)
    assert trial.outcome is Outcome.CAUGHT, f"{sabotage.breaks}: {trial.outcome.value}\n{trial.said}"


def test_every_sabotage_finds_its_line_once_and_its_tests() -> None:
    assert len(set(_NAMES)) == len(_NAMES) >= 25
    for sabotage in SABOTAGES:
        assert (ROOT / sabotage.file).read_text().count(sabotage.line) == 1, sabotage.name
        for argument in sabotage.tests:
            assert not argument.startswith("tests/") or (ROOT / argument).exists(), sabotage.name


@pytest.mark.parametrize("text", ["nothing", "one\none\n"])
def test_a_sabotage_whose_line_is_not_there_once_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(StaleSabotageError, match="spoiled"):
        spoil(Sabotage("spoiled", "file", "one\n", "two\n", "nothing", ()), tmp_path)
    assert (tmp_path / "file").read_text() == text


def test_parts_make_up_the_whole() -> None:
    parts = [chosen([], f"{number}/4") for number in range(1, 5)]
    assert sorted(sabotage.name for part in parts for sabotage in part) == sorted(_NAMES)
