"""What a power cut may leave on the model of a local disk, and what it may not."""

from __future__ import annotations

import random

from jobqueue.testing import ModelHost, ModelServer, ModelShare


def _disk(seed: int) -> tuple[ModelServer, ModelShare]:
    server = ModelServer(chance=random.Random(seed), kind="ext4")
    share = ModelShare(ModelHost(server))
    for name in ("/a", "/b"):
        share.make_dir(name)
    share.sync_everything("/a")
    return server, share


def _after(server: ModelServer) -> ModelShare:
    server.cut_power()
    return ModelShare(ModelHost(server))


def test_what_was_not_synced_is_there_or_is_not() -> None:
    seen = set()
    for seed in range(40):
        server, share = _disk(seed)
        share.create("/a/x")
        share.create("/b/y")
        after = _after(server)
        seen.add((tuple(after.names("/a")), tuple(after.names("/b"))))
    assert seen == {((), ()), (("x",), ()), ((), ("y",)), (("x",), ("y",))}


def test_a_rename_is_done_or_not_and_never_half() -> None:
    seen = set()
    for seed in range(40):
        server, share = _disk(seed)
        share.create("/a/x")
        share.sync_dir("/a")
        assert share.swap("/a/x", "/b/x") is None
        after = _after(server)
        seen.add((tuple(after.names("/a")), tuple(after.names("/b"))))
    assert seen == {(("x",), ()), ((), ("x",))}


def test_what_was_synced_is_there_with_all_that_it_needs() -> None:
    for seed in range(40):
        server, share = _disk(seed)
        share.make_dir("/a/deep")
        share.create("/b/x")
        assert share.swap("/b/x", "/a/deep/x") is None
        share.sync_dir("/a/deep")
        after = _after(server)
        assert after.names("/a/deep") == ["x"]
        assert after.names("/b") == []


def test_of_a_file_what_was_synced_is_there_and_the_rest_is_cut_short_or_zeros() -> None:
    seen = set()
    for seed in range(60):
        server, share = _disk(seed)
        journal = share.append_to("/a/journal")
        journal.append(b"one\n")
        journal.sync()
        share.sync_dir("/a")
        journal.append(b"two\n")
        seen.add(_after(server).read("/a/journal"))
    assert all(content.startswith(b"one\n") for content in seen)
    assert {b"one\n", b"one\ntwo\n", b"one\n\0\0\0\0"} <= seen
    assert max(map(len, seen)) == 8


def test_a_whole_file_is_the_old_one_or_the_new_one() -> None:
    seen = set()
    for seed in range(40):
        server, share = _disk(seed)
        share.write_whole("/a/x", b"old")
        share.sync_everything("/a")
        share.write_new("/a/.new", b"new")
        assert share.swap("/a/.new", "/a/x") is None
        seen.add(_after(server).read("/a/x"))
    assert seen == {b"old", b"new"}


def test_what_a_server_has_answered_outlasts_a_cut_of_its_power() -> None:
    for seed in range(10):
        server = ModelServer(chance=random.Random(seed), kind="nfs4")
        share = ModelShare(ModelHost(server))
        share.make_dir("/a")
        share.create("/a/x")
        assert _after(server).names("/a") == ["x"]
