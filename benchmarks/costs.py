"""The calls that each operation makes, as the page "Costs" has them.

Tests hold the page's tables against what they count, so whoever reads them here reads what was measured.
"""

from __future__ import annotations

import itertools
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "design" / "costs.md"
LOCAL = "system calls, local disk"
SERVED = {"nfs4.2": "calls, NFSv4.2 server", "nfs3": "calls, NFSv3 server"}
BUDGET = "budget"

Table = dict[str, dict[str, str]]


def table(head: str, text: str | None = None) -> Table:
    """The table whose first column is called so: for each row the cells by the names of their columns.

    Args:
        head: of the first column.
        text: of the page; by default it is read.

    Raises:
        KeyError: there is no such table.
    """
    lines = iter((PAGE.read_text(encoding="utf-8") if text is None else text).splitlines())
    for line in lines:
        if _cells(line)[:1] == [head]:
            columns = _cells(line)[1:]
            # The rule below the heads.
            next(lines)
            rows = itertools.takewhile(bool, map(_cells, lines))
            return {cells[0]: dict(zip(columns, cells[1:], strict=True)) for cells in rows}
    raise KeyError(head)


def _cells(line: str) -> list[str]:
    """The cells of one line of a table; none if it is no such line."""
    return [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []


def words(count: float) -> str:
    """A count as a cell shows it."""
    return f"{count:,.1f}".removesuffix(".0")


def number(cell: str) -> float:
    """The count in a cell."""
    return float(cell.replace(",", ""))
