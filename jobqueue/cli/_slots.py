"""What `runjobs` shows on a terminal: what each slot does, and how far it is.

No thread may exist in this process, since it forks its slots: nothing is drawn but from `SlotsView.show`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobqueue.cli._output import how_long, number_of, plain

if TYPE_CHECKING:
    from jobqueue.clock import Clock
    from jobqueue.worker.slots import Slot
    from jobqueue.worker.supervisor import Supervisor


class _AboveTheView(logging.Handler):
    """Writes log lines above the view, which would else be torn by them."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._console.print(plain(self.format(record)), markup=False, highlight=False, soft_wrap=True)
        except OSError:
            # As any other handler does; a terminal that was closed must not end the worker in the middle of its work.
            self.handleError(record)


class SlotsView:
    """A view on a worker that is drawn anew at each call of `show`; entering it gives that.

    Args:
        clock: the share's.
        log: the worker's; while the view is there its lines appear above it, unless they go to a file.
        has_log_file: whether they do.
    """

    def __init__(self, clock: Clock, log: logging.Logger, *, has_log_file: bool) -> None:
        self._clock = clock
        self._is_closed = False
        console = Console(stderr=True)
        # Nothing of ours writes beside the view, and a slot must not inherit a replaced stream.
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        if not has_log_file:
            handler = _AboveTheView(console)
            handler.setFormatter(log.handlers[0].formatter)
            if log.level >= logging.INFO:
                # What begins and ends is seen in the view.
                handler.setLevel(logging.WARNING)
            log.handlers[:] = [handler]

    def __enter__(self) -> Callable[[Supervisor], None]:
        self._live.start()
        return self.show

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._live.stop()
        except OSError:
            # On a terminal that is closed there is nothing to be left clean.
            self._is_closed = True

    def show(self, supervisor: Supervisor) -> None:
        """Draws the view; the supervisor's ``on_tick``. A terminal that was closed meanwhile is not drawn on again."""
        if self._is_closed:
            return
        crew = supervisor.crew
        busy = sum(bool(slot.job) for slot in crew.slots)
        failed = f"{number_of(crew.failed, 'attempt')} failed"
        words = f"{busy} of {number_of(len(crew.slots), 'slot')} busy, {crew.finished} finished, {failed}"
        ending = "  ending: finishing what runs" if crew.is_draining else ""
        head = Text.assemble(
            (supervisor.name, "bold"), f"  {words}", (ending, "yellow"), no_wrap=True, overflow="ellipsis"
        )
        table = Table.grid(padding=(0, 2), expand=True)
        for ratio in (None, None, None, None, 1):
            table.add_column(ratio=ratio, no_wrap=True, overflow="ellipsis")
        for nth, slot in enumerate(crew.slots, start=1):
            table.add_row(*self._cells(nth, slot))
        try:
            self._live.update(Group(head, table), refresh=True)
        except OSError:
            # Whoever closed it has told us by SIGHUP.
            self._is_closed = True

    def _cells(self, nth: int, slot: Slot) -> tuple[Text | ProgressBar, ...]:
        if not slot.job:
            return Text(f"{nth}"), Text("idle", "dim"), Text(), Text(), Text()
        attempt = f" (attempt {slot.attempt})" if slot.attempt > 1 else ""
        took = how_long(self._clock.monotonic() - slot.began)
        what = "  ".join(plain(text) for text in (slot.label, slot.status) if text)
        bar = ProgressBar(total=100, completed=slot.progress, width=20)
        return Text(f"{nth}"), Text(f"{slot.job}{attempt}", "cyan"), bar, Text(took, justify="right"), Text(what)
