"""The command ``jobqueue``: one module for each subcommand, loaded when it is called."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from jobqueue import __version__
from jobqueue.cli._common import add_common, end_of_parsing, guarded, with_remedy

# In the order of a first session; each has a module of its name with `add_arguments` and `run`.
COMMANDS = {
    "create": "make a queue",
    "submit": "submit a command as a job, or one for each piece of a frame range",
    "list": "list the top-level jobs",
    "show": "show everything of one job, with all its attempts",
    "tree": "show a job and all that it depends on",
    "log": "show what a job has printed",
    "wait": "wait until jobs have come to an end",
    "retry": "run failed jobs again",
    "cancel": "end hierarchies for good",
    "hold": "begin nothing more of hierarchies, until they are released",
    "release": "take a hold back",
    "priority": "give a hierarchy another priority",
    "archive": "put hierarchies that have ended into one file each",
    "delete": "delete hierarchies",
    "workers": "list the workers",
    "check": "look whether the queue is sound, and repair it",
    "doctor": "measure a share before one trusts it with a queue",
    "burnin": "torment a queue on a share, and look whether anything is lost",
    "completion": "print what makes a shell complete names",
}
_EPILOG = """\
A job is named job100, one of its sub-jobs job100/job3.

Exit codes:
  0    done
  1    it went wrong: what is waited for has failed, the share is in trouble
  2    it cannot be: no queue, no such job, not in this state
  124  the time was up
  130  interrupted

`jobqueue COMMAND --help` tells more.
"""


class _CommandParser(argparse.ArgumentParser):
    """The parser of one subcommand; its module is loaded when it is used."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)
        self._is_filled = False
        self._takes_command = False

    def fill(self) -> None:
        if not self._is_filled:
            self._is_filled = True
            module = import_module(f"jobqueue.cli.{(self.prog or '').rpartition(' ')[2]}")
            self.description = module.__doc__
            self.formatter_class = argparse.RawDescriptionHelpFormatter
            add_common(self)
            module.add_arguments(self)
            self.set_defaults(run=module.run)
            self._takes_command = getattr(module, "TAKES_COMMAND", False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.fill()
        if not self._takes_command:
            return super().parse_known_args(args, namespace)
        # By hand: what argparse makes of further dashes in the command differs from one Python to the next.
        at = args.index("--") if "--" in args else len(args)
        found, unknown = super().parse_known_args(args[:at], namespace)
        found.rest = args[at + 1 :]
        return found, unknown

    def error(self, message: str) -> Any:
        end_of_parsing(self.prog, message)


class _MainParser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        end_of_parsing(self.prog, message)


def build_parser(*, filled: bool = False) -> argparse.ArgumentParser:
    """The parser of the whole command.

    Args:
        filled: whether all subcommands are loaded at once, as completion needs it.
    """
    parser = _MainParser(
        prog="jobqueue", description="A job queue that is only a directory.", epilog=_EPILOG, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(queue=None, json=False)
    add_common(parser)
    parser.add_argument("--version", action="version", version=f"jobqueue {__version__}")
    commands = parser.add_subparsers(
        metavar="COMMAND", dest="command", required=True, parser_class=_CommandParser, title="commands"
    )
    for name, help_ in COMMANDS.items():
        command = commands.add_parser(name, help=help_)
        if filled:
            command.fill()
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; its exit code."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(build_parser(filled=True), always_complete_options=False)

    def call() -> int:
        arguments = build_parser().parse_args(argv)
        try:
            code: int = arguments.run(arguments)
        except NotADirectoryError as error:
            raise with_remedy(arguments, error) from error
        return code

    return guarded("jobqueue", call)
