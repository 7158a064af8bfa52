"""Remove what dead programs left in shared memory: boards that no process uses, after writing their last state."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from headway.cli._output import add_json, print_json, say
from headway.cli._source import board_name
from headway.terminal.text import plural

if TYPE_CHECKING:
    import argparse

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
What was on a board stays known: 'headway show BOARD' reads the snapshot. A board that a process has open is left alone.

examples:
  headway gc --dry-run    only say what would go
  headway gc              all that nobody uses
  headway gc nightly      this board, if nobody uses it
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("boards", metavar="BOARD", nargs="*", type=board_name, help="only these (default: all)")
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, say what would go")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from headway.upkeep import removal

    found = removal.gc(options.boards, dry_run=options.dry_run)
    if options.json:
        print_json([asdict(one) for one in found])
    else:
        for one in found:
            if one.error is None:
                say(f"{'would remove' if options.dry_run else 'removed'} {one.kind} {one.name}: {one.reason}")
        gone = [one for one in found if one.error is None]
        size = f"{sum(one.bytes for one in gone) / 2**20:.1f} MiB"
        verb = "would be freed" if options.dry_run else "freed"
        say(f"{plural(len(gone), 'object')}, {size} {verb}" if gone else "there is nothing to remove")
    failed = [one for one in found if one.error is not None]
    for one in failed:
        print(f"headway: {one.kind} {one.name} is still there: {one.error}", file=sys.stderr)
    return 1 if failed else 0
