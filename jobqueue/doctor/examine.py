"""The examination of a directory: alone with processes of its own, or with another host; and its verdict."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jobqueue.doctor.contest import contest_directories, contest_renames, contest_soft_locks
from jobqueue.doctor.locking import lock_each_other_out
from jobqueue.doctor.meeting import Meeting, SilenceError, meet
from jobqueue.doctor.sight import Delays, judge_delays, longest_s, watch_each_other
from jobqueue.doctor.speed import Measured, calls_per_second, clock_offset, judge_offset, settings_for
from jobqueue.errors import JobQueueError
from jobqueue.identity import boot_id, host_name, new_name
from jobqueue.mounts import Level, Remark, is_read_only, judge_mount
from jobqueue.share import Mount, Share

_WORK = ".doctor-"
_PEERS = ".doctor-peers"
STEPS = ("meeting", "rename", "mkdir", "exclusive creation", "listings", "locks", "speed")


class Extent(NamedTuple):
    """How much is done.

    Attributes:
        processes: how many take part where no other host does.
        names: how many things all of them want, in each contest.
        rounds: how often one watches the other, each way.
        patience_s: how long one waits for what another one has made.
        speed_s: how long each kind of call is measured at most.
    """

    processes: int = 4
    names: int = 200
    rounds: int = 10
    patience_s: float = 20.0
    speed_s: float = 1.0


class NobodyCameError(JobQueueError):
    """No other doctor was started on this directory in time."""


class BrokenOffError(JobQueueError):
    """The examination has not come to its end."""


@dataclass
class Report:
    """What an examination has come to.

    Attributes:
        mount: what the directory lies on.
        remarks: one or more of each thing that was looked at.
        peer: the other host, or ``None``.
        measured: ``None`` where the examination had to be broken off.
    """

    mount: Mount | None
    remarks: list[Remark] = field(default_factory=list)
    peer: str | None = None
    measured: Measured | None = None

    @property
    def verdict(self) -> Level:
        return max(remark.level for remark in self.remarks)

    @property
    def settings(self) -> dict[str, float] | None:
        """Settings of queue.cfg that suit what was measured."""
        return settings_for(self.measured) if self.measured else None


OnStep = Callable[[int, str], None]


def examine(share: Share, directory: str, extent: Extent, on_step: OnStep) -> Report:
    """Examines a directory with several processes of this host; leaves nothing there.

    Not guaranteed: that what holds between processes of one host holds between two; `examine_with_peer` tells.

    Args:
        share: to call with; must be made for this process, which forks and so must have one thread.
        directory: absolute; a queue, or any other that can be written.
        extent: how much is done.
        on_step: told the number of each step and its name.

    Returns:
        What was found. Where the mount is refused already, nothing is measured.

    Raises:
        BrokenOffError: the examination has not come to its end, which is no verdict.
        OSError: the same, for trouble of the share.
    """
    report = Report(share.mount(directory), judge_mount(share.mount(directory)))
    if any(remark.level is Level.REFUSED for remark in report.remarks):
        return report
    work = f"{directory}/{_WORK}{new_name('x', share.chance).rpartition('-')[2]}"
    # Order matters: the processes end before what they work in is removed.
    with _judging_trouble(report), _made(share, work), _others(share, work, extent) as check:
        meeting = Meeting(share, work, me=0, parties=extent.processes, patience_s=extent.patience_s, on_wait=check)
        _go_through(meeting, extent, report, on_step)
    if report.verdict is not Level.REFUSED and share.is_remote(directory):
        says = "only this host has looked; `jobqueue doctor DIR --peer` on two hosts tells whether both see the same"
        report.remarks.append(Remark(Level.FULL, "peer", says))
    return report


def examine_with_peer(
    share: Share, directory: str, extent: Extent, on_step: OnStep, *, wait_s: float, on_wait: Callable[[], None]
) -> Report:
    """Examines a directory together with whoever calls this on another host; each gets a report.

    A mount that is refused is measured all the same, since the other one is to hear of it; unless it is read-only.

    Args:
        share: to call with.
        directory: absolute; the same one there.
        extent: how much is done; the same one there.
        on_step: as in `examine`.
        wait_s: how long to wait for the other, in seconds.
        on_wait: called at each look meanwhile.

    Raises:
        NobodyCameError: there was no other in time.
        OSError: the examination has not come to its end, which is no verdict.
    """
    report = Report(share.mount(directory), judge_mount(share.mount(directory)))
    if report.mount is not None and is_read_only(report.mount):
        return report
    with _judging_trouble(report):
        lobby = f"{directory}/{_PEERS}"
        share.try_make_dir(lobby)
        me = new_name("x", share.chance).rpartition("-")[2]
        try:
            place, both = meet(share, lobby, me, patience_s=wait_s, on_wait=on_wait)
        except BaseException as error:
            _leave(share, lobby, me)
            if not isinstance(error, SilenceError):
                raise
            raise NobodyCameError(
                f"{error}; start `jobqueue doctor {directory} --peer` on two hosts at about the same time", directory
            ) from error
        work = f"{lobby}/{both}"
        share.try_make_dir(work)
        try:
            meeting = Meeting(share, work, me=place, parties=2, patience_s=extent.patience_s)
            _go_through(meeting, extent, report, on_step, is_peer=True)
            _part(meeting)
        finally:
            # With it goes what others have left that were killed.
            if place == 0 or report.verdict is Level.REFUSED:
                share.remove_tree(lobby)
    return report


@contextmanager
def _judging_trouble(report: Report) -> Iterator[None]:
    """Trouble of the share changes nothing where the verdict stands already; that nothing can be written is one."""
    try:
        yield
    except OSError as error:
        if report.verdict is Level.REFUSED:
            return
        if error.errno != errno.EROFS:
            raise
        # Source: mount(2) and exports(5); a mount that can be written says nothing of what its server allows.
        says = f"it is read-only: {error.filename} cannot be made ({error.strerror})"
        report.remarks.append(Remark(Level.REFUSED, "mount", says))


def _leave(share: Share, lobby: str, me: str) -> None:
    """Takes back what one has made to be found, and the place itself where nobody else is there."""
    for name in share.names_or_none(lobby) or ():
        word, _, whose = name.partition(".")
        if whose.partition(".")[0] == me and word in ("here", "answer"):
            share.try_unlink(f"{lobby}/{name}")
    share.remove_dir(lobby)


def _part(meeting: Meeting) -> None:
    """Order matters: the first one removes everything, so the other says that it needs nothing any more."""
    with suppress(SilenceError):
        if meeting.me == 0:
            meeting.hear("bye", 1)
        else:
            meeting.say("bye")


def _go_through(meeting: Meeting, extent: Extent, report: Report, on_step: OnStep, *, is_peer: bool = False) -> None:
    """Everything that all processes do together, in the same order; what is found goes into the report."""
    remarks = report.remarks
    steps = iter(enumerate(STEPS))

    def step() -> None:
        on_step(*next(steps))

    try:
        step()
        who = {"host": host_name(), "boot": boot_id(), "mount": judge_mount(report.mount)}
        said = meeting.all_say("who", who)
        if is_peer:
            report.peer = said[1 - meeting.me]["host"]
            remarks += _of_peer(who, said[1 - meeting.me])
        step()
        remarks += contest_renames(meeting, extent.names)
        step()
        remarks += contest_directories(meeting, extent.names)
        step()
        remarks += contest_soft_locks(meeting, extent.names // 4)
        step()
        delays = watch_each_other(meeting, extent.rounds)
        remarks += judge_delays(delays, longest_s(extent.patience_s))
        step()
        remarks.append(lock_each_other_out(meeting, extent.rounds))
        step()
        report.measured = _measure(meeting, extent, delays, remarks, is_measuring=is_peer or meeting.me == 0)
        meeting.all_say("end")
    except SilenceError as error:
        says = f"{error}: this directory does not show one process what another one has made, or that one has given up"
        remarks.append(Remark(Level.REFUSED, "listing", says))


def _of_peer(here: dict[str, Any], there: dict[str, Any]) -> Iterator[Remark]:
    host = there["host"]
    if (host, there["boot"]) == (here["host"], here["boot"]):
        yield Remark(Level.WARNING, "peer", f"both processes are on {host}, which says nothing of two hosts")
    else:
        yield Remark(Level.FULL, "peer", f"this host, {here['host']}, and {host} were tested against each other")
    for level, about, says in there["mount"]:
        if level > Level.FULL:
            yield Remark(Level(level), about, f"on {host}: {says}")


def _measure(
    meeting: Meeting, extent: Extent, delays: Delays, remarks: list[Remark], *, is_measuring: bool
) -> Measured | None:
    """What each host measures for itself."""
    if not is_measuring:
        return None
    offset_s = clock_offset(meeting.share, f"{meeting.directory}/clock-{meeting.me}")
    remarks.append(judge_offset(offset_s))
    calls = calls_per_second(meeting.share, f"{meeting.directory}/speed-{meeting.me}", extent.names, extent.speed_s)
    return Measured(delays, offset_s, calls)


# --- processes of this host ------------------------------------------------------------------------------------------


@contextmanager
def _made(share: Share, directory: str) -> Iterator[None]:
    share.make_dir(directory)
    try:
        yield
    finally:
        share.remove_tree(directory)


@contextmanager
def _others(share: Share, work: str, extent: Extent) -> Iterator[Callable[[], None]]:
    """Starts the other processes, and ends them; gives what raises if one of them has died."""
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_take_part, args=(share, work, extent, place), daemon=True)
        for place in range(1, extent.processes)
    ]

    def check() -> None:
        if any(process.exitcode for process in processes):
            raise BrokenOffError("a process of the examination has ended too early; is the share in trouble?", work)

    try:
        for process in processes:
            process.start()
        yield check
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
                process.join()


def _take_part(share: Share, work: str, extent: Extent, place: int) -> None:
    """One of the other processes; what it finds the first one finds as well."""
    meeting = Meeting(share, work, me=place, parties=extent.processes, patience_s=extent.patience_s)
    try:
        _go_through(meeting, extent, Report(share.mount(work)), lambda _nth, _name: None)
    except KeyboardInterrupt:
        # It goes to all processes of a terminal; the first one says what there is to be said.
        os._exit(0)
    except OSError:
        os._exit(1)
