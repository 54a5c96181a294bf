"""The benchmark's own programs, with a few jobs: the peers are not needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.drive import Plan
from benchmarks.peers import PEERS
from benchmarks.peers.base import ROOT
from benchmarks.side_by_side import BARE, OUR_ARRAY, OURS


def _drive(plan: Plan) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.drive", json.dumps(plan._asdict())]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not answer.returncode, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize("peer", [OURS, OUR_ARRAY, BARE])
def test_no_ops_are_driven(tmp_path: Path, peer: str) -> None:
    seen = _drive(Plan(peer, "noops", str(tmp_path), 2, (5,)))["sizes"]["5"]
    assert seen["executed"] == (10 if PEERS[peer].has_warm_workers else 5)
    assert seen["repeated"] == seen["missing"] == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("peer", [OURS, OUR_ARRAY, BARE])
def test_commands_are_driven(tmp_path: Path, peer: str) -> None:
    assert _drive(Plan(peer, "commands", str(tmp_path), 1, (3,)))["drain_s"] > 0


def test_a_hierarchy_is_driven(tmp_path: Path) -> None:
    assert _drive(Plan(OURS, "hierarchy", str(tmp_path), 1, (3,)))["drain_s"] > 0


def test_a_worker_is_killed_and_its_job_comes_again(tmp_path: Path) -> None:
    found = _drive(Plan(OURS, "kill", str(tmp_path), 2, (), 60.0))
    assert found["again_s"] > 0
    assert not found["twice_before"]
