"""From a type name to a procedure, and whose code is run."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from jobqueue.config import QueueConfig
from jobqueue.errors import UnknownProcedureError, UnsafeProcedureError
from jobqueue.layout import QueueLayout
from jobqueue.proc import JobProc
from jobqueue.procedures import ENTRY_POINT_GROUP, Procedures, describe, has_post_create
from jobqueue.testing import FakeClock
from tests.support_share import QuickShare

Make = Callable[..., Procedures]
Write = Callable[..., Path]
Offer = Callable[..., None]

_CODE = """
from jobqueue import JobProc

class {name}(JobProc):
    origin = {origin!r}

    def __init__(self, colour="white", label=None):
        super().__init__(label)
        self.colour = colour

class Inner:
    class Deep({name}):
        pass

class NoProcedure:
    pass

def function():
    pass
"""


class OwnedShare(QuickShare):
    """A share on which files may belong to others."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: dict[str, int] = {}
        self.looks = 0

    def mode_and_owner(self, path: str) -> tuple[int, int, int]:
        self.looks += 1
        mode, owner, changed_ns = super().mode_and_owner(path)
        return mode, self.owners.get(path, owner), changed_ns


@pytest.fixture(autouse=True)
def _modules_as_before() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("jobqueue_procs_", "werkstatt")):
            del sys.modules[name]


@pytest.fixture
def layout(tmp_path: Path) -> QueueLayout:
    tmp_path.chmod(0o755)
    (tmp_path / "procs").mkdir()
    (tmp_path / "procs").chmod(0o755)
    return QueueLayout(str(tmp_path))


@pytest.fixture
def share() -> OwnedShare:
    return OwnedShare()


@pytest.fixture
def make(share: OwnedShare, layout: QueueLayout) -> Make:
    """The procedures of the queue, with some lines in its configuration."""

    def make(settings: str = "") -> Procedures:
        return Procedures(share, layout, QueueConfig(layout.config, f"[main]\nformatVersion = 1\n{settings}"))

    return make


@pytest.fixture
def procedures(make: Make) -> Procedures:
    return make()


@pytest.fixture
def write(layout: QueueLayout) -> Write:
    """Writes a file into procs/; each has another modification time."""
    changed = iter(range(1_000_000_000, 2_000_000_000))

    def write(name: str, origin: str = "procs", code: str = _CODE) -> Path:
        path = Path(layout.proc(name))
        path.write_text(code.format(name=name, origin=origin) if code is _CODE else code)
        path.chmod(0o644)
        os.utime(path, (when := next(changed), when))
        return path

    return write


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's own, ``werkstatt``."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "werkstatt.py").write_text(_CODE.format(name="Painter", origin="package"))
    (tmp_path / "lib" / "werkstatt_broken.py").write_text("raise RuntimeError('no paint')")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    return "werkstatt"


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Lets installed packages offer procedures."""

    def offer(**values: str) -> None:
        points = EntryPoints(EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in values.items())
        monkeypatch.setattr("importlib.metadata.entry_points", points.select)

    return offer


def _origin(procedures: Procedures, name: str) -> Any:
    return getattr(procedures.find(name), "origin", None)


def _reason(procedures: Procedures, name: str, path: str | None) -> str:
    with pytest.raises(UnknownProcedureError) as caught:
        procedures.find(name)
    assert caught.value.path == path
    return caught.value.reason


# --- where it comes from ----------------------------------------------------------------------------------------------


def test_a_built_in_procedure_comes_first_then_a_file_then_an_entry_point(
    procedures: Procedures, write: Write, package: str, entry_points: Offer
) -> None:
    entry_points(
        command="werkstatt:Painter", paint="werkstatt:Painter", draw="werkstatt:Painter", deep="werkstatt:Inner.Deep"
    )
    write("command")
    write("paint")
    assert procedures.find("command").__module__ == "jobqueue.procs.command"
    assert _origin(procedures, "paint") == "procs"
    assert _origin(procedures, "draw") == "package"
    assert procedures.find("deep").__name__ == "Deep"
    assert _origin(procedures, f"{package}:Painter") == "package"
    assert procedures.find(f"{package}:Inner.Deep") is procedures.find("deep")


def test_a_class_of_a_file_is_found_by_its_modules_name(procedures: Procedures, write: Write) -> None:
    path = write("paint")
    found = procedures.find("paint")
    module = sys.modules[found.__module__]
    assert (module.__file__, vars(module)["paint"]) == (str(path), found)


def test_an_unknown_name_is_an_error_that_names_the_known_ones(
    procedures: Procedures, write: Write, layout: QueueLayout, entry_points: Offer
) -> None:
    entry_points()
    write("paint")
    for foreign in ("._paint.py", "notes.txt", "1st.py", "é.py", ".py"):
        Path(layout.procs, foreign).touch()
    assert _reason(procedures, "draw", layout.procs) == (
        "there is no procedure draw; "
        "there are blender, command, dumpenv, ffmpeg, maya, paint, povray, python, renderrib"
    )


def test_a_queue_without_procs_has_the_built_in_procedures(
    procedures: Procedures, layout: QueueLayout, entry_points: Offer
) -> None:
    entry_points()
    Path(layout.procs).rmdir()
    assert procedures.find("python")
    assert "there are blender, command" in _reason(procedures, "draw", layout.procs)


@pytest.mark.parametrize(
    "name", ["", "a b", "a.b", "../paint", "a/b", "1a", "é", "a\n", ":a", "a:", "a:b:c", "a:b c", "/a:b", "a-b"]
)
def test_a_text_that_is_no_name_is_an_error(procedures: Procedures, layout: QueueLayout, name: str) -> None:
    expected = f"{name!r} is no procedure's name; a name is a word, or package.module:Class"
    assert _reason(procedures, name, layout.dir) == expected


@pytest.mark.parametrize(
    "attribute", ["Missing", "NoProcedure", "function", "Inner", "Inner.Missing", "Painter.colour", "P."]
)
def test_what_is_no_class_of_procedures_is_an_error(procedures: Procedures, package: str, attribute: str) -> None:
    name = f"{package}:{attribute}"
    expected = f"procedure {name}: there is no class {attribute} derived from JobProc in it"
    assert _reason(procedures, name, None) == expected


def test_an_entry_point_without_a_class_is_an_error(procedures: Procedures, package: str, entry_points: Offer) -> None:
    entry_points(paint=package)
    assert _reason(procedures, "paint", None) == "procedure paint: there is no class  derived from JobProc in it"


def test_a_module_that_fails_to_load_is_an_error(procedures: Procedures, package: str, entry_points: Offer) -> None:
    entry_points(paint="werkstatt_broken:Painter")
    expected = "procedure {}: importing werkstatt_broken failed: RuntimeError('no paint')"
    assert _reason(procedures, "paint", None) == expected.format("paint")
    name = "werkstatt_broken:Painter"
    assert _reason(procedures, name, None) == expected.format(name)
    missing = _reason(procedures, "werkstatt_missing:Painter", None)
    assert "importing werkstatt_missing failed: ModuleNotFoundError" in missing


@pytest.mark.parametrize("code", ["def", "1/0", "import nothing_of_this_name", "raise ValueError", "\0"])
def test_a_file_that_cannot_be_loaded_is_an_error(procedures: Procedures, write: Write, code: str) -> None:
    path = write("paint", code=code)
    assert _reason(procedures, "paint", str(path)).startswith("the procedure cannot be loaded: ")
    # Mended at once, it is found at once.
    write("paint")
    assert _origin(procedures, "paint") == "procs"


def test_a_file_without_its_class_is_an_error(procedures: Procedures, write: Write) -> None:
    path = write("paint", code="class Paint: pass")
    assert _reason(procedures, "paint", None) == (
        f"procedure {path}: there is no class paint derived from JobProc in it"
    )


# --- changes in procs/ ------------------------------------------------------------------------------------------------


def _pass(share: QuickShare, seconds: float) -> None:
    assert isinstance(share.clock, FakeClock)
    share.clock.passed += seconds


def test_a_changed_file_is_noticed_after_5_seconds(procedures: Procedures, share: OwnedShare, write: Write) -> None:
    write("paint", "first")
    first = procedures.find("paint")
    write("paint", "second")
    _pass(share, 4.9)
    assert procedures.find("paint") is first
    _pass(share, 0.1)
    assert _origin(procedures, "paint") == "second"
    second = procedures.find("paint")
    for _ in range(3):
        _pass(share, 5)
        assert procedures.find("paint") is second


def test_a_file_is_looked_at_once_in_5_seconds(procedures: Procedures, share: OwnedShare, write: Write) -> None:
    write("paint")
    procedures.find("paint")
    share.looks = 0
    for _ in range(20):
        procedures.find("paint")
    assert share.looks == 0
    _pass(share, 5)
    for _ in range(20):
        procedures.find("paint")
    assert share.looks == 3  # the queue, procs/ and the file


def test_a_built_in_procedure_is_never_looked_at_again(procedures: Procedures, share: OwnedShare) -> None:
    first = procedures.find("python")
    _pass(share, 1000)
    assert procedures.find("python") is first
    assert share.looks == 0


def test_a_removed_file_is_unknown_after_5_seconds(
    procedures: Procedures, share: OwnedShare, write: Write, layout: QueueLayout, entry_points: Offer
) -> None:
    entry_points()
    path = write("paint")
    first = procedures.find("paint")
    path.unlink()
    assert procedures.find("paint") is first
    _pass(share, 5)
    assert _reason(procedures, "paint", layout.procs).startswith("there is no procedure paint; there are ")
    write("paint", "again")
    assert _origin(procedures, "paint") == "again"


def test_a_file_that_becomes_unsafe_is_refused(procedures: Procedures, share: OwnedShare, write: Write) -> None:
    path = write("paint")
    procedures.find("paint")
    path.chmod(0o666)
    _pass(share, 5)
    with pytest.raises(UnsafeProcedureError):
        procedures.find("paint")


# --- whose code is run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o777])
def test_a_file_that_others_may_write_is_not_run(procedures: Procedures, write: Write, mode: int) -> None:
    path = write("paint", code="raise SystemExit('it was run')")
    path.chmod(mode)
    with pytest.raises(UnsafeProcedureError) as caught:
        procedures.find("paint")
    assert isinstance(caught.value, PermissionError)
    assert str(caught.value) == (
        f"{path}: others may write it (mode {mode:o}), so its code is not run; `chmod go-w {path}` mends that"
    )
    path.write_text(_CODE.format(name="paint", origin="mended"))
    path.chmod(mode & ~(stat.S_IWGRP | stat.S_IWOTH))
    assert _origin(procedures, "paint") == "mended"


def test_no_file_is_run_where_others_may_write_procs(procedures: Procedures, write: Write, layout: QueueLayout) -> None:
    write("paint", code="raise SystemExit('it was run')")
    os.chmod(layout.procs, 0o777)
    with pytest.raises(UnsafeProcedureError) as caught:
        procedures.find("paint")
    assert str(caught.value) == (
        f"{layout.procs}: others may write it (mode 777), so its code is not run; "
        f"`chmod go-w {layout.procs}` mends that"
    )


@pytest.mark.parametrize("whose", ["procs", "file"])
def test_a_strangers_file_is_not_run(
    procedures: Procedures, share: OwnedShare, write: Write, layout: QueueLayout, whose: str
) -> None:
    path = str(write("paint", code="raise SystemExit('it was run')"))
    if whose == "procs":
        path = layout.procs
    share.owners = {layout.dir: 4711, path: 815}
    with pytest.raises(UnsafeProcedureError) as caught:
        procedures.find("paint")
    assert str(caught.value) == (
        f"{path}: it belongs to user 815, who is neither you, nor root, nor the queue's owner, so its code is not run; "
        f"`chown 4711 {path}` mends that"
    )


@pytest.mark.parametrize("owner", ["me", "root", "the queue's owner"])
def test_a_trusted_users_file_is_run(
    procedures: Procedures, share: OwnedShare, write: Write, layout: QueueLayout, owner: str
) -> None:
    path = str(write("paint"))
    user = {"me": os.geteuid(), "root": 0, "the queue's owner": 4711}[owner]
    share.owners = {layout.dir: 4711, layout.procs: user, path: user}
    assert _origin(procedures, "paint") == "procs"


# --- parameters -------------------------------------------------------------------------------------------------------


def test_missing_parameters_come_from_the_configuration(make: Make, write: Write) -> None:
    procedures = make("[paint proc]\ncolour = green\nlabel = from the configuration\ntimeout = 5\n")
    write("paint")
    for given, colour in (({}, "green"), ({"colour": "red"}, "red"), ({"colour": None}, None)):
        proc = procedures.make("paint", given)
        assert vars(proc)["colour"] == colour
        assert proc.label == "from the configuration"
    assert make().make("paint", {}).label is None


def test_what_a_constructor_says_is_passed_on(procedures: Procedures, write: Write) -> None:
    write("paint")
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        procedures.make("paint", {"size": 3})


def test_a_job_without_a_procedure_takes_a_label_only(procedures: Procedures) -> None:
    assert type(procedures.make(None, {"label": "group"})) is JobProc
    assert procedures.make(None, {"label": "group"}).label == "group"
    with pytest.raises(TypeError, match=r"^a job without a procedure takes only a label, but colour was given$"):
        procedures.make(None, {"size": 1, "label": "x", "colour": 2})


def test_whether_a_procedure_wants_to_hear_of_its_creation() -> None:
    class Wants(JobProc):
        def postCreate(self, jobDir: str) -> None:
            pass

    class AlsoWants(Wants):
        pass

    assert [has_post_create(kind()) for kind in (JobProc, Wants, AlsoWants)] == [False, True, True]


def test_an_error_in_one_line() -> None:
    assert describe(UnknownProcedureError("there is none", "/q/procs")) == "/q/procs: there is none"
    assert describe(ValueError("it is wrong")) == "ValueError: it is wrong"
