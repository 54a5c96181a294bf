"""What was acknowledged before the power went is there when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.guest import SHARES, day, is_short
from tests.lab.power import cut_once

# In CI two of a local disk and one of a server, of another kind each day.
_CUTS = [("local", 2 * day()), ("local", 2 * day() + 1), *((share, day()) for share in SHARES)]
_TRIED = [*_CUTS[:2], _CUTS[2 + day() % len(SHARES)]] if is_short() else _CUTS


@pytest.mark.lab
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("share", "seed"), _TRIED)
def test_no_acknowledged_submission_is_lost_in_a_power_cut(share: str, seed: int, tmp_path: Path) -> None:
    cut = cut_once(share, seed, tmp_path)
    assert cut.problems == []
    assert cut.acknowledged
