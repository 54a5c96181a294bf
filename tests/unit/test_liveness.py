"""Who is dead, from what one worker sees of the others' beats."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from jobqueue import liveness
from jobqueue.identity import describe_process, host_in_names
from jobqueue.liveness import Watch
from jobqueue.pace import Pace
from jobqueue.share import Lock
from jobqueue.store import Store
from jobqueue.testing import FakeClock
from tests.support_share import QuickShare

BEAT_S = 5.0
# Of no process: more than Linux gives to any.
_NO_PID = 2**22 + 1
# The name of a worker on this host.
HERE = f"b{host_in_names()}0"
_times = itertools.count(1)


class Bench:
    """A worker ``me`` that looks at others, which do what the test says.

    Args:
        queue_dir: of the queue.
        me: its name.
    """

    def __init__(self, queue_dir: Path, me: str) -> None:
        self.share = QuickShare()
        assert isinstance(self.share.clock, FakeClock)
        self.clock = self.share.clock
        self.store = Store(str(queue_dir), self.share)
        self.pace = Pace(self.store.config)
        self.watch = Watch(self.store, me, self.pace)
        self.beats = 0
        (queue_dir / "workers" / me).mkdir()

    def come(self, name: str, **said: Any) -> None:
        files = self.store.layout.worker(name)
        os.mkdir(files.dir)
        Path(files.beat).touch()
        Path(files.lock).touch()
        Path(files.info).write_text(json.dumps({"host": "elsewhere", "boot": "b", "pidns": "n", "pid": 1, **said}))
        self.beat(name)

    def beat(self, *names: str) -> None:
        for name in names:
            os.utime(self.store.layout.worker(name).beat, ns=(0, next(_times) * 10**9))

    def pass_one(self, *alive: str) -> dict[str, str]:
        """One beat of ours later, in which others beat, too: who is dead."""
        self.clock.passed += BEAT_S
        self.beat(*alive)
        self.beats += 1
        return dict(self.watch.beaten(may_look=self.beats % 2 == 0))

    def until_dead(self, name: str, *alive: str, limit: int = 200) -> int:
        """How many beats of ours it takes until a silent worker is found dead."""
        for beats in range(1, limit):
            if name in self.pass_one(*alive):
                return beats
        raise AssertionError(f"{name} was not found dead in {limit} beats")

    def watched(self, monkeypatch: pytest.MonkeyPatch, call: str, ending: str) -> list[tuple[int, str]]:
        """What a method of the share is asked from now on, of paths that end like this: at which beat, and of whom."""
        seen: list[tuple[int, str]] = []
        real = getattr(self.share, call)

        def watch(path: str) -> Any:
            if path.endswith(ending):
                seen.append((self.beats, Path(path).parent.name))
            return real(path)

        monkeypatch.setattr(self.share, call, watch)
        return seen


@pytest.fixture
def bench(queue_dir: Path) -> Bench:
    """The watching worker comes first in the order of the names, so it is the sweeper."""
    return Bench(queue_dir, "a-me")


def test_who_beats_is_never_dead(bench: Bench) -> None:
    bench.come("b")
    bench.come("c")
    assert [bench.pass_one("b", "c") for _ in range(100)] == [{}] * 100


def test_who_is_silent_is_dead_after_twenty_four_beats_and_two_minutes(bench: Bench) -> None:
    bench.come("b")
    for _ in range(10):
        bench.pass_one("b")
    assert bench.until_dead("b") == 24


def test_the_words_say_for_how_long_it_was_silent(bench: Bench) -> None:
    bench.come("b")
    for _ in range(3):
        bench.pass_one("b")
    bench.until_dead("b")
    assert bench.pass_one() == {"b": "it has not beaten for 125 s"}


def test_with_a_dead_time_of_its_own_a_queue_waits_so_long(bench: Bench) -> None:
    bench.store.config.dead_after_s = 300.0
    bench.come("b")
    bench.pass_one("b")
    bench.pass_one("b")
    assert bench.until_dead("b") == 60


def test_a_short_dead_time_still_takes_twenty_four_beats(bench: Bench) -> None:
    bench.store.config.dead_after_s = 1.0
    bench.come("b")
    bench.pass_one("b")
    bench.pass_one("b")
    assert bench.until_dead("b") == 24


def test_a_free_lock_that_was_seen_held_tells_after_four_beats(bench: Bench) -> None:
    bench.come("b")
    lock = Lock(bench.store.layout.worker("b").lock)
    for _ in range(5):
        bench.pass_one("b")
    lock.release()
    assert bench.until_dead("b") == 4
    assert bench.pass_one()["b"].endswith("and its lock is free")


def test_a_lock_that_was_never_seen_held_proves_nothing(bench: Bench) -> None:
    bench.come("b")
    for _ in range(5):
        bench.pass_one("b")
    assert bench.until_dead("b") == 24


def test_a_lock_that_is_held_by_one_that_was_never_seen_to_beat_proves_nothing(bench: Bench) -> None:
    """A lock that is refused just after a beat is one that shuts out others while its holder lives."""
    bench.come("b")
    lock = Lock(bench.store.layout.worker("b").lock)
    bench.pass_one()
    bench.pass_one()
    lock.release()
    assert bench.until_dead("b") == 24


def test_a_lock_that_was_seen_held_is_not_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = bench.watched(monkeypatch, "is_locked", "/lock")
    bench.come("b")
    lock = Lock(bench.store.layout.worker("b").lock)
    for _ in range(20):
        bench.pass_one("b")
    # At the first look nothing is known of its beat; the next one shows that it beats.
    assert tried == [(3, "b")]
    lock.release()


def test_where_locks_reach_nobody_they_are_tried_three_times(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = bench.watched(monkeypatch, "is_locked", "/lock")
    bench.come("b")
    for _ in range(10):
        bench.pass_one("b")
    assert len(tried) == 3


def test_a_lock_that_is_held_does_not_keep_a_silent_worker_alive_for_ever(bench: Bench) -> None:
    bench.come("b")
    lock = Lock(bench.store.layout.worker("b").lock)
    for _ in range(5):
        bench.pass_one("b")
    assert bench.until_dead("b") == 24
    lock.release()


def test_a_gap_in_ones_own_beats_makes_one_begin_anew(bench: Bench) -> None:
    bench.come("b")
    bench.pass_one("b")
    bench.pass_one("b")
    for _ in range(20):
        assert bench.pass_one() == {}
    bench.clock.passed += 3 * BEAT_S
    assert bench.until_dead("b") == 25


@pytest.mark.parametrize("missed", [1, 2])
def test_beats_that_are_only_late_make_no_gap(bench: Bench, missed: int) -> None:
    bench.come("b")
    bench.pass_one("b")
    bench.pass_one("b")
    bench.clock.passed += missed * BEAT_S
    assert bench.until_dead("b") == 24


def test_a_worker_on_this_host_whose_process_is_gone_is_dead_at_once(bench: Bench) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    here = describe_process()
    bench.come(HERE, **{**here, "pid": pid, "started_ticks": 1})
    alive = f"c{host_in_names()}0"
    bench.come(alive, **here)
    assert bench.until_dead(HERE, HERE, alive) <= 2
    os.waitpid(pid, 0)
    assert bench.pass_one(alive)[HERE] == f"its process {pid} on this host is gone"
    assert alive not in bench.pass_one(alive)


def test_one_whose_process_is_gone_is_not_looked_at_on_the_share(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = bench.watched(monkeypatch, "changed_at", "/beat")
    bench.come(HERE, **{**describe_process(), "pid": _NO_PID})
    for _ in range(30):
        bench.pass_one()
    assert bench.pass_one() == {HERE: f"its process {_NO_PID} on this host is gone"}
    assert looks == []


def test_the_dead_are_told_in_the_order_of_their_names(bench: Bench) -> None:
    names = [f"b{number}{host_in_names()}0" for number in range(10)]
    for name in names:
        bench.come(name, **{**describe_process(), "pid": _NO_PID})
    bench.pass_one()
    assert list(bench.pass_one()) == names


def test_one_that_was_swept_is_not_told_dead_again(bench: Bench) -> None:
    bench.come(HERE, **{**describe_process(), "pid": _NO_PID})
    assert bench.until_dead(HERE) == 2
    bench.share.remove_tree(bench.store.layout.worker(HERE).dir)
    bench.watch.forget(HERE)
    assert bench.pass_one() == {}


def test_where_name_spaces_cannot_be_told_apart_nobody_is_dead_by_his_process(
    queue_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "pid_namespace", lambda: "")
    bench = Bench(queue_dir, "a-me")
    bench.come(HERE, **{**describe_process(), "pid": _NO_PID, "pidns": ""})
    assert [bench.pass_one(HERE) for _ in range(10)] == [{}] * 10


def test_a_process_id_that_is_no_number_proves_nothing(bench: Bench) -> None:
    bench.come(HERE, **{**describe_process(), "pid": "none"})
    assert [bench.pass_one(HERE) for _ in range(10)] == [{}] * 10


def test_a_process_id_that_is_used_again_is_another_process(bench: Bench) -> None:
    here = describe_process()
    bench.come(HERE, **{**here, "started_ticks": here["started_ticks"] - 1})
    assert bench.until_dead(HERE, HERE) <= 2


@pytest.mark.parametrize("key", ["host", "boot", "pidns"])
def test_where_nothing_says_which_host_this_is_nobody_is_looked_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    name = {"host": "host_name", "boot": "boot_id", "pidns": "pid_namespace"}[key]
    monkeypatch.setattr(liveness, name, lambda: "")
    bench.watch = Watch(bench.store, "a-me", bench.pace)
    bench.come(HERE, **{**describe_process(), "pid": 2**22 + 1, key: ""})
    assert [bench.pass_one(HERE) for _ in range(10)] == [{}] * 10


@pytest.mark.parametrize("key", ["host", "boot", "pidns"])
def test_a_process_of_another_host_boot_or_name_space_is_not_looked_up_here(bench: Bench, key: str) -> None:
    bench.come(HERE, **{**describe_process(), "pid": _NO_PID, key: "other"})
    assert [bench.pass_one(HERE) for _ in range(10)] == [{}] * 10


def test_each_false_death_doubles_the_dead_time_three_times_at_most(bench: Bench, queue_dir: Path) -> None:
    bench.come("b")
    for count, factor in enumerate((1, 2, 4, 8, 8)):
        for _ in range(4):
            bench.pass_one("b")
        assert bench.until_dead("b", limit=300) == 24 * factor
        (queue_dir / "workers" / f"w{count}.alive").touch()


def test_the_others_look_at_the_sweeper_alone(queue_dir: Path) -> None:
    bench = Bench(queue_dir, "m")
    for name in ("a", "b", "z"):
        bench.come(name)
    for _ in range(8):
        bench.pass_one("a", "b", "z")
    assert not bench.watch.is_sweeper
    # Nobody but the sweeper finds out that these two are silent.
    assert [bench.pass_one("a") for _ in range(60)] == [{}] * 60


def test_the_first_one_in_the_order_of_the_names_that_is_not_silent_is_the_sweeper(queue_dir: Path) -> None:
    bench = Bench(queue_dir, "m")
    told = [bench.watch.is_sweeper]
    for name in ("a", "b", "z"):
        bench.come(name)
    # Those that come later do not count, and of those before it all have to be silent.
    for alive in (["a", "b", "z"], ["b"], []):
        for _ in range(8):
            bench.pass_one(*alive)
        told.append(bench.watch.is_sweeper)
    bench.pass_one("a")
    told.append(bench.watch.is_sweeper)
    assert told == [True, False, False, True, False]


def test_who_is_there_and_how_the_sweeper_does_is_looked_up_at_every_fourth_beat(
    queue_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(queue_dir, "m")
    for name in ("a", HERE, "z"):
        bench.come(name)
    listings = bench.watched(monkeypatch, "names", "/workers")
    infos = bench.watched(monkeypatch, "read", "/info.json")
    looks = bench.watched(monkeypatch, "changed_at", "/beat")
    for _ in range(16):
        bench.pass_one("a", HERE, "z")
    assert [beat for beat, _ in listings] == [2, 6, 10, 14]
    # Nobody reads of those who are elsewhere.
    assert infos == [(2, HERE)]
    assert looks == [(beat, "a") for beat in (4, 8, 12, 16)]


@pytest.mark.parametrize("phase", range(4))
def test_who_stands_between_a_silent_one_and_us_is_silent_after_three_beats(queue_dir: Path, phase: int) -> None:
    """It is the sweeper then, so it is looked at at each beat, and so is the silent one."""
    bench = Bench(queue_dir, "m")
    for name in ("a", "b"):
        bench.come(name)
    for _ in range(8):
        bench.pass_one("a", "b")
    for _ in range(8 + phase):
        bench.pass_one("b")
    told = []
    for _ in range(4):
        bench.pass_one()
        told.append(bench.watch.is_sweeper)
    assert told == [False, False, True, True]
    bench.pass_one("a")
    assert not bench.watch.is_sweeper


def test_when_the_sweeper_is_silent_the_next_one_takes_its_place(queue_dir: Path) -> None:
    bench = Bench(queue_dir, "m")
    for name in ("a", "z"):
        bench.come(name)
    for _ in range(8):
        bench.pass_one("a", "z")
    # The looks at a sweeper that lives are 4 beats apart.
    assert 24 <= bench.until_dead("a") <= 28
    assert bench.watch.is_sweeper
    assert bench.until_dead("z") <= 24


def test_all_that_have_fallen_silent_before_the_sweeper_are_found_together(queue_dir: Path) -> None:
    bench = Bench(queue_dir, "m")
    names = ["a", "b", "c", "d"]
    for name in names:
        bench.come(name)
    for _ in range(8):
        bench.pass_one(*names)
    dead: dict[str, int] = {}
    for beats in range(1, 60):
        for name in bench.pass_one():
            dead.setdefault(name, beats)
    assert set(dead) == set(names)
    assert max(dead.values()) <= 28 + 4 * len(names)


def test_one_that_comes_and_says_nothing_of_itself_is_left_alone_for_the_whole_dead_time(bench: Bench) -> None:
    os.mkdir(bench.store.layout.worker("b").dir)
    assert bench.until_dead("b") >= 24


def test_one_that_comes_late_and_says_nothing_of_itself_has_the_whole_dead_time_too(bench: Bench) -> None:
    for _ in range(60):
        bench.pass_one()
    os.mkdir(bench.store.layout.worker("b").dir)
    assert bench.until_dead("b") >= 24


def test_one_that_says_only_later_who_it_is_is_asked_again(bench: Bench) -> None:
    files = bench.store.layout.worker(HERE)
    os.mkdir(files.dir)
    for _ in range(4):
        assert bench.pass_one() == {}
    Path(files.info).write_text(json.dumps({**describe_process(), "pid": _NO_PID}))
    assert bench.until_dead(HERE) == 2


def test_one_that_is_gone_is_forgotten(bench: Bench, queue_dir: Path) -> None:
    bench.come("b")
    for _ in range(4):
        bench.pass_one("b")
    bench.share.remove_tree(str(queue_dir / "workers" / "b"))
    assert [bench.pass_one() for _ in range(60)] == [{}] * 60


def test_names_that_are_no_workers_are_ignored(bench: Bench, queue_dir: Path) -> None:
    for name in (".nfs0001", "old.alive", "._b"):
        (queue_dir / "workers" / name).mkdir()
    assert [bench.pass_one() for _ in range(60)] == [{}] * 60


def test_a_file_with_the_name_of_a_worker_is_none_and_hides_no_death(bench: Bench, queue_dir: Path) -> None:
    (queue_dir / "workers" / "a-file").touch()
    bench.come("b")
    for _ in range(4):
        bench.pass_one("b")
    # As long as it passed for the first of the workers, we were not the sweeper.
    assert bench.watch.is_sweeper
    assert 24 <= bench.until_dead("b") <= 28


def test_a_file_with_the_name_of_a_worker_is_taken_for_one_until_the_first_look_alone(
    bench: Bench, queue_dir: Path
) -> None:
    (queue_dir / "workers" / "a-file").touch()
    told = []
    for _ in range(12):
        bench.pass_one()
        told.append(bench.watch.is_sweeper)
    assert told == [True, False, False, *[True] * 9]


def test_a_folder_that_cannot_be_looked_at_hides_no_death(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("b", "c"):
        bench.come(name)
    changed_at = bench.share.changed_at

    def refuse(path: str) -> float | None:
        if "/workers/b/" in path:
            raise PermissionError(path)
        return changed_at(path)

    monkeypatch.setattr(bench.share, "changed_at", refuse)
    for _ in range(4):
        bench.pass_one("b", "c")
    assert bench.until_dead("c", "b") == 24
    assert "Worker b cannot be looked at" in caplog.text


# --- many, or a share that is slow -------------------------------------------------------------------------------


def _slow_looks(bench: Bench, monkeypatch: pytest.MonkeyPatch, look_s: float) -> list[tuple[int, str]]:
    """Has each look at a beat take so long; the looks."""
    looks = bench.watched(monkeypatch, "changed_at", "/beat")
    watched = bench.share.changed_at

    def slow(path: str) -> float | None:
        bench.clock.passed += look_s
        return watched(path)

    monkeypatch.setattr(bench.share, "changed_at", slow)
    return looks


def test_looking_takes_a_quarter_of_a_beat_at_most_and_goes_on_at_the_next_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"b{number}" for number in range(8)]
    for name in names:
        bench.come(name)
    looks = _slow_looks(bench, monkeypatch, BEAT_S / 10)
    for _ in range(10):
        began = bench.clock.passed + BEAT_S
        bench.pass_one(*names)
        assert bench.clock.passed - began <= 0.25 * BEAT_S + BEAT_S / 10
    # Three at each beat from the second on, everybody in turn.
    assert [name for _, name in looks] == [*names, *names, *names, *names][: 3 * 9]


def test_who_is_looked_at_seldom_is_dead_after_as_long_and_lives_while_it_beats(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"b{number}" for number in range(8)]
    for name in names:
        bench.come(name)
    _slow_looks(bench, monkeypatch, BEAT_S / 10)
    assert [bench.pass_one(*names) for _ in range(60)] == [{}] * 60
    beats = bench.until_dead("b3", *(name for name in names if name != "b3"))
    # Each is looked at at every third beat.
    assert 24 <= beats <= 24 + 3
