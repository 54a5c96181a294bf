"""A module imports only modules that stand above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import jobqueue

_PACKAGE = Path(jobqueue.__file__).parent

# From the ground up; "." is the package itself. Modules of one line do not know of one another, or stand in its order.
_LAYERS = """
errors clock names system words
layout
share.answers share.handles share.looking share.files share.lasting share.moves share.directories share
params frames graph fields
mounts zipformat
identity options proc
items
packed
config hierarchy journal index archives packing pace
notes
tokens outputs
pieces
procs procs._check procs._program procs.blender procs.command procs.dumpenv procs.ffmpeg procs.maya procs.povray
procs.python procs.renderrib
procedures
seldom
store trouble
registry state streams liveness
removal
attempt submit control archiving history overview
chunk
worker.variables
worker worker.charges worker.others worker.tidying worker.signals worker.doubts worker.broken worker.chooser
worker.publishing worker.settling worker.guard worker.inbox worker.pen worker.arrays worker.salvage worker.chunks
worker.runner worker.aftermath worker.sweep
worker.caretaker worker.membership worker.inprocess worker.slot worker.slots worker.crew worker.supervisor
check check.finding check.look check.archives check.entries check.rebuild check.arrays check.tokens check.latches
check.standing check.records check.leftovers check.audit
doctor doctor.meeting doctor.contest doctor.sight doctor.locking doctor.speed doctor.examine
reader
itemreader
item
handle
job
queue
burnin burnin.plan burnin.guard burnin.camp burnin.victims burnin.findings burnin.run
framejobs waiting
testing.anomalies testing.clock testing.server testing.host testing.process testing.calls testing.share testing.queues
testing
.
cli._output cli._common cli._complete cli._watch cli._counting cli._slots cli
cli.create cli.submit cli.list cli.show cli.tree cli.log cli.wait cli.retry cli.cancel cli.hold cli.release
cli.priority cli.archive cli.delete cli.workers cli.check cli.completion cli.doctor cli.burnin cli.runjobs
__main__
"""

# Upward imports that are made late (in a function, or for types alone), each with the reason.
_LATE = {
    ("job", "queue"): "a JobRoot is made with its JobQueue, and JobQueue.createJobRoot makes a JobRoot",
    ("submit", "job"): "for types alone: a Submission is a part of a JobRoot",
    ("control", "archiving"): "who deletes a job that has an archive looks whether that is of another course",
    ("cli._common", "cli._complete"): "a shell that completes a name loads it, nobody else does",
}


def _imports(name: str, source: str, known: set[str]) -> Iterator[str]:
    """The modules of the package that a module imports anywhere, late or for types as well."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports relatively"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for full in found:
            package, _, rest = full.partition(".")
            if package == "jobqueue":
                # "from jobqueue.errors import JobQueueError" is an import of errors.
                yield rest if rest in known else rest.rpartition(".")[0] or "."


def _modules() -> dict[str, Path]:
    found = {}
    for path in _PACKAGE.rglob("*.py"):
        name = path.relative_to(_PACKAGE).with_suffix("").as_posix().replace("/", ".")
        found[name.removesuffix(".__init__") if name != "__init__" else "."] = path
    return found


def _upward(name: str, source: str) -> set[tuple[str, str]]:
    order = {module: place for place, module in enumerate(_LAYERS.split())}
    # Importing a module imports its packages, which are empty, or import what stands above them; they are not counted.
    return {
        (name, module)
        for module in _imports(name, source, set(order))
        if module != name and order[module] > order[name]
    }


def test_every_module_has_its_place() -> None:
    places = _LAYERS.split()
    assert sorted(places) == sorted(_modules())
    assert len(places) == len(set(places))


def test_a_module_imports_only_what_stands_above_it() -> None:
    found = {pair for name, path in _modules().items() for pair in _upward(name, path.read_text())}
    assert found - set(_LATE) == set()
    assert set(_LATE) - found == set(), "these are not needed any more"


def test_what_is_allowed_late_is_late() -> None:
    for name, module in _LATE:
        top = ast.parse(_modules()[name].read_text()).body
        early = ast.unparse([node for node in top if isinstance(node, ast.Import | ast.ImportFrom)])  # type: ignore[arg-type]
        assert module not in set(_imports(name, early, set(_LAYERS.split())))


@pytest.mark.parametrize(
    "planted",
    [
        "from jobqueue.tokens import Tokens", "from jobqueue import tokens", "import jobqueue.tokens",
        "def later():\n    from jobqueue.tokens import Tokens",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from jobqueue.tokens import Tokens",
    ],
)  # fmt: skip
def test_a_planted_import_is_found(planted: str) -> None:
    source = _modules()["share"].read_text()
    assert _upward("share", source) == set()
    assert _upward("share", f"{source}\n{planted}\n") == {("share", "tokens")}
    assert _upward("share", f"{source}\nimport jobqueue\n") == {("share", ".")}
