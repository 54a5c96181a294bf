"""Where a procedure comes from, and its default parameters in queue.cfg."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import jobqueue
from jobqueue.procedures import ENTRY_POINT_GROUP
from tests.support import run_next_elsewhere

_MODULE = '''
from jobqueue import JobProc

class Painter(JobProc):
    """Paints."""

    def __init__(self, colour="white", label=None):
        super().__init__(label)
        self.colour = colour

    def run(self):
        return f"painted {self.colour}"

class Studio:
    class Sculptor(Painter):
        def run(self):
            return "sculpted"

def not_a_class():
    pass
'''


@pytest.fixture
def atelier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of the user's own, ``atelier.crafts``."""
    (tmp_path / "lib" / "atelier").mkdir(parents=True)
    (tmp_path / "lib" / "atelier" / "__init__.py").touch()
    (tmp_path / "lib" / "atelier" / "crafts.py").write_text(_MODULE)
    monkeypatch.syspath_prepend(tmp_path / "lib")
    for name in ("atelier", "atelier.crafts"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "atelier.crafts"


def _result(queue: jobqueue.JobQueue, job_type: str, **params: object) -> object:
    job = queue.createJobRoot(job_type, **params).activate()
    assert queue.runNextAvailableJob()
    return job.result


def test_a_built_in_one(queue: jobqueue.JobQueue) -> None:
    assert _result(queue, "python", function="os.path:basename", args=["/a/b"]) == "b"


def test_a_file_in_procs(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    path = queue_dir / "procs" / "Painter.py"
    path.write_text(_MODULE)
    path.chmod(0o644)
    assert _result(queue, "Painter", colour="red") == "painted red"


def test_an_entry_point(queue: jobqueue.JobQueue, atelier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints([EntryPoint("paint", f"{atelier}:Painter", ENTRY_POINT_GROUP)])
    monkeypatch.setattr("importlib.metadata.entry_points", points.select)
    assert ENTRY_POINT_GROUP == "jobqueue.procs"
    assert _result(queue, "paint") == "painted white"
    with pytest.raises(ValueError, match="there is no procedure draw"):
        queue.createJobRoot("draw")


def test_a_dotted_name(queue: jobqueue.JobQueue, atelier: str) -> None:
    assert _result(queue, f"{atelier}:Painter", colour="blue") == "painted blue"
    assert _result(queue, f"{atelier}:Studio.Sculptor") == "sculpted"


def test_a_built_in_one_is_not_replaced_by_a_file(queue: jobqueue.JobQueue, queue_dir: Path) -> None:
    path = queue_dir / "procs" / "python.py"
    path.write_text("raise RuntimeError('this is not the one')")
    path.chmod(0o644)
    assert _result(queue, "python", function="os.path:basename", args=["/a/b"]) == "b"


def test_a_changed_file_is_taken_up_by_a_new_process(queue_dir: Path) -> None:
    path = queue_dir / "procs" / "Painter.py"
    for word in ("painted", "varnished"):
        path.write_text(_MODULE.replace("painted", word))
        path.chmod(0o644)
        job = jobqueue.JobQueue(str(queue_dir)).createJobRoot("Painter").activate()
        run_next_elsewhere(queue_dir).communicate()
        assert job.result == f"{word} white"


def test_a_job_without_a_procedure_takes_a_label_only(queue: jobqueue.JobQueue) -> None:
    with pytest.raises(TypeError, match="a job without a procedure takes only a label, but colour was given"):
        queue.createJobRoot(None, colour="red")
    assert queue.createJobRoot(None, label="group").activate().label == "group"


@pytest.mark.parametrize("section", ["[Painter proc]", "[atelier.crafts:Painter proc]"])
def test_default_parameters_stand_in_the_configuration(
    queue_dir: Path, atelier: str, section: str, run_all: Callable[[], int]
) -> None:
    path = queue_dir / "procs" / "Painter.py"
    path.write_text(_MODULE)
    path.chmod(0o644)
    config = queue_dir / "queue.cfg"
    config.write_text(f"{config.read_text()}\n{section}\ncolour = 'green'\ntimeout = 50\n")
    queue = jobqueue.JobQueue(str(queue_dir))
    name = section[1:].split(maxsplit=1)[0]
    assert _result(queue, name) == "painted green"
    assert _result(queue, name, colour="red") == "painted red"


def test_default_parameters_are_python_literals_else_text(queue_dir: Path) -> None:
    config = queue_dir / "queue.cfg"
    config.write_text(f"{config.read_text()}\n[python proc]\nargs = ('/a/b.exr', None)\nlabel = a plain text\n")
    queue = jobqueue.JobQueue(str(queue_dir))
    job = queue.createJobRoot("python", function="copy:copy", args=["x"]).activate()
    assert job.label == "a plain text"
    root = queue.createJobRoot("python", function="os.path:join")
    assert root.activate().label == "a plain text"
