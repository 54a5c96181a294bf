"""Prints what makes a shell complete commands, options and the names of jobs.

Once in the shell's start-up file:

  bash (~/.bashrc)                     eval "$(jobqueue completion bash)"
  zsh (~/.zshrc, after compinit)       eval "$(jobqueue completion zsh)"
  fish (~/.config/fish/config.fish)    jobqueue completion fish | source

With --json: an object with the keys shell and code.
"""

from __future__ import annotations

import argparse

from jobqueue.cli._common import DONE
from jobqueue.cli._output import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(arguments: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    code = shellcode(["jobqueue", "runjobs"], shell=arguments.shell)
    if arguments.json:
        print_json({"shell": arguments.shell, "code": code})
    else:
        print(code)
    return DONE
