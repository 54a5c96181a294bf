"""The program that says what a file server carries, and its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import costs, scale
from jobqueue.pace import BEAT_CALLS, LOOK_CALLS

_PAGE = costs.PAGE.with_name("scale.md")


@pytest.mark.parametrize("calls_per_s", [1_000, 5_000, 20_000])
def test_what_is_reckoned_stands_on_the_page(calls_per_s: int) -> None:
    assert "\n".join(scale.reckoned(calls_per_s, "nfs4.2")) in _PAGE.read_text(encoding="utf-8")


def test_what_workers_reckon_with_is_what_was_measured() -> None:
    measured = [costs.table(head) for head in costs.SERVED.values()]
    looks = [costs.number(table["look for work, idle"]["100"]) for table in measured]
    beats = [costs.number(table["beat, with what each further worker adds"]["100"]) for table in measured]
    assert max(looks) == LOOK_CALLS
    assert max(beats) <= BEAT_CALLS <= max(beats) + 0.3


def test_more_workers_ask_more_and_leave_less_for_jobs() -> None:
    loads = [scale.load(workers, 5_000, "nfs3") for workers in scale.FARMS]
    assert [one.idle_calls for one in loads] == sorted(one.idle_calls for one in loads)
    assert [one.jobs for one in loads] == sorted((one.jobs for one in loads), reverse=True)
    assert scale.load(10_000, 2_000, "nfs3").jobs == 0


def test_a_farm_does_all_its_jobs_and_finds_its_dead_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scale.json"
    assert scale.main(["--simulate", "20", "--jobs-each", "2", "--json", str(out)]) == 0
    (one,) = (scale.Played(**found) for found in json.loads(out.read_text()))
    assert (one.workers, one.jobs, one.false_deaths) == (20, 40, 0)
    # What it takes beyond the jobs themselves are a look, and that the end is looked for every five seconds.
    assert one.least_s <= one.took_s <= one.least_s + 6
    assert one.found_s is not None and 15 < one.found_s < 45
    assert 8 < one.calls_per_job < 20
    assert scale.played([one])[-1] in capsys.readouterr().out


def test_a_server_answers_no_more_than_it_can() -> None:
    one = scale.play(60, 60, "None", 5.0, 1)
    assert one.idle_calls == pytest.approx(60, rel=0.02)
    assert one.busy > 0.98
    # It is slow for everybody, so nobody looks dead.
    assert one.false_deaths == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--simulate", "0"], "--simulate: '0' has to be a whole number, 1 or more"),
        (["--simulate", "10,x"], "--simulate: 'x' has to be a whole number, 1 or more"),
        (["--simulate", "10", "--jobs-each", "0"], "--jobs-each: '0' has to be a whole number, 1 or more"),
        (["--simulate", "10", "--job-seconds", "-1"], "--job-seconds: '-1' has to be a number of seconds, 0 or more"),
        (["--simulate", "10", "--job-seconds", "3600"], "the jobs of one worker have to end within 7200 seconds"),
        (["--calls-per-second", "0"], "--calls-per-second: '0' has to be a number above 0"),
        (["--calls-per-second", "-5"], "--calls-per-second: '-5' has to be a number above 0"),
        (["--calls-per-second", "nan"], "--calls-per-second: 'nan' has to be a number above 0"),
        (["--limit", "0"], "--limit: maxCallsPerSecond under [main] is 0, but has to be a number above 0"),
        (["--limit", "x"], "--limit: maxCallsPerSecond under [main] is 'x', but has to be a number above 0"),
        (["--simulate", "10", "--json", "/dev/null/x"], "--json: [Errno 20] Not a directory: '/dev/null/x'"),
    ],
)
def test_what_cannot_be_reckoned_is_refused_before_anything_is(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        scale.main(arguments)
    said = capsys.readouterr()
    assert (caught.value.code, said.out) == (2, "")
    assert told in said.err
