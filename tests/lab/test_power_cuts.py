"""What was acknowledged before the power went is there when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.guest import SHARES, day, is_short
from tests.lab.power import cut_once

_CUTS = [("local", day()), *((share, day()) for share in SHARES)]


@pytest.mark.lab
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("share", "seed"), _CUTS[day() % len(_CUTS) :][:1] if is_short() else _CUTS)
def test_no_acknowledged_submission_is_lost_in_a_power_cut(share: str, seed: int, tmp_path: Path) -> None:
    cut = cut_once(share, seed, tmp_path)
    assert cut.problems == []
    assert cut.acknowledged
