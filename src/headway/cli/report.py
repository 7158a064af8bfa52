"""Write a picture of a run as one HTML file: timeline by worker, throughput, what died and where, what was slow.

It works during a run and after it, from shared memory or from files. The page is complete in itself: it loads nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from headway.cli._file import STANDARD_OUTPUT, put
from headway.cli._source import add_board, find
from headway.system import paths

if TYPE_CHECKING:
    from headway.views.board_view import BoardView

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
examples:
  headway report nightly -o report.html              the tasks of its last run
  headway report nightly -o report.html --hours 24   of all its runs within a day
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_board(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write to this file (default, and -: standard output)"
    )
    parser.add_argument(
        "--hours", type=_hours, metavar="H", help="also tasks of earlier runs that ended within H hours"
    )


def _hours(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours: give 0 or more, below a million")
    return value


def run(options: argparse.Namespace) -> int:
    from headway.exporters.report import report_of
    from headway.files.query import Query

    view = find(options.board).view
    hours = options.hours
    asked = Query(uuid=view.uuid) if hours is None else Query(since=time.time() - hours * 3600)
    page = report_of(view, _directory(view), asked)
    output: Path | None = options.output
    if output is None or output == STANDARD_OUTPUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(page.encode("utf-8"))  # as the page says of itself, whatever the locale
        return 0

    def write(folder: Path) -> Path:
        path = folder / "report"
        path.write_text(page, encoding="utf-8")
        return path

    put(output, write)
    return 0


def _directory(view: BoardView) -> Path:
    return paths.board_directory(view.name) if view.path is None else view.path.parent
