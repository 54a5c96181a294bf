"""Several processes want the same things: does each go to exactly one?

All take the names in the same order. Whoever loses one goes on to the next and so catches up with whoever leads, so
that they meet at nearly every name; nothing has to be timed for that, on one host or between two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from jobqueue.doctor.meeting import Meeting
from jobqueue.mounts import Level, Remark


def _prepare(meeting: Meeting, what: str, make: Callable[[str], None] | None, count: int) -> tuple[str, list[str]]:
    """A directory with the things that all want; the first process makes it, the others wait for it."""
    directory = f"{meeting.directory}/{what}"
    names = [f"{nth:05d}" for nth in range(count)]
    if meeting.me == 0:
        meeting.share.make_dir(directory)
        for name in names:
            if make is not None:
                make(f"{directory}/{name}")
    meeting.all_say(f"{what}-begin")
    return directory, names


def contest_renames(meeting: Meeting, count: int) -> Iterator[Remark]:
    """All rename the same files, each to names of its own."""
    share = meeting.share
    source, names = _prepare(meeting, "rename", share.create, count)
    mine = [name for name in names if share.swap(f"{source}/{name}", f"{source}/{name}.{meeting.me}") is None]
    told = meeting.all_say("rename-end", mine)
    yield judge_renames(names, told, share.names_afresh(source))
    meeting.all_say("rename-seen")


def judge_renames(names: Sequence[str], told: Sequence[Sequence[str]], seen: Sequence[str]) -> Remark:
    """Whether each file went to exactly one.

    Args:
        names: of the files.
        told: for each process, the files of which it was told that it has got them. One that has got a file and was
            told an error is within what a server may do.
        seen: what lies in the directory afterwards: ``NAME.PROCESS``.
    """
    got = Counter(name for names_of_one in told for name in names_of_one)
    lies = Counter(name.partition(".")[0] for name in seen)
    twice = [name for name in names if got[name] > 1 or lies[name] > 1]
    lost = [name for name in names if lies[name] == 0]
    stayed = sorted(set(names) & set(seen))
    if twice:
        return Remark(
            Level.REFUSED, "rename",
            f"rename is not exclusive: {len(twice)} of {len(names)} files went to more than one of {len(told)} "
            "processes, so that two workers would get the same job",
        )  # fmt: skip
    if lost or stayed:
        return Remark(
            Level.REFUSED, "rename",
            f"rename loses files or leaves them: {len(lost)} of {len(names)} are gone, {len(stayed)} stay",
        )  # fmt: skip
    wrong = [name for party, mine in enumerate(told) for name in mine if f"{name}.{party}" not in seen]
    if wrong:
        return Remark(
            Level.REFUSED, "rename", f"rename says done and is not: {len(wrong)} of {len(names)} files went to another"
        )
    return Remark(Level.FULL, "rename", f"{len(names)} files, wanted by {len(told)} processes: each went to one")


def contest_directories(meeting: Meeting, count: int) -> Iterator[Remark]:
    """All make the same directories."""
    parent, names = _prepare(meeting, "mkdir", None, count)
    mine = [name for name in names if meeting.share.try_make_dir(f"{parent}/{name}")]
    told = meeting.all_say("mkdir-end", mine)
    yield judge_takers(
        "mkdir", told, len(names), Level.REFUSED,
        "so that two submitted hierarchies would get the same number",
    )  # fmt: skip


def contest_soft_locks(meeting: Meeting, count: int) -> Iterator[Remark]:
    """All take the same locks that are nothing but a file which must not be there yet."""
    parent, names = _prepare(meeting, "exclusive", None, count)
    held = {name: meeting.share.try_soft_lock(f"{parent}/{name}.lock") for name in names}
    try:
        told = meeting.all_say("exclusive-end", [name for name, release in held.items() if release])
        yield judge_takers(
            "exclusive", told, len(names), Level.WARNING,
            "so lock files of other programs do not exclude here; the queue uses none",
        )  # fmt: skip
    finally:
        _release(held)


def _release(held: Mapping[str, Callable[[], None] | None]) -> None:
    for release in held.values():
        if release is not None:
            release()


_WORDS = {"mkdir": ("mkdir", "directories"), "exclusive": ("exclusive creation", "lock files")}


def judge_takers(about: str, told: Sequence[Sequence[str]], count: int, level: Level, then: str) -> Remark:
    """Whether nothing was taken by more than one.

    Args:
        about: ``mkdir`` or ``exclusive``.
        told: for each process, what it was told to have taken. One that has taken it and was told that it is there
            already is within what a server may do.
        count: how many things there were.
        level: how much it matters where something was taken twice.
        then: what follows from that, in words.
    """
    call, things = _WORDS[about]
    got = Counter(name for names in told for name in names)
    twice = sum(number > 1 for number in got.values())
    if twice:
        return Remark(
            level, about,
            f"{call} is not exclusive: {twice} of {count} {things} went to more than one of {len(told)} processes, "
            f"{then}",
        )  # fmt: skip
    return Remark(Level.FULL, about, f"{count} {things}, wanted by {len(told)} processes: none went to two")
