"""Remove a board: its shared memory, its snapshots and its history."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from headway.cli._output import add_json, print_json, say
from headway.cli._source import add_board

if TYPE_CHECKING:
    import argparse

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
A board that a process uses is not removed without --force; the process then goes on, and counts into the void.

examples:
  headway rm nightly
  headway rm nightly --keep-files    its last snapshot and its history stay readable
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_board(parser, required=True, files=False)
    parser.add_argument("--force", action="store_true", help="even if processes use it, or if it is damaged")
    parser.add_argument("--keep-files", action="store_true", help="remove the shared memory only")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from headway.upkeep import removal

    removed = removal.remove(options.board, files=not options.keep_files, force=options.force)
    if options.json:
        print_json([asdict(one) for one in removed])
    else:
        for one in removed:
            say(f"removed {one.kind} {one.name}")
        if not removed:
            say(f"nothing was left of {options.board}")
    return 0
