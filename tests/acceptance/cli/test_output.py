"""Tables, colours and times."""

from __future__ import annotations

import sys

import pytest

from jobqueue.cli import _output
from tests.acceptance.cli.conftest import Cli


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the class, since pytest makes a new one for the test itself.
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_columns_are_aligned_and_no_line_ends_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    _output.print_table(["NAME", "N", "LAST"], [["a", "10", ""], ["abcdef", "5", "x"]], right={"N"})
    assert printed(capsys) == ["NAME     N  LAST", "a       10", "abcdef   5  x"]


def test_wide_and_combining_characters_are_counted_as_they_show(capsys: pytest.CaptureFixture[str]) -> None:
    _output.print_table(["A", "B"], [["動画", "1"], ["e\u0301te", "2"], ["four", "3"]])
    assert printed(capsys) == ["A     B", "動画  1", "e\u0301te   2", "four  3"]


def test_what_is_no_terminal_is_neither_cut_nor_coloured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    _output.print_table(["STATE", "LABEL"], [["failed", "x" * 50]], wide="LABEL")
    assert printed(capsys)[1] == f"failed  {'x' * 50}"


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("columns", "expected"), [(30, "x" * 21 + "…"), (10, "x" * 7 + "…"), (58, "x" * 50)])
def test_a_table_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, expected: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _output.print_table(["A", "LABEL"], [["failed", "x" * 50]], wide="LABEL")
    assert printed(capsys)[1] == f"failed  {expected}"


@pytest.mark.usefixtures("terminal")
def test_only_as_much_is_cut_as_is_needed_of_wide_characters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "13")
    _output.print_table(["A", "LABEL"], [["x", "動" * 20]], wide="LABEL")
    assert printed(capsys)[1] == f"x  {'動' * 4}…"


@pytest.mark.usefixtures("terminal")
def test_states_are_coloured_on_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.good("submit", "--", "true")
    assert cli.good("list").splitlines()[1] == "job1  \x1b[34mready\x1b[0m         0        0"
    assert cli.good("tree", "job1") == "job1  \x1b[34mready\x1b[0m  true\n"
    assert "state        \x1b[34mready\x1b[0m\n" in cli.good("show", "job1")
    cli.good("submit", "--frames", "1", "--", "true")
    assert cli.good("tree", "job2").splitlines()[0] == "job2  blocked"


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_switched_off(cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    cli.good("submit", "--", "true")
    assert "\x1b" not in cli.good("list") + cli.good("tree", "job1") + cli.good("show", "job1")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (-3, "0.0 s"), (0.04, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (119, "119 s"), (120, "2 min"),
        (7199, "120 min"), (7200, "2 h"), (172_800, "2 d"),
    ],
)  # fmt: skip
def test_spans_of_time(seconds: float | None, text: str) -> None:
    assert _output.how_long(seconds) == text


def test_times_of_the_day() -> None:
    assert _output.when(None) == "-"
    assert len(_output.when(0.0)) == len("1970-01-01 00:00:00")
