"""Only the package share touches the share; whatever else touches files is listed here, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import jobqueue
from tests.architecture.finder import file_calls

_PACKAGE = Path(jobqueue.__file__).parent

# Module -> what it may use, and why that is not the share.
_ALLOWED: dict[str, tuple[set[str], str]] = {
    "share/handles.py": ({"import portalocker", "open", "os.open"}, "it is the share"),
    "share/looking.py": (
        {"os.listdir", "os.open", "os.path.isdir", "os.readlink", "os.scandir", "os.stat", "os.utime"},
        "it is the share",
    ),
    "share/files.py": (
        {"open", "os.chmod", "os.open", "os.stat", "os.symlink", "os.unlink", "os.utime"},
        "it is the share",
    ),
    "share/lasting.py": ({"os.open"}, "it is the share"),
    "share/moves.py": ({"import filelock", "import portalocker", "open", "os.rename"}, "it is the share"),
    "share/directories.py": (
        {"os.chdir", "os.chmod", "os.mkdir", "os.open", "os.rmdir", "os.scandir", "os.stat", "os.utime"},
        "it is the share",
    ),
    "system.py": ({"open", "os.listdir", "os.path.realpath"}, "what Python's os lacks, for share/ alone; /proc"),
    "identity.py": ({"open", "os.listdir", "os.path.isdir", "os.readlink"}, "reads /proc"),
    "streams.py": ({"import tempfile", "io.FileIO"}, "the local spool of what a job prints"),
    "testing/queues.py": ({"import tempfile"}, "where the system has its temporary files"),
    "worker/slot.py": ({"os.listdir", "os.open"}, "a new process closes what it was born with: /dev/null, /proc"),
    "worker/guard.py": ({"os.open"}, "a new process closes what it was born with: /dev/null"),
    "procs/blender.py": ({"os.makedirs"}, "works on the user's pictures"),
    "procs/ffmpeg.py": ({"import shutil", "open", "os.listdir", "os.path.isfile"}, "works on the user's pictures"),
    "procs/renderrib.py": ({"os.path.isfile"}, "works on the user's files"),
    "cli/_common.py": ({"os.open"}, "/dev/null, where whoever reads our output has seen enough"),
    "cli/_output.py": ({"import shutil"}, "the width of the terminal"),
    "cli/runjobs.py": ({"logging.FileHandler"}, "the log file that the user names"),
}  # fmt: skip


def _modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(_PACKAGE.rglob("*.py")):
        yield path.relative_to(_PACKAGE).as_posix(), path


def _forbidden(name: str, source: str) -> list[str]:
    allowed, _ = _ALLOWED.get(name, (set(), ""))
    return [f"{name}:{line}: {word}" for line, word in file_calls(source) if word not in allowed]


def test_no_module_but_share_touches_the_share() -> None:
    found = [line for name, path in _modules() for line in _forbidden(name, path.read_text())]
    assert found == [], "use jobqueue.share.Share, or say in _ALLOWED why this is not the share"


def test_nothing_is_allowed_that_is_not_used() -> None:
    used = {name: {word for _, word in file_calls(path.read_text())} for name, path in _modules()}
    assert {name: words - used.get(name, set()) for name, (words, _) in _ALLOWED.items()} == {
        name: set() for name in _ALLOWED
    }


def test_only_share_calls_what_is_there_for_it_alone() -> None:
    words = ("from jobqueue import system", "jobqueue.system")
    users = [name for name, path in _modules() if any(word in path.read_text() for word in words)]
    assert {name.partition("/")[0] for name in users} == {"share"}


@pytest.mark.parametrize(
    ("planted", "word"),
    [
        ("import os\nos.rename(a, b)", "os.rename"),
        ("from os import unlink\nunlink(a)", "os.unlink"),
        ("from os import path\npath.isdir(a)\nfrom os.path import exists", "os.path.exists"),
        ("import os\nif os.path.exists(a): pass", "os.path.exists"),
        ("with open(a) as file: pass", "open"),
        ("read = open", "open"),
        ("import io\nio.open(a)", "io.open"),
        ("import shutil\nshutil.move(a, b)", "import shutil"),
        ("from shutil import copy", "import shutil"),
        ("def later():\n    from pathlib import Path\n    Path(a).touch()", "import pathlib"),
        ("import tempfile", "import tempfile"),
        ("import os as system", "import os as system"),
        ("import os\ncall = os.mkdir", "os.mkdir"),
        ("import logging\nlogging.FileHandler(a)", "logging.FileHandler"),
        ("import portalocker", "import portalocker"),
    ],
)
def test_a_planted_call_is_found(planted: str, word: str) -> None:
    source = (_PACKAGE / "tokens.py").read_text()
    assert _forbidden("tokens.py", source) == []
    found = _forbidden("tokens.py", f"{source}\n{planted}\n")
    assert [line.rpartition(": ")[2] for line in found] == [word]


def test_calls_on_open_descriptors_and_pure_functions_are_not_meant() -> None:
    assert (
        list(file_calls("import os\nos.write(fd, b'')\nos.fsync(fd)\nos.path.join(a, b)\nos.getpid()\nself.open()"))
        == []
    )
