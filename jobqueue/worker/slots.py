"""The supervisor's view of one slot: its process, its pipes, and what it is doing."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from jobqueue.identity import is_group_running
from jobqueue.notes import Tally
from jobqueue.store import Store
from jobqueue.streams import Spool
from jobqueue.worker.aftermath import Ending
from jobqueue.worker.runner import Seat
from jobqueue.worker.slot import Pipes, SlotProcess, become_slot

_BLOCK_BYTES = 1 << 16


class Slot:
    """One slot; what `runjobs` shows of it are the public attributes.

    Args:
        number: never used before by this worker.
        place: which of the worker's slots it is, from 1; a slot that takes a dead one's place has the same.

    Attributes:
        job: the job's name, ``""`` while idle.
        label: the job's label.
        attempt: which attempt it is.
        progress: percent.
        status: its status line.
        began: when it began, by `Clock.monotonic`.
    """

    def __init__(self, number: int, place: int) -> None:
        self.number = number
        self.place = place
        self.job = self.label = self.status = ""
        self.attempt = 0
        self.progress = 0.0
        self.began = 0.0
        self.numbers = {number}
        self.spool = Spool()
        self.pid = 0
        self.is_idle = self.is_in_doubt = False
        # Whether it was told that somebody holds what it runs a chunk of.
        self.is_held = False
        self.is_leaving = self.has_worked = False
        # The news (see Supervisor) that it had when it was told to look last.
        self.seen_news = 0
        self.current: tuple[int, int] | None = None
        # Of a chunk, its first item and what comes after its last one.
        self.items: list[int] | None = None
        # What has become of them, as far as it is known.
        self.tally = Tally()
        # Of them the one whose timeout is watched.
        self.item: int | None = None
        self.timeout: float | None = None
        # When its job has to be over; and of that time what is left while the job waits for the share.
        self.deadline: float | None = None
        self.left_s: float | None = None
        self.ending: Ending | None = None
        self.kill_at: float | None = None
        self.give_up_at: float | None = None
        self.clear_at = float("-inf")
        self.is_reaped = self.is_cleared = False
        self.exit_code = 0
        self.exit_words = ""
        self._is_gone = False
        self._rest = b""
        self._control = self.status_fd = -1

    def start(self, store: Store, seat: Seat, *, is_limited: bool) -> None:
        """Forks the process. It does nothing before it is told to go, so that it can be put under guard first."""
        control_read, self._control = os.pipe()
        self.status_fd, status_write = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            os.close(control_read)
            os.close(status_write)
            self.close()
            raise
        if self.pid == 0:
            code = 1
            try:
                spool_fds = self.spool.fds()
                become_slot({control_read, status_write, *spool_fds})
                self.spool.take_over()
                pipes = Pipes(control_read, status_write)
                code = SlotProcess(store, seat, pipes, self.spool, is_limited=is_limited).live()
            finally:
                # Never back into the supervisor's frames, nor its exit handlers.
                os._exit(code)
        os.close(control_read)
        os.close(status_write)
        os.set_blocking(self.status_fd, False)

    @property
    def has_several(self) -> bool:
        """Whether it runs several items of an array, one after the other."""
        return self.items is not None and self.items[1] - self.items[0] > 1

    def tell(self, line: str) -> None:
        """Says something to the process, which may have ended already."""
        if self.is_cleared:
            return
        try:
            os.write(self._control, line.encode("ascii") + b"\n")
        except BrokenPipeError:
            # It is about to be reaped, and then whatever it was to do is done for it.
            return

    def heard(self) -> list[dict[str, Any]]:
        """What the process has said since we listened last."""
        while True:
            try:
                block = os.read(self.status_fd, _BLOCK_BYTES)
            except BlockingIOError:
                break
            self._rest += block
            if len(block) < _BLOCK_BYTES:
                # There is no more, or the process has ended.
                break
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in lines]

    def signal_group(self, number: int) -> bool:
        """Sends a signal to the process and all that it started; ``False`` if nothing of them is left."""
        if self._is_gone:
            return False
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            # All that is left runs as somebody else (a setuid program); it is not ours to end.
            return False
        return True

    def is_group_gone(self) -> bool:
        """Whether nothing of the process group runs any more. Once it is gone its number may be somebody else's."""
        self._is_gone = self._is_gone or not (self.signal_group(0) and is_group_running(self.pid))
        return self._is_gone

    def reap(self) -> bool:
        """Takes the process's end notice, if it has ended."""
        if not self.is_reaped:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.is_reaped = True
                code = os.waitstatus_to_exitcode(status)
                # A real-time signal has a number, but no name.
                self.exit_words = f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
                self.exit_code = code
        return self.is_reaped

    def close(self) -> None:
        """Closes this side's ends of the pipes, and the spool."""
        self.is_cleared = True
        os.close(self._control)
        os.close(self.status_fd)
        self.spool.close()
