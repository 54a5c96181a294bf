"""Names on disk: what is written is read again, and foreign names are nobody's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobqueue.layout import JobLayout, QueueLayout
from jobqueue.names import (
    INDEX_FOLDERS,
    MAX_ITEMS,
    MAX_NODES,
    PRIORITY_MAX,
    PRIORITY_MIN,
    ClosedToken,
    Entry,
    RunningToken,
    Span,
    Token,
    WonToken,
    base_name,
    is_latch_entry,
    is_worker_name,
    job_name,
    latch_entry,
    parse_job_number,
    plain,
)

_SOME = settings(max_examples=100, deadline=None)
_NODES = st.integers(min_value=0, max_value=MAX_NODES - 1)
_COUNTS = st.integers(min_value=0, max_value=10**12)
_JOBS = st.integers(min_value=1, max_value=10**9)
_WORKERS = st.text(alphabet="abcz0189-", min_size=1, max_size=30)
_BOUNDS = st.lists(st.integers(0, MAX_ITEMS), min_size=2, max_size=3, unique=True).map(sorted)
_SPANS = st.none() | _BOUNDS.map(lambda bounds: Span(bounds[0], bounds[1], bounds[2] if bounds[2:] else None))
_ENTRIES = st.builds(
    Entry,
    st.sampled_from(INDEX_FOLDERS),
    st.integers(min_value=PRIORITY_MIN, max_value=PRIORITY_MAX),
    st.integers(min_value=1, max_value=10**8 - 1),
    _COUNTS,
)

PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "entry": (lambda name: Entry.parse("runnable", name), "500-00000007.3"),
    "token": (Token.parse, "0000001.2.3.0"),
    "running": (RunningToken.parse, "7.0000001.2.3.0.4"),
    "won": (WonToken.parse, "7.0000001.2.3.0.4.55"),
    "closed": (ClosedToken.parse, "0000001.2.3.0.node-host-0a.4.55"),
}
_EACH_PARSER = pytest.mark.parametrize("kind", PARSERS)


@_SOME
@given(_ENTRIES)
def test_an_entry_is_read_as_it_was_named(entry: Entry) -> None:
    assert Entry.parse(entry.folder, entry.name) == entry
    assert re.fullmatch(r"[0-9]{3}-[0-9]{8}\.[0-9]+", entry.name)


@_SOME
@given(_ENTRIES, st.sampled_from(INDEX_FOLDERS), st.integers(min_value=PRIORITY_MIN, max_value=PRIORITY_MAX))
def test_a_move_counts_and_changes_nothing_that_was_not_asked_for(entry: Entry, folder: str, priority: int) -> None:
    assert entry.moved(folder) == (folder, entry.priority, entry.number, entry.moves + 1)
    assert entry.moved(folder, priority) == (folder, priority, entry.number, entry.moves + 1)


@_SOME
@given(st.lists(_ENTRIES, max_size=20, unique_by=lambda entry: entry.number))
def test_sorted_names_of_entries_are_the_order_of_processing(entries: list[Entry]) -> None:
    by_name = sorted(entries, key=lambda entry: entry.name)
    assert by_name == sorted(entries, key=lambda entry: (-entry.priority, entry.number))


@_SOME
@given(st.builds(Token, _NODES, _COUNTS, _COUNTS, _COUNTS, _SPANS))
def test_a_token_is_read_as_it_was_named(token: Token) -> None:
    assert Token.parse(token.name) == token


@_SOME
@given(st.builds(RunningToken, _JOBS, _NODES, _COUNTS, _COUNTS, _COUNTS, _COUNTS, _SPANS))
def test_a_running_token_is_read_as_it_was_named(token: RunningToken) -> None:
    assert RunningToken.parse(token.name) == token


@_SOME
@given(st.builds(WonToken, _JOBS, _NODES, _COUNTS, _COUNTS, _COUNTS, _COUNTS, _COUNTS, _SPANS))
def test_a_won_token_is_read_as_it_was_named(token: WonToken) -> None:
    assert WonToken.parse(token.name) == token


@_SOME
@given(st.builds(ClosedToken, _NODES, _COUNTS, _COUNTS, _COUNTS, _WORKERS, _COUNTS, _COUNTS, _SPANS))
def test_a_closed_token_is_read_as_it_was_named(token: ClosedToken) -> None:
    assert ClosedToken.parse(token.name) == token


@_SOME
@given(st.lists(_NODES, max_size=20, unique=True))
def test_sorted_names_of_tokens_are_the_post_order(nodes: list[int]) -> None:
    names = sorted(Token(node, 0, 0, 0).name for node in nodes)
    assert names == [Token(node, 0, 0, 0).name for node in sorted(nodes)]


@_EACH_PARSER
def test_the_names_of_the_tables_are_read(kind: str) -> None:
    parse, name = PARSERS[kind]
    assert parse(name).name == name


@_EACH_PARSER
@pytest.mark.parametrize(
    "foreign",
    [
        "",
        ".",
        "..",
        ".nfs000000000000001200000001",
        "._0000001.0.0.0",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "1",
        "-",
    ],
)
def test_a_foreign_name_is_nobodys(kind: str, foreign: str) -> None:
    assert PARSERS[kind][0](foreign) is None


@_EACH_PARSER
def test_a_name_that_somebody_has_added_to_is_nobodys(kind: str) -> None:
    parse, name = PARSERS[kind]
    for foreign in (
        f"._{name}",
        f".{name}",
        f"{name}~",
        f"{name}.bak",
        f"{name} (1)",
        f"{name}\n",
        f" {name}",
        f"{name}.",
    ):
        assert parse(foreign) is None, foreign


@_EACH_PARSER
def test_a_name_with_a_field_too_many_or_too_few_is_nobodys(kind: str) -> None:
    parse, name = PARSERS[kind]
    fields = name.split(".")
    assert parse(".".join([*fields, "1"])) is None
    assert parse(".".join(fields[:-1])) is None


@_EACH_PARSER
@pytest.mark.parametrize("digit", ["٣", "²", "\uff13", "-1", "+1", "1_0", " 1", "1 ", "", "x", "0x1", "1e3"])
def test_a_field_that_is_no_plain_number_makes_a_name_foreign(kind: str, digit: str) -> None:
    parse, name = PARSERS[kind]
    at_dots = name.split(".")
    names = [
        ".".join([*at_dots[:at], digit, *at_dots[at + 1 :]]) for at in range(len(at_dots)) if at_dots[at].isdigit()
    ]
    if kind == "entry":
        names += [f"{digit}-00000007.3", f"500-{digit}.3"]
    assert names
    for foreign in names:
        assert parse(foreign) is None, foreign


@pytest.mark.parametrize("worker", ["", "Node", "a_b", "é", "a b", "a\n"])
def test_a_closed_token_of_no_worker_is_nobodys(worker: str) -> None:
    assert ClosedToken.parse(f"0000001.2.3.0.{worker}.4.55") is None
    assert not is_worker_name(worker)


def test_a_workers_name_is_one() -> None:
    assert is_worker_name("node-host-00ff")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(PARSERS)), st.text(alphabet="0123456789.-aA_٣", max_size=40))
def test_what_is_read_would_be_named_with_the_same_numbers(kind: str, name: str) -> None:
    parse = PARSERS[kind][0]
    found = parse(name)
    if found is not None:
        assert name.isascii()
        assert parse(found.name) == found


def test_the_directories_of_a_queue() -> None:
    queue = QueueLayout("/q")
    assert (queue.config, queue.procs, queue.proc("noop")) == ("/q/queue.cfg", "/q/procs", "/q/procs/noop.py")
    assert (queue.index, queue.last, queue.index_folder("done")) == ("/q/index", "/q/index/last", "/q/index/done")
    assert (queue.tmp, queue.trash, queue.workers) == ("/q/tmp", "/q/trash", "/q/workers")
    assert queue.job(100).dir == "/q/job100"
    worker = queue.worker("node-host-1")
    assert worker.dir == "/q/workers/node-host-1"
    names = ("info.json", "beat", "lock", "fenced", "inbox", "running", "won")
    assert (
        worker.info, worker.beat, worker.lock, worker.fenced, worker.inbox, worker.running, worker.won,
    ) == tuple(f"{worker.dir}/{name}" for name in names)  # fmt: skip


def test_the_directories_of_a_job() -> None:
    job = JobLayout("/q", 100)
    assert (job.dir, job.hierarchy, job.tokens) == ("/q/job100", "/q/job100/.hierarchy", "/q/job100/.tokens")
    for folder in ("blocked", "ready", "finished", "failed", "cancelled"):
        assert getattr(job, folder) == job.token_folder(folder) == f"/q/job100/.tokens/{folder}"
    assert job.latch(12) == "/q/job100/.waits/0000012"
    assert job.journal("node-host-1", 2) == "/q/job100/.journal/node-host-1.2.jsonl"
    assert (job.node_dir(""), job.node_dir("job3/job1")) == ("/q/job100", "/q/job100/job3/job1")
    attempt = job.attempt("job3", 2)
    assert attempt.dir == "/q/job100/job3/.attempt2"
    assert (attempt.stdout, attempt.stderr) == (f"{attempt.dir}/stdout", f"{attempt.dir}/stderr")
    assert (attempt.status, attempt.traceback) == (f"{attempt.dir}/status.json", f"{attempt.dir}/traceback")


@_SOME
@given(_JOBS, st.sampled_from(["", "job1", "job3/job1"]))
def test_a_jobs_name_begins_with_its_number(number: int, place: str) -> None:
    top, _, rest = job_name(number, place).partition("/")
    assert (parse_job_number(top), rest) == (number, place)


@pytest.mark.parametrize(
    "name", ["", "job", "Job1", "job-1", "job1x", "job1\n", "job٣", "xjob1", "100", "job1/job2", "job 1"]
)
def test_a_name_that_is_no_jobs_has_no_number(name: str) -> None:
    assert parse_job_number(name) is None


@_SOME
@given(_NODES)
def test_an_entry_of_a_latch_is_told_from_foreign_names(node: int) -> None:
    name = latch_entry(node)
    assert is_latch_entry(name)
    assert int(name) == node
    for foreign in (f".{name}", name[1:], f"{name}0", f"{name[1:]}x", f"{name[1:]}٣"):
        assert not is_latch_entry(foreign)


def test_the_last_part_of_a_path() -> None:
    assert (base_name("/a/b/c"), base_name("c")) == ("c", "c")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Render Node_07!", "render-node-07"),
        ("--a..b--", "a-b"),
        ("Käse", "k-se"),
        ("", "x"),
        ("***", "x"),
        ("abc-def", "abc-d"),
    ],
)
def test_a_text_as_part_of_a_name(text: str, name: str) -> None:
    assert plain(text, 5 if text == "abc-def" else 24) == name


@_SOME
@given(st.text(), st.integers(min_value=1, max_value=10))
def test_any_text_can_be_part_of_a_workers_name(text: str, limit: int) -> None:
    name = plain(text, limit)
    assert is_worker_name(name)
    assert len(name) <= limit
    assert not name.startswith("-")
    assert not name.endswith("-")
