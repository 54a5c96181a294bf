"""How the processes that test a share talk to one another: by files on that share, since hosts have nothing else.

Each says a thing once, under a name of its own, and hears what the others say. So all are at the same place of the
same script, and a share that hides what others make is noticed by the first thing that is not heard.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jobqueue.share import Share

_LOOK_S = 0.01
# As idle workers do: now and then a look that no memory of this host can spoil.
_AFRESH_EVERY = 10


class SilenceError(Exception):
    """What another process has said is not seen here, or it says nothing any more."""


class Meeting:
    """One process among those that test a share together.

    Args:
        share: to call with.
        directory: where they meet; there already.
        me: which of them this is, from 0.
        parties: how many they are.
        patience_s: how long to wait for what another one says, in seconds.
        on_wait: called at each look; may raise to end the waiting.
    """

    def __init__(
        self, share: Share, directory: str, *, me: int, parties: int, patience_s: float,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.share = share
        self.directory = directory
        self.me = me
        self.parties = parties
        self.patience_s = patience_s
        self._on_wait = on_wait

    @property
    def others(self) -> list[int]:
        return [party for party in range(self.parties) if party != self.me]

    def say(self, what: str, value: Any = None) -> None:
        """Lets the others know something; a name of a thing is used only once by each."""
        path = f"{self.directory}/{what}.{self.me}"
        try:
            self.share.write_whole(path, json.dumps(value).encode("ascii"), sync=False)
        except FileNotFoundError as error:
            raise SilenceError("the others have gone") from error

    def hear(self, what: str, party: int) -> Any:
        """Waits until another one has said a thing; what it said.

        Raises:
            SilenceError: it is not seen in time.
        """
        name = f"{what}.{party}"
        self.wait_until(lambda names: name in names, f"what process {party} has made ({name})")
        return json.loads(self.share.read(f"{self.directory}/{name}"))

    def all_say(self, what: str, value: Any = None) -> list[Any]:
        """Says a thing and hears it of all others; what each has said. Nobody goes on before all are here."""
        self.say(what, value)
        return [value if party == self.me else self.hear(what, party) for party in range(self.parties)]

    def wait_until(self, holds: Callable[[list[str]], bool], what: str) -> float:
        """Looks into the directory until something holds of its names; how long that took, in seconds.

        Raises:
            SilenceError: it does not come to be in time.
        """
        clock = self.share.clock
        begin = clock.monotonic()
        looks = 0
        while True:
            looks += 1
            is_afresh = looks % _AFRESH_EVERY == 0
            try:
                names = self.share.names_afresh(self.directory) if is_afresh else self.share.names(self.directory)
            except FileNotFoundError as error:
                raise SilenceError("the others have gone") from error
            waited_s = clock.monotonic() - begin
            if holds(names):
                return waited_s
            if waited_s > self.patience_s:
                raise SilenceError(f"{what} is not seen after {self.patience_s:g} s")
            self._on_wait()
            clock.sleep(_LOOK_S)


def meet(share: Share, directory: str, me: str, *, patience_s: float, on_wait: Callable[[], None]) -> tuple[int, str]:
    """Finds another doctor in a directory, which was started on another host or here.

    Whoever was killed earlier has left a name that nobody answers for. So two have met only when each has answered the
    other's very name.

    Args:
        share: to call with.
        directory: where both look; there already.
        me: a name that was never used before.
        patience_s: how long to wait, in seconds.
        on_wait: called at each look.

    Returns:
        Which of the two this is, 0 or 1, and a name that both have for what they do.

    Raises:
        SilenceError: nobody has come.
    """
    share.create(f"{directory}/here.{me}")
    answered: set[str] = set()
    deadline = share.clock.monotonic() + patience_s
    while share.clock.monotonic() < deadline:
        names = share.names_afresh(directory)
        for name in names:
            word, _, other = name.partition(".")
            if word == "here" and other != me and other not in answered:
                share.create(f"{directory}/answer.{me}.{other}")
                answered.add(other)
        met = [other for other in answered if f"answer.{other}.{me}" in names]
        if met:
            both = sorted([me, met[0]])
            return both.index(me), "-".join(both)
        on_wait()
        share.clock.sleep(_LOOK_S * _AFRESH_EVERY)
    raise SilenceError(f"nobody else has come to {directory} in {patience_s:g} s")
