"""What people do to a queue, with an error or the command's death at every call that changes something.

Whatever befalls a command, it can be given again, and has then done what it says; nothing else is touched.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from jobqueue.store import Store
from tests.damages import (
    CANCELLED,
    DONE,
    FRESH,
    HALF,
    STALLED,
    asleep,
    entry,
    finish,
    latch_with_a_finished_job,
    lost_finished,
    make_scene,
    older_token_of_the_root,
)
from tests.soundness import assert_sound
from tests.support import snapshot
from tests.support_injection import FATES, Point, assert_all_end_well, points, program, run, was_hit
from tests.support_points import PART, part_of
from tests.support_share import QuickShare, scratch

__all__ = ["scratch"]

pytestmark = [pytest.mark.needs_program("strace"), pytest.mark.timeout(7200)]

# So many days until all points had their turn.
_PARTS = 30
_ALL = {DONE, STALLED, CANCELLED, HALF, FRESH}


class Act(NamedTuple):
    """What somebody does.

    Attributes:
        words: of the command line.
        holds: whether it is done, as a living worker would see it.
        gone: the jobs that are not there afterwards.
        damages: what has befallen the queue before.
        again: what the command may answer when it is given again.
    """

    words: tuple[str, ...]
    holds: Callable[[Store], bool]
    gone: frozenset[int] = frozenset()
    damages: tuple[Callable[[Store], None], ...] = ()
    again: tuple[int, ...] = (0,)


def _is_in(number: int, folder: str) -> Callable[[Store], bool]:
    return lambda store: entry(store, number).folder == folder


def _is_archived(number: int) -> Callable[[Store], bool]:
    return lambda store: _nothing_left_of(number)(store) and store.archives.open(number) is not None


def _nothing_left_of(number: int) -> Callable[[Store], bool]:
    return lambda store: store.index.find(number) is None and not store.share.is_dir(store.layout.job(number).dir)


ACTS = {
    "hold": Act(("hold", f"job{FRESH}"), _is_in(FRESH, "held")),
    "priority": Act(("priority", f"job{FRESH}", "7"), lambda store: entry(store, FRESH).priority == 7),
    # What was to be done may have been done: then nothing is open any more, has failed, or is there.
    "cancel": Act(("cancel", f"job{HALF}"), _is_in(HALF, "done"), again=(0, 2)),
    "retry": Act(("retry", f"job{STALLED}"), _is_in(STALLED, "runnable"), again=(0, 2)),
    "delete": Act(("delete", "--yes", f"job{HALF}"), _nothing_left_of(HALF), frozenset({HALF}), again=(0, 2)),
    "archive": Act(("archive", f"job{DONE}"), _is_archived(DONE), frozenset({DONE}), again=(0, 2)),
    "check": Act(
        ("check", "--repair"),
        lambda _: True,
        damages=(older_token_of_the_root, asleep, latch_with_a_finished_job, lost_finished),
    ),
}


@pytest.fixture(scope="session")
def whole_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "queue")


def _set_up(whole_scene: Path, base: Path, act: Act) -> Store:
    """The scene, at the same place each time."""
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(whole_scene, base / "queue")
    store = Store(str(base / "queue"), QuickShare(3))
    for do in act.damages:
        do(store)
    return store


def _command(store: Store, *words: str) -> list[str]:
    return program("jobqueue.cli", 11, words[0], "-q", store.layout.dir, *words[1:])


def _try(whole_scene: Path, base: Path, act: Act, point: Point) -> None:
    store = _set_up(whole_scene, base, act)
    trace = base / "trace"
    code, said = run(_command(store, *act.words), trace, point)
    assert was_hit(trace), said
    assert "Traceback" not in said, said
    if code == 0:
        assert act.holds(store), f"it said that it was done: {said}"
    code, said = run(_command(store, *act.words), trace, None)
    assert code in act.again and "Traceback" not in said, (code, said)
    assert act.holds(store), said
    # What a death has left in a queue is no damage, but for what nobody reaches.
    code, said = run(_command(store, "check", "--repair"), trace, None)
    assert code == 0, said
    before = snapshot(Path(store.layout.dir))
    code, said = run(_command(store, "check", "--repair"), trace, None)
    assert code == 0 and snapshot(Path(store.layout.dir)) == before, said
    finish(store)
    assert set(assert_sound(store.layout.dir)) == _ALL - act.gone


@pytest.mark.parametrize("name", ACTS, ids=lambda name: f"{name}-{PART}")
def test_whatever_befalls_a_command_at_any_call_it_is_done_when_it_is_given_again(
    whole_scene: Path, scratch: Path, name: str
) -> None:
    base, act = scratch / "base", ACTS[name]
    store = _set_up(whole_scene, base, act)
    code, said = run(_command(store, *act.words), base / "trace", None)
    assert code == 0, said
    assert act.holds(store)
    found = points(base / "trace", base / "queue")
    assert found and len(found) % len(FATES) == 0
    chosen = part_of(found, f"commands {name}", _PARTS)
    assert_all_end_well(chosen, functools.partial(_try, whole_scene, base, act))
