"""Print a script that makes a shell complete the commands of headway, their options, and the names of boards."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from headway import errors
from headway.cli.main import COMMANDS, parser_of

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
The script is made for the installed version: print it anew after an update. It needs the package shtab only when it is
printed: pip install 'headway[completion]'.

examples:
  headway completion bash > ~/.local/share/bash-completion/completions/headway
  headway completion zsh > ~/.zfunc/_headway        with fpath+=~/.zfunc before compinit in ~/.zshrc
  headway completion fish > ~/.config/fish/completions/headway.fish
"""
SHELLS = ("bash", "zsh", "fish")
BOARDS = "headway ls --names 2>/dev/null"  # what the shell runs to learn the names of boards


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"one of {', '.join(SHELLS)}")


def run(options: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError as error:
        raise errors.MissingExtra(
            "completion needs the package shtab: install it with pip install 'headway[completion]'"
        ) from error
    sys.stdout.write(shtab.complete(_whole_parser(shtab), options.shell))
    return 0


def _whole_parser(shtab: ModuleType) -> argparse.ArgumentParser:
    """One parser of all commands. It parses nothing: shtab reads the names and kinds of the arguments from it."""
    whole = argparse.ArgumentParser(prog="headway", allow_abbrev=False)
    whole.add_argument("--version", action="store_true", help="show the version and exit")
    commands = whole.add_subparsers()
    kinds = {"BOARD": shtab.cmd(BOARDS), "FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    for name, does in COMMANDS.items():
        parser = parser_of(name)
        for action in parser._actions:
            if action.metavar in kinds:
                action.complete = kinds[action.metavar]  # type: ignore[attr-defined]
        parser.description = does  # what shells show beside the name
        commands.add_parser(name, help=does, parents=[parser], add_help=False, description=does)
    return whole
