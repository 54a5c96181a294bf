"""Three hosts run a hierarchy while network, server, processes and clocks fail; nothing is lost or done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.lab.guest import KIND_VARIABLE, SHARES, is_short, kinds_for_faults, kinds_to_try
from tests.lab.schedule import LASTS_S, make_schedule

_HOSTS = ["host1", "host2", "host3"]


@pytest.mark.lab("faults")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", kinds_for_faults())
def test_with_faults_nothing_is_lost_and_nothing_committed_twice(
    kind: str, guest_part: Callable[[str, str], Path]
) -> None:
    found = json.loads(guest_part(kind, "faults").read_text())
    assert found["problems"] == [], f"seed {found['seed']}: {found['faults']}; see {guest_part(kind, 'faults').parent}"
    assert found["executions"] >= found["jobs"] == 30
    assert len(found["faults"]) == 4


def test_in_ci_faults_are_on_each_kind_and_all_else_on_one_a_day_unless_it_is_told_which(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(KIND_VARIABLE, raising=False)
    monkeypatch.delenv("CI", raising=False)
    assert kinds_to_try() == SHARES
    monkeypatch.setenv("CI", "true")
    seen: set[str] = set()
    for number in range(3):
        monkeypatch.setattr("tests.lab.guest.day", lambda number=number: 20000 + number)
        seen.update(kinds_to_try())
        assert is_short() and len(kinds_to_try()) == 1
        assert kinds_for_faults() == SHARES
    assert seen == set(SHARES)
    monkeypatch.setenv(KIND_VARIABLE, "smb,nfs3")
    assert kinds_to_try() == kinds_for_faults() == ("smb", "nfs3")
    monkeypatch.setenv(KIND_VARIABLE, "all")
    assert kinds_to_try() == SHARES and not is_short()
    monkeypatch.setenv(KIND_VARIABLE, "nfs5")
    with pytest.raises(ValueError, match="nfs5"):
        kinds_to_try()


def test_the_same_seed_makes_the_same_faults() -> None:
    kinds = sorted(LASTS_S)
    assert make_schedule(7, _HOSTS, kinds, 30) == make_schedule(7, _HOSTS, kinds, 30)
    assert make_schedule(7, _HOSTS, kinds, 30) != make_schedule(8, _HOSTS, kinds, 30)


@pytest.mark.parametrize("seed", range(20))
def test_a_host_has_one_fault_at_a_time(seed: int) -> None:
    faults = make_schedule(seed, _HOSTS, sorted(LASTS_S), 40)
    assert len(faults) == 40
    for one in (*_HOSTS, "server"):
        of_one = [
            (fault.at_s, fault.until_s)
            for fault in faults
            if (fault.kind in ("server", "lost") if one == "server" else fault.kind != "server" and fault.host == one)
        ]
        assert all(end <= begin for (_, end), (begin, _) in pairwise(of_one)), (one, of_one)
