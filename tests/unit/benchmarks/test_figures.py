"""What is made of the raw figures: medians, verdicts and tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.__main__ import as_file
from benchmarks.figures import Cell, Figures, shown, table
from benchmarks.report import BLOCKS, as_text
from benchmarks.side_by_side import BARE, DISK, OURS, TMPFS


def _noops(peer: str, *, place: str = TMPFS, **sizes: dict[str, float]) -> dict[str, Any]:
    return {
        "work": "noops", "peer": peer, "place": place, "workers": 1, "round": 0, "load": 0.1, "start_s": 0.5,
        "sizes": {name.lstrip("n"): seen for name, seen in sizes.items()},
    }  # fmt: skip


def _figures(*runs: dict[str, Any], peers: tuple[str, ...] = (OURS, "jug", "huey", "dirq", "HyperQueue")) -> Figures:
    extent = {"sizes": [100, 1000], "large": None, "workers": [1], "leaves": 10, "rounds": 2, "limit_s": 60.0}
    versions = dict.fromkeys((*peers, BARE), "1.0")
    machine = {"python": "3.11"}
    return Figures(
        {"begun": "2026-01-01T000000", "versions": versions, "machine": machine, "extent": extent, "bars": [],
         "runs": list(runs), "load": ["0 0 0", "0 0 0"]}
    )  # fmt: skip


def test_a_figure_is_the_median_of_all_rounds_for_each_job() -> None:
    runs = [_noops(OURS, n100={"submit_s": 0.01, "drain_s": drain_s, "free_s": 0.5}) for drain_s in (0.1, 0.2, 0.9)]
    figures = _figures(*runs)
    assert figures.noops(OURS, TMPFS, 1, 100, "drain").value == pytest.approx(2.0)
    assert figures.noops(OURS, TMPFS, 1, 100, "total").value == pytest.approx(5.0)
    assert figures.noops(OURS, DISK, 1, 100, "drain") == Cell(None)


def test_what_was_not_done_freely_is_the_sum_and_marked() -> None:
    figures = _figures(_noops("jug", n100={"submit_s": 0.1, "drain_s": 0.3}))
    cell = figures.noops("jug", TMPFS, 1, 100, "total")
    assert cell.value == pytest.approx(4.0)
    assert cell.word == "*"


def test_what_took_too_long_is_no_number_and_loses() -> None:
    seen = {"submit_s": 0.1, "drain_s": 0.3, "free_s": 0.3}
    figures = _figures(_noops(OURS, n100=seen), _noops("jug", n100={"late_s": 60.0}), peers=(OURS, "jug"))
    assert figures.noops("jug", TMPFS, 1, 100, "drain") == Cell(None, "> 60 s")
    assert [duel.is_lost for duel in figures.duels()] == [False, False]


def test_a_bar_is_missed_where_one_peer_is_quicker_once() -> None:
    ours = {"submit_s": 0.0, "drain_s": 0.3, "free_s": 0.3}
    quicker = {"submit_s": 0.0, "drain_s": 0.2, "free_s": 0.4}
    figures = _figures(_noops(OURS, n100=ours, n1000=ours), _noops("huey", n100=quicker, n1000=ours | {"drain_s": 0.4}))
    total, drain = figures.verdicts()
    assert (total.is_met, total.measured) == (True, "2 times")
    assert (drain.is_met, drain.measured) == (False, "1 times")
    assert "huey: draining, tmpfs, 1 of 2: 100/1 2 (ours 3)." in BLOCKS["losses"](figures)


def test_message_queues_are_excepted_from_the_bar_and_named_all_the_same() -> None:
    ours = {"submit_s": 0.0, "drain_s": 0.3, "free_s": 0.3}
    figures = _figures(_noops(OURS, n100=ours), _noops("dirq", n100={"submit_s": 0.0, "drain_s": 0.1, "free_s": 0.1}))
    assert not figures.verdicts()
    assert "dirq, a message queue: draining" in BLOCKS["losses"](figures)


def test_four_times_as_fast_is_asked_of_the_largest_number_of_jobs() -> None:
    ours = {"submit_s": 0.0, "drain_s": 0.1, "free_s": 0.1}
    figures = _figures(
        _noops(OURS, n100=ours, n1000=ours), _noops("jug", n100=ours, n1000={"submit_s": 0.2, "drain_s": 0.3})
    )
    found = {verdict.what: verdict for verdict in figures.verdicts() if "times as fast" in verdict.what}
    assert [(verdict.measured, verdict.is_met) for verdict in found.values()] == [("5.0", True), ("3.0", False)]


@pytest.mark.parametrize(("ours_s", "bare_s", "is_met"), [(1.0, 0.5, True), (3.0, 2.0, False), (3.0, 2.7, True)])
def test_commands_have_to_keep_up_or_to_be_mostly_processes(ours_s: float, bare_s: float, is_met: bool) -> None:
    times_s = {OURS: ours_s, "HyperQueue": 2.0, BARE: bare_s}
    head = {"work": "commands", "place": TMPFS, "workers": 1, "size": 100}
    figures = _figures(
        *({**head, "peer": peer, "submit_s": 0.0, "drain_s": time_s} for peer, time_s in times_s.items())
    )
    assert [verdict.is_met for verdict in figures.verdicts()] == [is_met]


def test_a_run_that_failed_is_told_and_counts_for_nothing() -> None:
    failed = {**_noops("jug"), "error": "PeerError: it is gone"}
    figures = _figures(failed, _noops("jug", n100={"submit_s": 0.1, "drain_s": 0.3}))
    assert figures.noops("jug", TMPFS, 1, 100, "drain").value == pytest.approx(3.0)
    assert BLOCKS["errors"](figures) == "- jug: noops, 1 worker, tmpfs, round 1: `PeerError: it is gone`"


def test_all_executions_are_counted() -> None:
    counts = {"executed": 201, "repeated": 1, "missing": 0}
    seen = {"submit_s": 0.0, "drain_s": 0.1, "free_s": 0.1, **counts}
    apart = {"work": "counted", "peer": "HyperQueue", "size": 50, "executed": 50, "repeated": 0, "missing": 0}
    figures = _figures(_noops("huey", n100=seen), apart)
    assert figures.counts("huey") == {"asked": 200, **counts}
    assert figures.counts("HyperQueue")["asked"] == 50


def test_a_table_of_markdown_is_aligned() -> None:
    assert table(["", "a job"], [["ours", "1"], ["x", "22"]]).splitlines() == [
        "|      | a job |", "| ---- | ----: |", "| ours |     1 |", "| x    |    22 |",
    ]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), [(0.0123, "0.012"), (0.5, "0.50"), (3.14159, "3.14"), (1234.5, "1,234")])
def test_numbers_have_three_digits_at_most(value: float, text: str) -> None:
    assert shown(value) == text


def test_all_tables_are_made_for_a_terminal_too() -> None:
    seen = {"submit_s": 0.0, "drain_s": 0.1, "free_s": 0.1, "executed": 200, "repeated": 0, "missing": 0}
    text = as_text(_figures(_noops(OURS, n100=seen, n1000=seen)).raw)
    assert [line for line in text.splitlines() if line in BLOCKS] == [name for name in BLOCKS if name != "settings"]


def test_raw_figures_are_kept_with_a_line_for_each_run() -> None:
    raw = _figures(_noops(OURS), _noops("jug")).raw
    text = as_file(raw)
    assert json.loads(text) == raw
    assert len([line for line in text.splitlines() if '"work": "noops"' in line]) == 2
