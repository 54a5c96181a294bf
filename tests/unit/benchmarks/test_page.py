"""The tables of the documentation are made by `python -m benchmarks.report` of figures in the tree, not by hand."""

from __future__ import annotations

import json
import re

from benchmarks.report import BLOCKS, PAGE, RESULTS, filled


def test_the_page_shows_what_its_raw_figures_say() -> None:
    page = PAGE.read_text()
    (name,) = set(re.findall(r"benchmarks/results/([0-9T-]+\.json)", page))
    raw = json.loads((RESULTS / name).read_text())
    assert filled(page, raw) == page
    assert sorted(re.findall(r"<!-- (?!end )([a-z-]+) -->", page)) == sorted(BLOCKS)


def test_the_page_shows_every_plot_and_no_other() -> None:
    shown = set(re.findall(r"\]\((benchmarks-[a-z-]+\.svg)\)", PAGE.read_text()))
    assert shown == {path.name for path in PAGE.parent.glob("benchmarks-*.svg")} != set()
