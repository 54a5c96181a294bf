"""The list of sentences and tests in this package's docstring is complete."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import tests.acceptance.seam as package

_HERE = Path(__file__).parent


def _tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_each_test_holds_a_sentence_and_each_sentence_has_a_test() -> None:
    assert package.__doc__
    found = [path for path in _HERE.glob("test_*.py") if path != Path(__file__)]
    mine = set[str]().union(*map(_tests, found))
    lines = package.__doc__.splitlines()[1:]
    named = {word for line in lines for word in re.findall(r"test_\w+", line)} - {"test_bad_share"}
    elsewhere = _tests(_HERE.parent / "test_bad_share.py")
    assert mine - named == set(), "these tests hold no sentence"
    assert named - mine - elsewhere == set(), "there are no such tests"
    sentences = [at for at, line in enumerate(lines) if re.match(r"  \S", line)]
    assert all(lines[at + 1].startswith("    ") for at in sentences)
    assert len(sentences) > 40
