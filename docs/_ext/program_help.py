"""The directive ``program-help``: what a command prints for ``--help``, from its parser, when the page is built."""

from __future__ import annotations

import argparse
import os
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

_WIDTH = "88"


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """The parser of ``runjobs``, ``jobqueue``, or ``jobqueue COMMAND``."""
    from jobqueue.cli import build_parser, runjobs

    program, *command = words
    if program == "runjobs":
        return runjobs.build_parser()
    parser = build_parser(filled=True)
    if not command:
        return parser
    action = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    found: argparse.ArgumentParser = action.choices[command[0]]
    return found


class ProgramHelp(Directive):
    """``program-help:: jobqueue submit``."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        os.environ["COLUMNS"] = _WIDTH
        os.environ["NO_COLOR"] = "1"
        text = _parser(self.arguments).format_help()
        return [nodes.literal_block(text, text, language="none")]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("program-help", ProgramHelp)
    return {"parallel_read_safe": True}
