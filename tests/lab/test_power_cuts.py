"""What was acknowledged before the power went is there when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.power import cut_once


@pytest.mark.lab
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("share", "seed"), [("local", 1), ("local", 2), ("nfs3", 1)])
def test_no_acknowledged_submission_is_lost_in_a_power_cut(share: str, seed: int, tmp_path: Path) -> None:
    cut = cut_once(share, seed, tmp_path)
    assert cut.problems == []
    assert cut.acknowledged
