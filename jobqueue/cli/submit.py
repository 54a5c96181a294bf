"""Submits a command as a job, and prints the job's name and nothing else.

One argument after the two dashes is a line for the shell; several are a
program and its arguments, run without a shell:

  jobqueue submit -- 'render scene.xml > log.txt'
  jobqueue submit -- render 'my scene.xml'

With --frames there is a sub-job for each piece of the frame range, and in the
command these fields are replaced:

  {frame}           the one frame of a sub-job (not with --chunk)
  {start} {end}     the first and the last one; no piece spans a gap of the range
  {frames}          all of them, for example 1-19x2

Each takes a format, {frame:04d}. Braces that are meant themselves are doubled.

  jobqueue submit --frames 1-100 --chunk 10 -- render -s {start} -e {end} scene

With --array it is one array instead: it costs no more to submit than a single
job, however long it is, nothing is made for a frame before a worker takes it, and
a worker takes as many at once as take about ten seconds, or --chunk of them. A
command with {frame} (or without a field) is run once for each frame, one with
{start}, {end} or {frames} alone once for what was taken at once. {index} is the
place of a frame in the range, from 0.

  jobqueue submit --array 1-1000000 -- render {frame}

A file named with --output is published when the job has succeeded, whole or
not at all; the command writes to {output} instead (with several of them to
{output1}, {output2}, ...), outside of quotes in a line for the shell. With
--frames or --array the fields above are replaced in its path, too; a path in
which none differs from one frame to the next is refused.

  jobqueue submit --frames 1-9 --output f{frame}.png -- render {frame} {output}

Without --output a command that has {output} is refused; braces around that word
that are meant themselves are doubled, too. Without --frames and --array all other
braces are left alone.

With --json: an object with the keys job and jobs (how many, with sub-jobs);
with --wait those of `jobqueue wait`, too.
"""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING, Any

from jobqueue.cli._common import DONE, UsageError, as_usage_errors, complain, open_queue
from jobqueue.cli._output import print_json

if TYPE_CHECKING:
    from jobqueue.fields import Template
    from jobqueue.job import Job, JobRoot
    from jobqueue.queue import JobQueue

TAKES_COMMAND = True
# A chunk's size that is left to the workers.
AUTO = "auto"
# What the procedure `command` fills in, doubled or not.
_OUTPUT = re.compile(r"\{\{output[0-9]*\}\}|\{output(?:[1-9][0-9]*)?\}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label", help="a text for people")
    parser.add_argument("--priority", type=int, metavar="N", help="-499 to 500, higher first (default: 0)")
    parser.add_argument(
        "--max-attempts", type=int, metavar="N", help="how often the job may die under a worker (default: 3)"
    )
    parser.add_argument(
        "--max-errors", type=int, metavar="N", help="how many attempts may end with an error (default: 1)"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="an attempt that runs longer has failed")
    parser.add_argument("--cwd", metavar="DIR", help="the working directory (default: one of the job's own)")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="an environment variable")
    parser.add_argument(
        "--output", action="append", default=[], metavar="PATH", help="a file that the command makes; may be repeated"
    )
    parser.add_argument("--frames", metavar="RANGE", help="a sub-job for each piece, for example 1-100x2 or 1-10,20")
    parser.add_argument("--array", metavar="RANGE", help="the same as one array of frames, of up to 10,000,000")
    parser.add_argument(
        "--chunk",
        type=_size,
        metavar="N",
        help="frames for each sub-job (default: 1), or in one go of an array (default: auto)",
    )
    parser.add_argument("--wait", action="store_true", help="wait for the end; exit code 1 if it is not a good one")
    parser.add_argument("words", nargs="*", metavar="-- COMMAND", help="a shell line, or a program and arguments")


def run(arguments: argparse.Namespace) -> int:
    command = _without_outputs(_command(arguments), arguments)
    if arguments.chunk is not None and arguments.frames is None and arguments.array is None:
        raise UsageError("--chunk cuts a frame range; give one with --frames or --array")
    if arguments.array is not None and arguments.frames is not None:
        raise UsageError("--frames makes a sub-job of each piece, and --array one array of all; give one of them")
    queue = open_queue(arguments)
    _check_outputs(queue, arguments.output)
    with as_usage_errors():
        root, jobs = _hierarchy(queue, command, arguments)
        _set(root, priority=arguments.priority)
    handle = root.activate()
    if not arguments.json:
        print(handle.name, flush=True)
    if arguments.wait:
        from jobqueue.cli._watch import watch

        return watch(arguments, [handle], None, extra={"job": handle.name, "jobs": jobs})
    if arguments.json:
        print_json({"job": handle.name, "jobs": jobs})
    return DONE


def _command(arguments: argparse.Namespace) -> str | list[str]:
    words: list[str] = arguments.rest
    if not words or arguments.words:
        raise UsageError("the command belongs after two dashes: jobqueue submit [OPTIONS] -- COMMAND")
    return words[0] if len(words) == 1 else words


def _without_outputs(command: str | list[str], arguments: argparse.Namespace) -> str | list[str]:
    """The command of a job without outputs: it would be run with the field as it stands, and might succeed.

    Raises:
        UsageError: it has such a field.
    """
    if arguments.output or arguments.frames is not None or arguments.array is not None:
        # A frame range has the same rules for all of its fields.
        return command
    words = [command] if isinstance(command, str) else command
    found = [field for word in words for field in _OUTPUT.findall(word) if not field.startswith("{{")]
    if found:
        raise UsageError(
            f"the command has {found[0]}, and there is no output; name the file with --output PATH, or double the "
            f"braces if they are meant themselves: {{{found[0]}}}"
        )
    single = [_OUTPUT.sub(lambda field: field[0][1:-1], word) for word in words]
    return single[0] if isinstance(command, str) else single


def _check_outputs(queue: JobQueue, outputs: list[str]) -> None:
    """What is wrong with a path whatever the frames are; the rest is up to the procedure.

    Raises:
        UsageError: no job could ever publish a file there.
    """
    from jobqueue.share import Share

    share = Share()
    for output in outputs:
        path = os.path.abspath(output)
        if not output:
            raise UsageError("--output names no file; give the path of the file that the command makes")
        if os.path.basename(output) in ("", ".", "..") or share.is_dir(path):
            raise UsageError(
                f"--output {output} names the directory {path}; name each file that the command makes in it"
            )
        if f"{path}/".startswith(f"{queue.location}/"):
            raise UsageError(
                f"--output {output}: {path} lies in the queue, where only the queue writes; name a file elsewhere"
            )


def _hierarchy(queue: JobQueue, command: str | list[str], arguments: argparse.Namespace) -> tuple[JobRoot, int]:
    """The hierarchy, and how many jobs it has."""
    params = _params(arguments)
    options = {
        "maxAttempts": arguments.max_attempts, "maxErrors": arguments.max_errors, "timeout": arguments.timeout,
    }  # fmt: skip
    if arguments.array is not None:
        return _array(queue, command, arguments, params, options)
    if arguments.frames is None:
        outputs = {"outputs": [os.path.abspath(path) for path in arguments.output]} if arguments.output else {}
        root = queue.createJobRoot("command", cmd=command, **params, **outputs)
        _set(root, **options)
        return root, 1
    from jobqueue.fields import Template
    from jobqueue.framejobs import add_frame_jobs, cut

    size = 1 if arguments.chunk is None else arguments.chunk
    if size == AUTO:
        raise UsageError("--chunk auto is for --array; sub-jobs are cut before anything has run")
    pieces, template = cut(arguments.frames, size), Template(command, size, arguments.output)
    _warn_of_same(template, len(pieces), "sub-jobs")
    label = {} if arguments.label is None else {"label": arguments.label}
    root = queue.createJobRoot(None, **label)
    return root, 1 + len(add_frame_jobs(root, template, pieces, params, options))


def _array(
    queue: JobQueue,
    command: str | list[str],
    arguments: argparse.Namespace,
    params: dict[str, Any],
    options: dict[str, Any],
) -> tuple[JobRoot, int]:
    from jobqueue.fields import Template
    from jobqueue.items import Frames

    label = {} if arguments.label is None else {"label": arguments.label}
    root = queue.createJobRoot(None, **label)
    if arguments.output:
        params["outputs"] = [os.path.abspath(path) for path in arguments.output]
    chunk = AUTO if arguments.chunk is None else arguments.chunk
    array = root.createJobArray("command", arguments.array, None, chunk, cmd=command, **params)
    _set(array, **options)
    _warn_of_same(Template(command, 1, arguments.output), len(Frames(arguments.array)), "items")
    return root, 2


def _warn_of_same(template: Template, count: int, what: str) -> None:
    if not template.fields and count > 1:
        complain(
            "jobqueue",
            f"the command has no {{frame}}, {{start}}, {{end}}, {{frames}} or {{index}}; all {what} do the same",
        )


def _size(text: str) -> int | str:
    try:
        return text if text == AUTO else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is no number of frames, and not {AUTO}") from None


def _params(arguments: argparse.Namespace) -> dict[str, Any]:
    params: dict[str, Any] = {}
    if arguments.label is not None:
        params["label"] = arguments.label
    if arguments.cwd is not None:
        # What is meant is the directory as it is called from here.
        params["cwd"] = os.path.abspath(arguments.cwd)
    for pair in arguments.env:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise UsageError(f"--env {pair}: write NAME=VALUE")
        params.setdefault("env", {})[name] = value
    return params


def _set(job: Job, **options: Any) -> None:
    for name, value in options.items():
        setattr(job.options, name, value)
