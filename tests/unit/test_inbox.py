"""What people ask of a worker reaches it, whatever the share does meanwhile."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from jobqueue import control
from jobqueue.names import Token
from jobqueue.registry import Registration
from jobqueue.store import Store
from jobqueue.worker.inbox import Inbox
from tests.support_share import Call, HookedShare, watched_calls
from tests.unit.choosing import submit

__all__ = ["watched_calls"]


@pytest.mark.usefixtures("watched_calls")
def test_a_request_is_not_lost_where_it_cannot_be_seen_just_then_what_runs(queue_dir: Path) -> None:
    share = HookedShare()
    store = Store(str(queue_dir), share)
    registration = Registration(store, "w", 1)
    inbox = Inbox(store, registration)
    number = submit(store, 2)
    running = [
        store.tokens.try_claim(store.layout.job(number), Token(node, 0, 0, 0), registration.name, node + 1)
        for node in range(2)
    ]
    control.fail(store, number, 0, "job1/job0")

    def refuse(call: Call, do: Any) -> Any:
        if call.name == "listdir" and str(call.args[0]).endswith("/running"):
            raise OSError(errno.EIO, "Input/output error")
        return do()

    share.hook = refuse
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            inbox.take()
    share.hook = lambda _, do: do()
    control.cancel(store, number)
    first, second = inbox.take()
    assert (first[0].action, first[1]) == ("fail", [running[0]])
    assert (second[0].action, sorted(second[1])) == ("cancel", running)
    assert inbox.take() == []
    registration.release_lock()
