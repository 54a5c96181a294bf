"""The budgets of calls on the share, counted on the real programs with `strace`, and held against the page "Costs".

What is compared are counts, never times. A number on the page that is no longer true fails here, with the line as it
has to be.
"""

from __future__ import annotations

import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import costs
from jobqueue.names import Entry
from jobqueue.registry import Registration
from jobqueue.store import Store
from tests import support_strace
from tests.acceptance.counting import CYCLE, Counting, listing
from tests.acceptance.worker.driver import Queue
from tests.soundness import assert_sound
from tests.support_queues import FINISHED, STALLED, Maker
from tests.support_share import scratch

__all__ = ["scratch"]

pytestmark = pytest.mark.needs_program("strace")

BEAT_CALLS = 6
CALLS_FOR_EACH_OTHER = 3
# So much memory the files of so many jobs take.
_ROOM_BYTES = 1 << 30


def show(text: str) -> None:
    """Prints what was counted; `pytest -rP` tells it of tests that pass."""
    sys.stdout.write(f"{text}\n")


# --- the table ---------------------------------------------------------------------------------------------------


@pytest.fixture
def roomy_dir(queue_dir: Path, scratch: Path) -> Path:
    """The queue, where a hundred thousand files are made fast, if there is such a place."""
    if shutil.disk_usage(scratch).free < _ROOM_BYTES:
        return queue_dir
    return Path(shutil.copytree(queue_dir, scratch / "queue"))


@pytest.mark.parametrize(
    ("column", "count", "finished", "stalled"),
    [
        ("1", 1, 0, 0),
        ("100", 100, 0, 0),
        ("10,000", 10_000, 0, 0),
        ("10,000 in a full queue", 10_000, FINISHED, STALLED),
    ],
)
def test_what_each_thing_costs_is_what_the_page_says(
    roomy_dir: Path, tmp_path: Path, column: str, count: int, finished: int, stalled: int
) -> None:
    Maker(roomy_dir).leave_lying_about(finished=finished, stalled=stalled)
    found = Counting(roomy_dir, tmp_path).column(count)
    page = costs.table(costs.LOCAL)
    show("\n".join(f"| {row} | {costs.words(calls)} |" for row, calls in found.items()))
    assert {row: cells[column] for row, cells in page.items()} == {row: costs.words(found[row]) for row in found}
    # A hierarchy of one job begins and ends with it.
    over = [row for row in found if count > 1 and found[row] > costs.number(page[row][costs.BUDGET])]
    assert not over


def test_the_full_queue_is_a_sound_one(queue_dir: Path) -> None:
    Maker(queue_dir).leave_lying_about(finished=3, stalled=2)
    stalled, finished = ["failed", "blocked"], ["finished"]
    assert assert_sound(queue_dir) == {1: stalled, 2: stalled, 3: finished, 4: finished, 5: finished}
    assert len(Queue(queue_dir).entries("waiting")) == 2
    assert len(Queue(queue_dir).entries("done")) == 3


# --- a worker that has nothing to do -----------------------------------------------------------------------------


def fill_index(queue: Queue, folder: str, numbers: range) -> None:
    for number in numbers:
        (queue.dir / "index" / folder / Entry(folder, 0, number, 1).name).touch()


@pytest.mark.parametrize("slots", ["1", "4"])
def test_a_beat_costs_the_same_whatever_the_number_of_slots(queue_dir: Path, tmp_path: Path, slots: str) -> None:
    idle = Counting(queue_dir, tmp_path).idle("--slots", slots, "--poll", "1000", cycles=1)
    at = idle.beats()
    one = idle.calls[at[4] : at[5]]
    show(listing(one))
    assert len(one) <= BEAT_CALLS, listing(one)


@pytest.fixture
def others(queue_dir: Path) -> Iterator[Callable[[str], None]]:
    """Has another worker come by its name, and beat until the test is over."""
    store, end, came = Store(str(queue_dir)), threading.Event(), list[Registration]()

    def beat() -> None:
        while not end.wait(0.02):
            for other in came:
                other.beat()

    thread = threading.Thread(target=beat)
    thread.start()
    yield lambda name: came.append(Registration(store, name, 1))
    end.set()
    thread.join()
    for other in came:
        assert other.leave()


@pytest.mark.parametrize(
    ("names", "limit"),
    [(["a", "b"], BEAT_CALLS), (["x", "y", "z"], BEAT_CALLS + 3 * CALLS_FOR_EACH_OTHER)],
    ids=["another is the sweeper", "it is the sweeper of three"],
)
def test_beats_beside_others_stay_within_the_budget(
    queue_dir: Path, tmp_path: Path, others: Callable[[str], None], names: list[str], limit: int
) -> None:
    for name in names:
        others(name)
    cycle = Counting(queue_dir, tmp_path).idle("--poll", "1000", beat_s=0.2).two_cycles()
    show(f"{len(cycle) / (2 * CYCLE):g} calls a beat:\n{listing(cycle)}")
    looks = [call for call in cycle if call.name in ("open", "openat") and call.paths[0].endswith("/beat")]
    assert looks
    assert len(cycle) <= limit * 2 * CYCLE, listing(cycle)


# --- looking -----------------------------------------------------------------------------------------------------


def test_listing_a_thousand_jobs_takes_listings_alone(queue_dir: Path, tmp_path: Path) -> None:
    queue = Queue(queue_dir)
    for first, folder in enumerate(("runnable", "waiting", "held", "done")):
        numbers = range(250 * first + 1, 250 * first + 251)
        fill_index(queue, folder, numbers)
        for number in numbers:
            (queue_dir / f"job{number}").mkdir()
            (queue_dir / f"job{number}" / ".hierarchy").touch()
    trace = tmp_path / "trace"
    calls = support_strace.run(trace, "-m", "jobqueue", "-q", str(queue_dir), "list", "--json")
    ours = [call for call in calls if call.is_in(str(queue_dir))]
    show(f"{len(ours)} calls")
    assert not [call.text for call in ours if re.search(r"/job\d+(/|$)", " ".join(call.paths))]
    opened = [call for call in ours if call.name in ("open", "openat")]
    files = [call.paths[0] for call in opened if "O_DIRECTORY" not in call.text]
    assert files == [str(queue_dir / "queue.cfg")]
    assert 5 <= len(opened) <= 12, listing(opened)
    assert len(ours) <= 6 * len(opened), listing(ours)
