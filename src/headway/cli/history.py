"""Show the tasks of a board that have ended or were lost, the newest first."""

from __future__ import annotations

import argparse
import time
import warnings
from typing import TYPE_CHECKING

from headway import errors
from headway.cli._output import add_json, columns, emit, say, table
from headway.cli._source import add_board, choose
from headway.exporters.tables import FORMATS, lines_of
from headway.files import directory as files_of_boards
from headway.files import history, query
from headway.system import paths
from headway.tasks.states import FINAL_STATES
from headway.terminal.row import detail
from headway.views.words import counted, duration, number, plural, state

if TYPE_CHECKING:
    from pathlib import Path

    from headway.files.history import PastTask

__all__ = ["EXAMPLES", "configure", "run"]

SHOWN = 50  # in a table; other formats have all

EXAMPLES = """\
A task comes into the history some time after it has ended, at the latest when its board needs the room; until then
'headway show' has it. The history is one SQLite file, history.sqlite3 in the board's directory.

examples:
  headway history nightly                       what ended within the last 24 hours
  headway history nightly --task BTC-1h --hours inf   each time that it ran
  headway history nightly --search btc --limit 500
  headway history nightly --state lost --limit 1 --json
  headway history nightly --format csv > tasks.csv
  headway history nightly --check
"""


def _hours(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours: give one above 0, or inf for all")
    return value


def _limit(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tasks: give a whole one above 0")
    return int(text)


def configure(parser: argparse.ArgumentParser) -> None:
    add_board(parser, files=False)
    parser.add_argument("--hours", type=_hours, default=24.0, metavar="H", help="ended within H hours (default: 24)")
    parser.add_argument("--task", metavar="ID", help="only the task of this id, each time that it ran")
    parser.add_argument("--state", choices=FINAL_STATES, help="only tasks that ended in this state")
    parser.add_argument("--search", metavar="TEXT", help="only tasks with this text in their id or label")
    parser.add_argument("--limit", type=_limit, metavar="N", help=f"only the N newest (default: {SHOWN} in a table)")
    parser.add_argument("--format", choices=("table", *FORMATS), default="table", help="default: table")
    parser.add_argument("--check", action="store_true", help="read all of the file, and move it aside if it is damaged")
    add_json(parser, "the same as --format json")


def run(options: argparse.Namespace) -> int:
    name = options.board or choose()
    directory = paths.board_directory(name)
    if not directory.is_dir():
        raise files_of_boards.unknown(name)
    if options.check:
        return _check(directory)
    asked = query.Query(
        id=options.task,
        text=options.search,
        states=(options.state,) if options.state else (),
        since=time.time() - options.hours * 3600,
    )
    form = "json" if options.json else options.format
    if form == "table":
        _show(directory, asked, options.limit or SHOWN, f"{options.hours:g} h")
    else:
        emit(lines_of(name, query.stream(directory, asked, limit=options.limit), form))
    return 0


def _check(directory: Path) -> int:
    with warnings.catch_warnings(record=True) as told, history.Writer(directory) as writer:
        warnings.simplefilter("always", RuntimeWarning)
        whole = writer.check()
    if not whole:
        raise errors.DamagedHistory("; ".join(str(one.message) for one in told))
    say(f"{directory / history.HISTORY} is whole" if writer.path.exists() else f"{directory} has no history yet")
    return 0


def _show(directory: Path, asked: query.Query, limit: int, hours: str) -> None:
    path = directory / history.HISTORY
    since = "" if hours == "inf h" else f" within the last {hours}"
    rows = [_row(task) for task in query.stream(directory, asked, limit=limit)]
    if not rows:
        say(f"no such task ended{since}: {path}")
        return
    for line in table([("ENDED", "STATE", "COUNT", "TOOK", "TASK", ""), *rows], right=(2, 3)):
        say(line, columns())
    say()
    found = query.count(directory, asked) if len(rows) == limit else len(rows)
    if found > len(rows):
        say(f"and {number(found - len(rows))} more; --limit {found} shows all")
    say(f"{plural(found, 'task')} ended{since}: {path}")


def _row(task: PastTask) -> tuple[str, ...]:
    ended = task.archived if task.ended is None else task.ended
    return (
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ended)),
        state(task.state),
        counted(task.count, task.total, task.unit),
        "" if task.started is None else duration(task.elapsed),
        task.id,
        detail(task),
    )
