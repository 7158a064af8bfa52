"""Follow a board full screen: its tasks as a tree, its workers, and the stages of the chosen task.

It goes on when the board's program ends, is killed or is started again. 'headway watch' is the plain variant.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from headway import errors
from headway.cli._source import add_board, choose, find
from headway.terminal.row import Style

if TYPE_CHECKING:
    import argparse

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
keys: arrows choose, / filters, s sorts, a leaves out what has ended, enter folds, p pauses, w workers, q quits, ? helps

examples:
  headway top                  the only board there is
  headway top nightly --wait   start before its program does
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_board(parser, files=False)
    parser.add_argument("--wait", action="store_true", help="if there is no such board yet, show an empty screen")


def run(options: argparse.Namespace) -> int:
    name = options.board or choose()
    if not options.wait:
        find(name)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise errors.HeadwayError("top needs a terminal: use 'headway watch', which writes lines elsewhere")
    try:
        from headway.top.app import TopApp
    except ImportError as error:
        if (error.name or "").startswith("headway"):
            raise
        raise errors.MissingExtra(
            f"top needs the package {error.name}: install it with pip install 'headway[terminal]', "
            "or use 'headway watch'"
        ) from error
    TopApp(name, style=replace(Style.of(sys.stdout), colour=True)).run()
    return 0
