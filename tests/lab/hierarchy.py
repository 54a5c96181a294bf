"""In the guest: a hierarchy of jobs that say when and where they run, and what is wrong with how they were run.

What they say goes to a file of the guest that is on no share: it is the truth also while a host is cut off.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import jobqueue
from jobqueue.hierarchy import Hierarchy, Node
from jobqueue.job import Job
from jobqueue.layout import QueueLayout
from jobqueue.names import ClosedToken
from jobqueue.share import Share
from tests.lab.frames import Frames
from tests.soundness import assert_sound

PROBE = '''
import os
import time

from jobqueue import JobProc


class probe(JobProc):
    """Says that it runs, takes its time, and says that it has run."""

    def __init__(self, node, log, seconds=0.0, frame=""):
        super().__init__(str(node))
        self.node, self.log, self.seconds, self.frame = node, log, seconds, frame

    def run(self):
        self.say("start")
        if self.frame:
            self.write(self.output(self.frame))
        else:
            time.sleep(self.seconds)
        self.say("end")

    def write(self, path):
        with open(path, "w") as file:
            file.write(f"{self.attempt()} {os.uname().nodename}\\n")
            for _ in range(4):
                file.write("half of it\\n" * 300)
                file.flush()
                time.sleep(self.seconds / 4)
            file.write("whole\\n")

    def attempt(self):
        return os.path.basename(self.runningDir).removeprefix(".attempt")

    def say(self, word):
        line = f"{word} {self.node} {self.attempt()} {time.monotonic_ns()} {os.uname().nodename}\\n"
        fd = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(fd, line.encode())
        os.close(fd)
'''
_MAX_DEPTH = 8
_FRAME_EVERY = 3


class Said(NamedTuple):
    """A line of the jobs' log: ``word`` is ``start`` or ``end``; ``at`` is the guest's one clock, in ns."""

    word: str
    name: int
    attempt: int
    at: int
    host: str


def submit(queue_dir: str, log: str, jobs: int, seed: int, *, seconds: float = 0.0, frames: str = "") -> int:
    """Submits a hierarchy of some shape.

    Args:
        queue_dir: the queue.
        log: the file to which its jobs say that they run.
        jobs: how many, 2 or more.
        seed: of the shape.
        seconds: that a job takes at most.
        frames: the directory in which every third job publishes a file; empty: none does.

    Returns:
        The top-level job's number.
    """
    chance = random.Random(seed)
    root = jobqueue.JobQueue(queue_dir).createJobRoot("probe", node=0, log=log)
    made: list[tuple[Job, int]] = [(root, 0)]
    for name in range(1, jobs):
        parent, depth = chance.choice([one for one in made[-20:] if one[1] < _MAX_DEPTH] or made[:1])
        frame = f"{frames}/{frame_name(name)}" if frames and name % _FRAME_EVERY == 0 else ""
        child = parent.createJob("probe", node=name, log=log, seconds=chance.uniform(0, seconds), frame=frame)
        made.append((child, depth + 1))
    # From a job to a later one: no cycle can come of that.
    for _ in range(jobs // 5):
        first, second = sorted(chance.sample(range(jobs), 2))
        made[first][0].addDependency(made[second][0])
    root.activate()
    return 1


def frame_name(name: int) -> str:
    """The final name of the file that a job publishes."""
    return f"frame{name:04d}.txt"


def read_log(path: Path) -> list[Said]:
    found = []
    for line in path.read_text().splitlines():
        word, name, attempt, at, host = line.split()
        found.append(Said(word, int(name), int(attempt), int(at), host))
    return found


def problems(queue_dir: Path, log: Path, *, is_quiet: bool, frames: Frames | None = None) -> list[str]:
    """What is wrong with a queue in which job 1 should have come to its end.

    Args:
        queue_dir: the queue, as the server sees it.
        log: what the jobs have said.
        is_quiet: there was no fault, so that no job has run twice.
        frames: what the jobs have published.
    """
    try:
        folders = assert_sound(queue_dir)[1]
    except AssertionError as error:
        return [f"unsound: {str(error).splitlines()[0] if str(error) else error!r}"]
    found = [f"node {node} is {folder}" for node, folder in enumerate(folders) if folder != "finished"]
    if found:
        return found
    job = QueueLayout(str(queue_dir)).job(1)
    nodes = list(Hierarchy(Share(), job.hierarchy).nodes())
    tokens = {token.node: token for name in Share().names(job.finished) if (token := ClosedToken.parse(name))}
    names = {node.node: int(node.params["node"]) for node in nodes}
    said = read_log(log)
    found += _wrong_attempts(nodes, tokens, names, said)
    found += [] if found else _wrong_order(nodes, tokens, names, said)
    if frames is not None:
        names_of = {node.node: Path(frame).name for node in nodes if (frame := node.params.get("frame"))}
        found += frames.problems({name: tokens[node].attempt for node, name in names_of.items()})
    if is_quiet:
        starts = Counter(one.name for one in said if one.word == "start")
        found += [f"job {name} was executed {times} times" for name, times in starts.items() if times != 1]
    return found


def _wrong_attempts(
    nodes: list[Node], tokens: dict[int, ClosedToken], names: dict[int, int], said: list[Said]
) -> list[str]:
    """Each result is that of an attempt that came to its end, and that was executed once."""
    count = Counter((one.word, one.name, one.attempt) for one in said)
    found = []
    for node in nodes:
        name, attempt = names[node.node], tokens[node.node].attempt
        seen = count["start", name, attempt], count["end", name, attempt]
        if seen != (1, 1):
            found.append(f"attempt {attempt} of job {name} counts, and was begun {seen[0]} and ended {seen[1]} times")
    found += [
        f"attempt {attempt} of job {name} was begun {times} times"
        for (word, name, attempt), times in count.items()
        if word == "start" and times != 1
    ]
    return found


def _wrong_order(
    nodes: list[Node], tokens: dict[int, ClosedToken], names: dict[int, int], said: list[Said]
) -> list[str]:
    """No attempt of a job has begun before the results that it depends on were there."""
    ends = {(one.name, one.attempt): one.at for one in said if one.word == "end"}
    begins: dict[int, int] = {}
    for one in said:
        if one.word == "start":
            begins[one.name] = min(one.at, begins.get(one.name, one.at))
    return [
        f"job {names[node.node]} has begun before job {names[child]} had ended"
        for node in nodes
        for child in node.children
        if begins[names[node.node]] < ends[names[child], tokens[child].attempt]
    ]


def main() -> int:
    queue_dir, log, jobs, seed, seconds, frames = sys.argv[1:]
    submit(queue_dir, log, int(jobs), int(seed), seconds=float(seconds), frames=frames)
    return 0


if __name__ == "__main__":
    sys.exit(main())
