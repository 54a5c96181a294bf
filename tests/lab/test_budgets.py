"""What an NFS server is asked for is what the page "Costs" says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import costs
from tests.lab.guest import day, is_short, kinds_to_try

_KINDS = tuple(costs.SERVED)
# In CI one of them, another one tomorrow; its guest is booted for the faults in any case.
_TODAY = (_KINDS[day() % len(_KINDS)],) if is_short() else tuple(kind for kind in _KINDS if kind in kinds_to_try())
# Looks that are made once a second, and leases, come on top; a further call for each job is more than that.
_PART, _LEAST = 0.08, 0.6


@pytest.mark.lab("budgets")
@pytest.mark.timeout(1300)
@pytest.mark.parametrize("kind", _TODAY)
def test_what_a_server_is_asked_for_is_what_the_page_says(kind: str, guest_part: Callable[[str, str], Path]) -> None:
    page = costs.table(costs.SERVED[kind])
    found = json.loads(guest_part(kind, "budgets").read_text())
    wrong = []
    for column, counts in found.items():
        sys.stdout.write(f"{column} on {kind}:\n")
        for row, count in counts.items():
            sys.stdout.write(f"| {row} | {costs.words(count)} |\n")
            says = costs.number(page[row][column])
            if abs(count - says) > max(_LEAST, _PART * says):
                wrong.append(f"{row}, {column}: {costs.words(count)}, not {says:g}")
            if column != "1" and count > costs.number(page[row][costs.BUDGET]):
                wrong.append(f"{row}, {column}: {count:g} is over its budget")
        assert set(counts) == set(page)
    assert not wrong
