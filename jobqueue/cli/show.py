"""Shows everything of one job, or of one item of an array, with all its attempts.

  jobqueue show job100/job3
  jobqueue show job100/job3:17

With --json: an object with the keys job, label, state, type, parameters (as
they are stored), options, submitted, submitter, attempt, worker, began, ended,
progress, status, error, result (as it is stored), outputs, directory, archive
(null, or an object with the keys path, time, by), items (of an array, how many
are in each state, else null), waits_for, needed_by, attempts, hierarchy. Times
are seconds since the epoch. Each of the attempts has the keys attempt, state
(one of the words below), worker, began, ended, reason, directory. The hierarchy,
null for a sub-job, has the keys state (as in `jobqueue list`), priority, and how
many jobs are blocked, ready, running, finished, failed, cancelled. For an item:
item, index, frame, state, attempt, worker, began, ended, status, error, result,
outputs, attempts.

An attempt is running; finished; failed (with an error of its own, by running
longer than its timeout, or since somebody said so); died (its process or its
worker did, also where that was the last attempt and the job has failed);
cancelled; superseded (its result came too late, and changes nothing); or given
back (it ended without a result, and nothing is held against it).
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from jobqueue.cli._common import DONE, add_job, command_line, one_item, open_queue
from jobqueue.cli._output import coloured, has_colours, how_long, plain, print_json, print_table, when
from jobqueue.handle import reader_of
from jobqueue.names import ClosedToken

if TYPE_CHECKING:
    from jobqueue.handle import JobHandle
    from jobqueue.history import AttemptView

_MANY = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser)


def run(arguments: argparse.Namespace) -> int:
    from jobqueue.history import attempts

    if ":" in arguments.job:
        return _run_item(arguments)
    job = open_queue(arguments).findJob(arguments.job)
    reader = reader_of(job)
    node, seen = reader.node(), reader.look()
    story = attempts(reader.store, reader.job, node.node, node.place, seen) if node.array is None else []
    # The token names whoever has written its record: after a death that is the worker that has swept.
    latest = next((view for view in story if view.attempt == seen.attempt), None)
    facts = _facts(job, latest.worker if latest else None)
    if arguments.json:
        print_json({**facts, "attempts": [view._asdict() for view in story], "hierarchy": _hierarchy(job)})
        return DONE
    _print_facts(facts, _hierarchy(job))
    if story:
        print()
        _print_attempts(story)
        print(f"\n`{command_line(arguments, 'log', job.name)}` shows what it has printed.")
    return DONE


def _run_item(arguments: argparse.Namespace) -> int:
    """The same for an item of an array."""
    item = one_item(open_queue(arguments), arguments.job)
    piece = item.reader.find(item.index)
    note = item.reader.note(item.index, piece) or {}
    story = item.reader.attempts(item.index)
    number = piece.token.attempt if piece.token else 0
    # As of a job: after a death the token names the worker that has swept.
    latest = next((view for view in story if view.attempt == number), None)
    has_ended = isinstance(piece.token, ClosedToken)
    facts = {
        "item": item.name, "index": item.index, "frame": item.frame, "state": piece.state.value,
        "attempt": number, "worker": latest.worker if latest else piece.worker,
        "began": latest.began if latest else None, "ended": latest.ended if latest and has_ended else None,
        "status": note.get("status", ""), "error": item.error, "result": note.get("result"), "outputs": item.outputs,
    }  # fmt: skip
    if arguments.json:
        print_json({**facts, "attempts": [view._asdict() for view in story]})
        return DONE
    from jobqueue.params import as_text, decode

    lines = [(name, facts[name]) for name in ("item", "index", "state")]
    lines += _times(facts)
    lines += [(name, facts[name] or None) for name in ("status", "error")]
    lines.append(("result", None if facts["result"] is None else as_text(decode(facts["result"]))))
    lines += [("output", path) for path in item.outputs]
    _print_lines(lines)
    if story:
        print()
        _print_attempts(story)
        print(f"\n`{command_line(arguments, 'log', item.name)}` shows what it has printed.")
    return DONE


def _facts(job: JobHandle, worker: str | None) -> dict[str, Any]:
    from jobqueue.names import job_name
    from jobqueue.options import effective_options

    reader = reader_of(job)
    node, hierarchy, seen, config = reader.node(), reader.hierarchy(), reader.look(), reader.store.config
    record = reader.record(seen) or {}
    options = effective_options(node.options, config.proc_options(node.type), config.options)
    del options["priority"]
    return {
        "job": job.name,
        "label": node.label,
        "state": seen.state.value,
        "type": node.type,
        "parameters": node.params,
        "options": options,
        "submitted": hierarchy.submitted,
        "submitter": hierarchy.submitter,
        "attempt": seen.attempt,
        "worker": worker,
        "began": job.startTime,
        "ended": record.get("end"),
        "progress": job.progress,
        "status": job.statusLine,
        "error": job.error,
        "result": record.get("result"),
        "outputs": job.outputs,
        "directory": job.location,
        "archive": _archive(job),
        "items": None if seen.items is None else {state.value: count for state, count in seen.items},
        "waits_for": [job_name(reader.number, hierarchy.node(child).place) for child in node.children],
        "needed_by": [job_name(reader.number, hierarchy.node(parent).place) for parent in node.parents],
    }


def _archive(job: JobHandle) -> dict[str, Any] | None:
    packed = reader_of(job).packed
    return {"path": packed.path, "time": packed.top.packed_at, "by": packed.top.by} if packed else None


def _hierarchy(job: JobHandle) -> dict[str, Any] | None:
    reader = reader_of(job)
    if reader.place:
        return None
    from jobqueue.overview import QueueState, refined, top_jobs

    summary = reader.summary()
    entry = next((top for top in top_jobs(reader.store) if top.entry.number == reader.number), None)
    counts = {state.value: count for state, count in summary.counts.items()}
    if entry is None:
        # Not published yet, or deleted just now, where it is not archived.
        state = QueueState.ARCHIVED.value if reader.packed else None
        return {"state": state, "priority": None, **counts}
    return {"state": refined(entry, summary).state.value, "priority": entry.entry.priority, **counts}


def _print_facts(facts: dict[str, Any], hierarchy: dict[str, Any] | None) -> None:
    from jobqueue.params import as_text, decode

    lines = [("job", facts["job"]), ("label", facts["label"]), ("state", facts["state"])]
    if hierarchy is not None:
        counts = ", ".join(
            f"{count} {name}"
            for name, count in hierarchy.items()
            if count and type(count) is int and name != "priority"
        )
        lines += [
            ("hierarchy", f"{hierarchy['state'] or 'not in the index'}: {counts}"),
            ("priority", hierarchy["priority"]),
        ]
    lines.append(("type", facts["type"] or "none, it groups others"))
    lines += [(f"  {name}", as_text(decode(value))) for name, value in facts["parameters"].items() if name != "label"]
    lines += [(name, value) for name, value in facts["options"].items() if value is not None]
    lines.append(("submitted", f"{when(facts['submitted'])} by {facts['submitter']}"))
    lines += _times(facts)
    if facts["progress"] is not None:
        lines.append(("progress", f"{facts['progress']:.0f} %"))
    if facts["items"] is not None:
        lines.append(("items", ", ".join(f"{count} {name}" for name, count in facts["items"].items() if count)))
    lines += [(name, facts[name] or None) for name in ("status", "error")]
    if facts["archive"] is None:
        lines.append(("directory", facts["directory"]))
    else:
        lines.append(("archived", f"{when(facts['archive']['time'])} by {facts['archive']['by']}"))
        lines.append(("archive", facts["archive"]["path"]))
    if facts["result"] is not None:
        lines.append(("result", as_text(decode(facts["result"]))))
    lines += [("output", path) for path in facts["outputs"]]
    lines += [("waits for", _some(facts["waits_for"])), ("needed by", _some(facts["needed_by"]))]
    _print_lines(lines)


def _times(facts: dict[str, Any]) -> list[tuple[str, str]]:
    lines = []
    if facts["began"] is not None:
        lines.append(("began", when(facts["began"]) + (f" on {facts['worker']}" if facts["worker"] else "")))
    if facts["ended"] is not None:
        took_s = None if facts["began"] is None else facts["ended"] - facts["began"]
        lines.append(("ended", when(facts["ended"]) + (f" after {how_long(took_s)}" if took_s is not None else "")))
    return lines


def _print_lines(lines: list[tuple[str, Any]]) -> None:
    shown = [(name, plain(str(value))) for name, value in lines if value is not None]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        print(f"{name:{width}}  {coloured(value) if name == 'state' and has_colours() else value}")


def _some(names: list[str]) -> str | None:
    if not names:
        return None
    return ", ".join(names[:_MANY]) + (f" and {len(names) - _MANY} more" if len(names) > _MANY else "")


def _print_attempts(story: list[AttemptView]) -> None:
    rows = []
    for view in story:
        took_s = None if view.began is None or view.ended is None else view.ended - view.began
        where, reason = view.directory.rpartition("/")[2], view.reason or ""
        rows.append(
            [str(view.attempt), view.state, view.worker or "-", when(view.began), how_long(took_s), where, reason]
        )
    head = ["ATTEMPT", "STATE", "WORKER", "BEGAN", "TOOK", "DIRECTORY", "REASON"]
    print_table(head, rows, right={"ATTEMPT", "TOOK"}, wide="REASON")
