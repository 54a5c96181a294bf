"""Three hosts run a hierarchy of 200 jobs on a real share, and nothing is lost and nothing done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.guest import SHARES


@pytest.mark.lab("hierarchy")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", SHARES)
def test_without_faults_every_job_is_executed_once(kind: str, guest_part: Callable[[str, str], Path]) -> None:
    found = json.loads(guest_part(kind, "hierarchy").read_text())
    assert found["problems"] == []
    assert found["executions"] == found["jobs"] == 200
    assert found["hosts"] == ["host1", "host2", "host3"]
