"""Remove boards: their shared memory, their snapshots and their histories."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from headway import errors
from headway.cli._output import add_json, complain, print_json, say
from headway.cli._source import board_name

if TYPE_CHECKING:
    from headway.upkeep.removal import Removed

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
A board that a process uses is not removed without --force; the process then goes on, and what it counts is lost.
With --older, boards in use are passed over. A board is as old as the last write to its files, by its program or its
recorder.

examples:
  headway rm nightly
  headway rm nightly weekly
  headway rm nightly --keep-files    its last snapshot and its history stay readable
  headway rm --older 30d --dry-run   say which boards nobody has used for 30 days
  headway rm --older 30d             and remove them
"""
_UNITS_S = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def _age(text: str) -> float:
    """Seconds of an age such as 90m, 12h, 30d or 2w."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS_S or not number.isascii() or not number.isdecimal() or len(number) > 6:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age: give a whole number and a unit: 90m, 12h, 30d or 2w")
    return int(number) * _UNITS_S[unit]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "boards", metavar="BOARD", nargs="*", type=board_name, help="names of boards; with --older the default is all"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--older", metavar="AGE", type=_age, help="only boards that were not used for AGE: 30d, 12h")
    which.add_argument("--force", action="store_true", help="even if processes use it, or if it is damaged")
    parser.add_argument("--keep-files", action="store_true", help="remove the shared memory only")
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, say what would go")
    add_json(parser)
    parser.set_defaults(refuse=parser.error)


def run(options: argparse.Namespace) -> int:
    from headway.files import directory as files_of_boards
    from headway.upkeep import removal

    if not options.boards and options.older is None:
        options.refuse("name at least one BOARD, or give --older AGE")
    removed: list[Removed] = []
    refused = []
    for name in options.boards or files_of_boards.names():
        try:
            gone = removal.remove(
                name,
                files=not options.keep_files,
                force=options.force,
                older_than_s=options.older,
                dry_run=options.dry_run,
            )
        except (errors.HeadwayError, OSError) as error:
            if options.older is not None and isinstance(error, errors.UnknownBoard):
                continue  # somebody else has just removed it
            refused.append(f"{name} is still there: {error}" if isinstance(error, OSError) else str(error))
            continue
        removed += gone
        if not gone and options.older is None and not options.json:
            say(f"nothing was left of {name}")
    if options.json:
        print_json([asdict(one) for one in removed])
    else:
        for one in removed:
            say(f"{'would remove' if options.dry_run else 'removed'} {one.kind} {one.name}")
        if not removed and not refused and options.older is not None:
            say("no board is that old and unused")
    for reason in refused:
        complain(reason)
    return 1 if refused else 0
