"""Remove what dead programs left in shared memory: boards that no process uses, once their last state is written."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from headway.cli._output import add_json, complain, print_json, say
from headway.cli._source import board_name
from headway.views.words import plural, size

if TYPE_CHECKING:
    import argparse

    from headway.upkeep.removal import Removed

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
It looks at the boards that 'headway ls' shows, those of one HEADWAY_DIR; with --all at every board of this user in
shared memory. What is damaged says no directory, and counts as here.
Boards that loops of headway.track opened, and that nobody named, go altogether 7 days after their last use; recorders
remove them, too. HEADWAY_LOOP_DAYS: other days, 0 for never.
The last state of any other board stays readable: 'headway show BOARD' reads its snapshot. A board that a process has
open stays.

examples:
  headway gc --dry-run    only say what would be removed
  headway gc              remove all that no process uses
  headway gc nightly      only this board, if no process uses it
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("boards", metavar="BOARD", nargs="*", type=board_name, help="only these (default: all)")
    parser.add_argument("--all", action="store_true", help="also boards of other directories (HEADWAY_DIR)")
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, say what would be removed")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from headway.files import directory as files_of_boards
    from headway.upkeep import removal

    found: list[Removed] = []
    unknown = []
    if options.boards:
        there = set(files_of_boards.names())
        for name in options.boards:
            some = removal.gc([name], everywhere=options.all, dry_run=options.dry_run)
            found += some
            if not some and name not in there:
                unknown.append(files_of_boards.unknown(name))
    else:
        found = removal.gc(everywhere=options.all, dry_run=options.dry_run)
    failed = [one for one in found if one.error is not None]
    if options.json:
        print_json([asdict(one) for one in found])
    else:
        for one in found:
            if one.error is None:
                say(f"{'would remove' if options.dry_run else 'removed'} {one.kind} {one.name}: {one.reason}")
        gone = [one for one in found if one.error is None]
        freed = size(sum(one.bytes for one in gone))
        verb = "would be freed" if options.dry_run else "freed"
        if gone:
            say(f"{plural(len(gone), 'object')}, {freed} {verb}")
        elif not failed and len(unknown) < max(len(options.boards), 1):
            say("there is nothing to remove")
    for one in failed:
        complain(f"{one.kind} {one.name} is still there: {one.error}")
    for error in unknown:
        complain(str(error))
    return 1 if failed or unknown else 0
