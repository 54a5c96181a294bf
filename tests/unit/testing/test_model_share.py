"""The model share does what was measured on real ones, and nothing of it when it is not told to."""

from __future__ import annotations

import errno
import inspect
from collections.abc import Callable

import pytest

from jobqueue.share import Removal, Share
from jobqueue.testing import Anomalies, FakeClock, Locks, ModelHost, ModelServer, ModelShare

_TICK_S = 0.004


@pytest.fixture
def server() -> ModelServer:
    return ModelServer()


def _two(server: ModelServer, anomalies: Anomalies) -> tuple[ModelShare, ModelShare]:
    """Processes on two hosts, and a directory that both know."""
    one, other = (ModelShare(ModelHost(server, name, anomalies)) for name in "ab")
    one.make_dir("/d")
    other.names("/d")
    server.clock.sleep(1.0)
    return one, other


def _errno(act: Callable[[], object]) -> int | None:
    try:
        act()
    except OSError as error:
        return error.errno
    return None


def test_every_method_of_the_real_share_is_there_and_touches_no_real_file() -> None:
    share = ModelShare()
    methods = {name for name, value in vars(Share).items() if inspect.isfunction(value) and name != "__init__"}
    own = {"is_locked"}
    assert methods - own <= vars(share).keys() and own <= vars(ModelShare).keys()
    for name in methods - own:
        function = vars(share)[name].__func__
        assert function.__code__ is vars(Share)[name].__code__
        assert function.__globals__["os"] is share.calls


def test_a_call_that_the_model_does_not_know_is_named() -> None:
    with pytest.raises(AttributeError, match="truncate"):
        _ = ModelShare().calls.truncate  # type: ignore[attr-defined]


def test_without_anomalies_everybody_sees_the_same_at_once(server: ModelServer) -> None:
    one, other = _two(server, Anomalies())
    assert other.changed_at("/d/x") is None
    assert other.names("/d") == []
    one.write_whole("/d/x", b"1")
    assert other.names("/d") == ["x"]
    assert other.read("/d/x") == b"1"
    assert other.swap("/d/x", "/d/y") is None
    assert one.names("/d") == ["y"]


def test_a_name_that_was_missing_once_stays_missing_until_its_directory_is_listed(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(stale_missing=1.0))
    assert other.changed_at("/d/x") is None
    one.create("/d/x")
    for _ in range(3):
        assert other.changed_at("/d/x") is None
        error = other.swap("/d/x", "/d/y")
        assert error is not None and error.errno == errno.ENOENT
        assert _errno(lambda: other.read("/d/x")) == errno.ENOENT
    server.clock.sleep(1.0)
    assert other.names("/d") == ["x"]
    assert other.swap("/d/x", "/d/y") is None


def test_an_entry_made_in_the_tick_of_a_listing_is_missing_from_all_later_ones_until_the_directory_is_touched(
    server: ModelServer,
) -> None:
    one, other = _two(server, Anomalies(blind_ticks=1.0))
    one.create("/d/x")
    assert other.names("/d") == ["x"]
    one.create("/d/y")
    server.clock.sleep(100.0)
    assert other.names("/d") == ["x"]
    assert one.names("/d") == ["x", "y"]
    assert sorted(other.names_afresh("/d")) == ["x", "y"]


def test_an_entry_that_has_gone_in_the_tick_of_a_listing_stays_in_all_later_ones(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(blind_ticks=1.0))
    one.create("/d/x")
    assert other.names("/d") == ["x"]
    assert one.try_unlink("/d/x")
    server.clock.sleep(100.0)
    assert other.names("/d") == ["x"]
    assert other.names_afresh("/d") == []


def test_a_file_can_be_found_under_the_name_that_it_was_moved_away_from(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(stale_present=1.0))
    one.write_whole("/d/x", b"1")
    assert other.read("/d/x") == b"1"
    assert one.swap("/d/x", "/d/y") is None
    assert other.read("/d/x") == b"1"
    assert one.try_unlink("/d/y")
    assert _errno(lambda: other.read("/d/x")) == errno.ENOENT


def test_stat_may_be_old_and_open_with_fstat_is_not(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(stale_attributes=1.0))
    one.create("/d/beat")
    before = other.mode_and_owner("/d/beat"), other.changed_at("/d/beat")
    server.clock.sleep(10.0)
    one.touch("/d/beat")
    assert other.mode_and_owner("/d/beat") == before[0]
    assert other.changed_at("/d/beat") != before[1]


def test_an_unlinked_file_that_its_host_holds_open_keeps_its_directory(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(silly_rename=True))
    journal = one.append_to("/d/journal")
    assert one.try_unlink("/d/journal")
    assert other.names("/d") != []
    assert other.names("/d")[0].startswith(".nfs")
    assert other.remove_dir("/d") is Removal.NOT_EMPTY
    journal.close()
    assert other.remove_dir("/d") is Removal.REMOVED


def test_what_another_host_unlinks_is_gone_though_it_is_open_here(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(silly_rename=True))
    one.append_to("/d/journal")
    assert other.try_unlink("/d/journal")
    assert other.names("/d") == []


def test_a_directory_that_was_renamed_goes_on_to_take_what_is_moved_to_its_old_path(server: ModelServer) -> None:
    one, other = _two(server, Anomalies())
    other.create("/x")
    assert one.swap("/d", "/e") is None
    assert other.swap("/x", "/d/x") is None
    assert one.names("/e") == ["x"]


def test_a_host_may_also_notice_that_a_directory_was_renamed(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(stale_directories=0.0))
    other.create("/x")
    assert one.swap("/d", "/e") is None
    assert _errno(lambda: other.create("/d/y")) == errno.ENOENT
    one.make_dir("/d")
    assert other.swap("/x", "/d/x") is None
    assert (one.names("/d"), one.names("/e")) == (["x"], [])


def test_what_lay_in_a_directory_that_was_removed_may_be_stale(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(stale_removed=1.0))
    assert other.names("/d") == []
    assert one.remove_dir("/d") is Removal.REMOVED
    assert _errno(lambda: other.create("/d/x")) == errno.ESTALE


def test_a_file_that_is_replaced_may_be_stale_to_whoever_has_read_it(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(stale_replaced=1.0))
    one.write_whole("/d/x", b"old")
    assert other.read("/d/x") == b"old"
    one.write_whole("/d/x", b"newer")
    # The share reads again what is stale.
    assert other.read("/d/x") == b"old"
    assert one.read("/d/x") == b"newer"
    other.calls.host.anomalies = Anomalies()
    assert other.read("/d/x") == b"newer"


def test_a_file_that_was_removed_may_still_be_there_to_stat(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(stale_attributes=1.0))
    one.create("/d/x")
    seen = other.mode_and_owner("/d/x")
    assert one.try_unlink("/d/x")
    assert other.mode_and_owner("/d/x") == seen
    assert other.changed_at("/d/x") is None


def test_an_unlinked_name_may_linger_for_a_second_and_is_nobodys(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(lingering=1.0))
    one.create("/d/x")
    assert other.try_unlink("/d/x")
    assert other.names("/d") == ["x"]
    assert other.remove_dir("/d") is Removal.NOT_EMPTY
    assert other.read_or_none("/d/x") is None
    assert _errno(lambda: one.append_to("/d/x")) == errno.ENOENT
    error = other.swap("/d/x", "/d/y")
    assert error is not None and error.errno == errno.ENOENT
    server.clock.sleep(1.0)
    assert other.names("/d") == []


def test_an_unlinked_name_lingers_as_long_as_somebody_has_the_file_open(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(lingering=1.0))
    journal = one.append_to("/d/journal")
    assert other.try_unlink("/d/journal")
    server.clock.sleep(60.0)
    assert other.names("/d") == ["journal"]
    journal.close()
    assert other.names("/d") == []


def test_nothing_lands_in_a_directory_that_was_removed(server: ModelServer) -> None:
    one, other = _two(server, Anomalies())
    other.create("/x")
    assert one.remove_dir("/d") is Removal.REMOVED
    error = other.swap("/x", "/d/x")
    assert error is not None and error.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("locks", "here", "there"), [(Locks.ALL, False, False), (Locks.SAME_HOST, False, True), (Locks.NONE, False, False)]
)
def test_a_lock_keeps_out_whom_it_is_told_to(server: ModelServer, locks: Locks, here: bool, there: bool) -> None:
    one, other = _two(server, Anomalies(locks=locks))
    neighbour = ModelShare(one.calls.host)

    def takes(share: ModelShare) -> bool:
        try:
            share.lock("/d/lock").release()
        except OSError:
            return False
        return True

    if locks is Locks.NONE:
        assert not takes(one)
        return
    lock = one.lock("/d/lock")
    assert (takes(neighbour), takes(other)) == (here, there)
    lock.release()
    assert takes(neighbour) and takes(other)


def test_a_process_that_dies_lets_go_of_its_lock_and_sends_what_it_had_written(server: ModelServer) -> None:
    one, other = _two(server, Anomalies())
    one.lock("/d/lock")
    one.append_to("/d/journal").append(b"line\n")
    assert other.read("/d/journal") == b""
    one.calls.die()
    other.lock("/d/lock")
    assert other.read("/d/journal") == b"line\n"


def test_a_host_that_dies_takes_what_it_had_not_sent_along_and_its_lock_for_a_lease(server: ModelServer) -> None:
    one, other = _two(server, Anomalies())
    one.lock("/d/lock")
    journal = one.append_to("/d/journal")
    journal.append(b"synced\n")
    journal.sync()
    journal.append(b"lost\n")
    one.calls.die(with_host=True)
    one.calls.host.die()
    assert other.read("/d/journal") == b"synced\n"
    assert _errno(lambda: other.lock("/d/lock")) == errno.EAGAIN
    server.clock.sleep(100.0)
    other.lock("/d/lock")


def test_a_call_may_be_executed_and_told_that_there_was_nothing_to_do(server: ModelServer) -> None:
    one, other = _two(server, Anomalies())
    one.create("/d/x")
    liar = ModelShare(ModelHost(server, "liar", Anomalies(lost_answers=1.0)))
    error = liar.swap("/d/x", "/d/y")
    assert error is not None and error.errno == errno.ENOENT
    assert other.names("/d") == ["y"]
    assert not liar.try_make_dir("/d/z")
    assert sorted(other.names("/d")) == ["y", "z"]


def test_after_an_error_a_call_was_executed_or_not(server: ModelServer) -> None:
    one, _ = _two(server, Anomalies())
    liar = ModelShare(ModelHost(server, "liar", Anomalies(errors=1.0)))
    outcomes = set()
    for nth in range(60):
        one.create(f"/d/{nth}")
        error = liar.swap(f"/d/{nth}", f"/d/moved{nth}")
        assert error is not None
        outcomes.add((error.errno, f"moved{nth}" in one.names("/d")))
    assert {number for number, _ in outcomes} == {
        errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY, errno.EACCES,
        errno.EINTR,
    }  # fmt: skip
    assert {done for _, done in outcomes} == {True, False}


def test_a_call_may_be_executed_long_after_its_answer(server: ModelServer) -> None:
    one, other = _two(server, Anomalies())
    one.create("/d/x")
    liar = ModelShare(ModelHost(server, "liar", Anomalies(late=1.0, late_s=5.0)))
    assert liar.swap("/d/x", "/d/y") is not None
    assert other.names("/d") == ["x"]
    server.clock.sleep(5.0)
    assert other.names("/d") == ["y"]


def test_without_room_nothing_is_changed_or_a_part_is_written(server: ModelServer) -> None:
    one, _ = _two(server, Anomalies())
    one.write_new("/d/x", b"")
    full = ModelShare(ModelHost(server, "full", Anomalies(no_room=1.0)))
    assert _errno(lambda: full.make_dir("/d/z")) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    assert one.names("/d") == ["x"]
    assert full.names("/d") == ["x"]


def test_while_the_server_is_away_everybody_waits(server: ModelServer) -> None:
    one, _ = _two(server, Anomalies())
    server.down_until = server.clock.monotonic() + 180.0
    before = server.clock.monotonic()
    one.names("/d")
    assert server.clock.monotonic() - before == pytest.approx(180.0)


def test_time_passes_only_where_somebody_waits() -> None:
    clock = FakeClock()
    assert (clock.monotonic(), clock.now()) == (0.0, 1_000_000.0)
    clock.sleep(2.5)
    assert (clock.monotonic(), clock.now(), clock.passed) == (2.5, 1_000_002.5, 2.5)


def test_a_file_that_was_removed_can_be_stale_to_who_knows_it(server: ModelServer) -> None:
    one, other = _two(server, Anomalies(stale_removed=1.0, stale_attributes=1.0, stale_present=0.001))
    one.create("/d/x")
    assert other.changed_at("/d/x") is not None
    one.try_unlink("/d/x")
    with pytest.raises(OSError) as caught:  # noqa: PT011  which one is what is asked
        other.changed_at("/d/x")
    assert caught.value.errno == errno.ESTALE
    assert other.changed_at("/d/x") is None


def test_a_tree_is_removed_and_a_link_is_not_followed() -> None:
    share = ModelShare()
    for path in ("/tree", "/tree/inner", "/keep"):
        share.make_dir(path)
    share.create("/keep/file")
    share.link_for_people("/keep", "/tree/inner/link")
    share.link_for_people("/keep", "/link")
    assert share.remove_tree("/tree") and share.remove_tree("/link")
    assert share.names("") == ["keep"] and share.names("/keep") == ["file"]
