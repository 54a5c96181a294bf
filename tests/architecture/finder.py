"""Finds what touches files in a piece of Python, by its words."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_OS = frozenset(
    {
        "access", "chdir", "chflags", "chmod", "chown", "chroot", "fchdir", "fwalk", "getxattr", "lchmod",
        "lchown", "link", "listdir", "listxattr", "lstat", "makedirs", "mkdir", "mkfifo", "mknod", "open",
        "openpty", "pathconf", "readlink", "remove", "removedirs", "removexattr", "rename", "renames",
        "replace", "rmdir", "scandir", "setxattr", "stat", "statvfs", "symlink", "truncate", "unlink", "utime",
        "walk",
    }
)  # fmt: skip
_OS_PATH = frozenset(
    {
        "exists", "getatime", "getctime", "getmtime", "getsize", "isdir", "isfile", "islink", "ismount",
        "lexists", "realpath", "samefile",
    }
)  # fmt: skip
_MODULES = frozenset(
    {
        "dbm", "filecmp", "filelock", "fileinput", "glob", "linecache", "mmap", "pathlib", "portalocker",
        "shelve", "shutil", "sqlite3", "tarfile", "tempfile", "zipfile",
    }
)  # fmt: skip
_MORE = frozenset({"codecs.open", "io.FileIO", "io.open", "io.open_code", "logging.FileHandler", "runpy.run_path"})


def file_calls(source: str) -> Iterator[tuple[int, str]]:
    """What touches files: line, and the word, e.g. ``os.rename``, ``open`` or ``import shutil``.

    Not found: what goes by a name that is made at run time (``getattr(os, "ren" + "ame")``).
    """
    for node in ast.walk(ast.parse(source)):
        for word in _words(node):
            yield node.lineno, word  # type: ignore[attr-defined]


def _words(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.partition(".")[0] in _MODULES:
                yield f"import {alias.name}"
            if alias.name in ("os", "os.path", "io", "codecs") and alias.asname:
                yield f"import {alias.name} as {alias.asname}"
    elif isinstance(node, ast.ImportFrom) and node.module:
        if node.module.partition(".")[0] in _MODULES:
            yield f"import {node.module}"
        yield from filter(_touches_files, (f"{node.module}.{alias.name}" for alias in node.names))
    elif isinstance(node, ast.Attribute):
        yield from filter(_touches_files, [_dotted(node)])
    elif isinstance(node, ast.Name) and node.id == "open":
        yield "open"


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _touches_files(name: str) -> bool:
    head, _, last = name.rpartition(".")
    return (head == "os" and last in _OS) or (head == "os.path" and last in _OS_PATH) or name in _MORE
