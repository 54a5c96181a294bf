"""`jobqueue workers`: who works on a queue, and whether he lives."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from jobqueue import overview
from jobqueue.identity import describe_process, host_name
from jobqueue.names import Use
from jobqueue.params import dumps
from jobqueue.registry import Registration
from tests.acceptance.cli.conftest import Cli, Hand


def rewrite_info(hand: Hand, **changes: object) -> None:
    """What a worker says of itself, changed."""
    path = Path(hand.registration.files.info)
    path.unlink()
    path.write_text(dumps({"name": "hand", "slots": 1, "since": 0.0, **describe_process(), **changes}))


def test_nobody(cli: Cli) -> None:
    assert cli.good("workers") == "0 workers, 0 jobs running, 0.0 calls a second\n"
    assert cli("workers", "--json").json == []


def test_a_worker_of_this_host(cli: Cli, hand: Hand) -> None:
    cli.good("submit", "--", "true")
    hand.claim(1)
    head, row, summary = cli.good("workers").splitlines()
    assert head.split() == ["NAME", "HOST", "PID", "SLOTS", "RUNNING", "CALLS/S", "SINCE", "LAST", "BEAT", "ALIVE"]
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"hand  {re.escape(host_name())} +{os.getpid()} +1 +1 +-  {time} +[\d.]+ s ago  yes", row)
    assert summary == "1 worker, 1 job running, 0.0 calls a second"


def test_the_json_of_workers(cli: Cli, hand: Hand) -> None:
    (row,) = cli("workers", "--json").json
    assert row.pop("since") > 1e9
    assert 0 <= row.pop("beat_age") < 100
    ours = describe_process()
    assert row == {
        "worker": hand.worker, "name": "hand", "host": ours["host"], "user": ours["user"], "pid": ours["pid"],
        "slots": 1, "running": 0, "alive": True, "calls_per_second": None, "avoided_for": [],
    }  # fmt: skip


def test_a_process_that_is_gone_is_known_by_its_start(cli: Cli, hand: Hand) -> None:
    rewrite_info(hand, started_ticks=1)
    assert cli("workers", "--json").json[0]["alive"] is False
    assert cli.good("workers").splitlines()[1].endswith("  no")


@pytest.mark.parametrize("key", ["host", "boot", "pidns"])
def test_a_process_of_elsewhere_cannot_be_told(cli: Cli, hand: Hand, key: str) -> None:
    rewrite_info(hand, **{key: "elsewhere"})
    assert cli("workers", "--json").json[0]["alive"] is None
    assert cli.good("workers").splitlines()[1].endswith("  ?")


def test_without_name_spaces_nothing_can_be_told(cli: Cli, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "pid_namespace", lambda: "")
    rewrite_info(hand, pidns="")
    assert cli("workers", "--json").json[0]["alive"] is None


def test_a_process_that_is_hidden_from_us_cannot_be_told(cli: Cli, monkeypatch: pytest.MonkeyPatch, hand: Hand) -> None:
    monkeypatch.setattr(overview, "started_ticks", lambda _: None)
    assert cli("workers", "--json").json[0]["alive"] is None
    rewrite_info(hand, started_ticks=None)
    assert cli("workers", "--json").json[0]["alive"] is None


def test_a_worker_that_is_only_coming_shows_its_whole_name(cli: Cli, hand: Hand) -> None:
    os.unlink(hand.registration.files.info)
    os.unlink(hand.registration.files.beat)
    row = cli.good("workers").splitlines()[1]
    assert row.split() == [hand.worker, "-", "-", "-", "0", "-", "-", "-", "?"]
    told = cli("workers", "--json").json[0]
    assert (told["worker"], told["name"], told["beat_age"]) == (hand.worker, None, None)


def test_a_beat_of_a_server_whose_clock_is_ahead_is_no_negative_age(cli: Cli, hand: Hand) -> None:
    os.utime(hand.registration.files.beat, (4e9, 4e9))
    assert cli("workers", "--json").json[0]["beat_age"] == 0.0


def test_what_workers_ask_of_the_share_is_shown_with_its_sum(cli: Cli, hand: Hand) -> None:
    other = Registration(hand.store, "other", 1)
    hand.registration.tell_use(Use(calls=90, took_ms=60_000))
    other.tell_use(Use(calls=1, took_ms=10_000))
    # What it says later takes the place of that.
    other.tell_use(Use(calls=123, took_ms=60_000))
    shown = {row["name"]: row["calls_per_second"] for row in cli("workers", "--json").json}
    assert shown == {"hand": 1.5, "other": 2.05}
    *rows, summary = cli.good("workers").splitlines()
    assert [row.split()[5] for row in rows] == ["CALLS/S", "1.5", "2.0"]
    assert summary == "2 workers, 0 jobs running, 3.5 calls a second"
    assert other.leave()


def test_a_limit_is_told_with_what_it_is_a_limit_of(cli: Cli, hand: Hand) -> None:
    config = Path(hand.store.layout.config)
    config.write_text(config.read_text().replace("[main]\n", "[main]\nmaxCallsPerSecond = 40\n"))
    summary = cli.good("workers").splitlines()[-1]
    assert summary.endswith("0.0 calls a second; looking for work and beating may take 40 of them")
