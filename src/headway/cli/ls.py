"""List the boards of this HEADWAY_DIR: those in shared memory, and those that left a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway import errors
from headway.cli._output import add_json, columns, complain, print_json, say, table
from headway.tasks.states import WRONG_STATES
from headway.views.words import duration, number, size
from headway.views.workers import Workers

if TYPE_CHECKING:
    import argparse

    from headway.upkeep.listing import BoardInfo

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
state of a board:
  live      in shared memory, and some process uses it
  unused    in shared memory, but all its processes are gone: 'headway gc' removes it
  snapshot  only its files are left
  damaged   it cannot be read, and the reason stands beside it

It shows the boards of this HEADWAY_DIR, or else of the default one; 'headway gc' looks at all boards of this user.

examples:
  headway ls
  headway ls --names   one name a line, for scripts
  headway ls --json    with the progress of every task
"""

_TASK = ("id", "label", "parent", "state", "stage", "message", "count", "total", "unit", "fraction", "rate", "eta")


def configure(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--names", action="store_true", help="only the names; no board is looked into")
    add_json(form)


def run(options: argparse.Namespace) -> int:
    from headway.files import directory as files_of_boards
    from headway.upkeep import listing

    if options.names:
        for name in files_of_boards.names():
            say(name)
        return 0
    boards = listing.boards()
    if options.json:
        print_json([_to_dict(info) for info in boards])
    elif not boards:
        say("there is no board: start a program that opens one, or 'headway demo'")
    else:
        rows = [("BOARD", "STATE", "RUNNING", "PENDING", "SUCCEEDED", "WORKERS", "SIZE", "AGE", "")]
        for line in table(rows + [_row(info) for info in boards], right=(2, 3, 4, 5, 6, 7)):
            say(line, columns())
        _tell_loops(boards)
    return 0


def _tell_loops(boards: list[BoardInfo]) -> None:
    """Say which boards will go by themselves."""
    from headway.files import directory as files_of_boards
    from headway.files import loops

    try:
        days = loops.kept_days()
    except errors.InvalidVariable as error:
        complain(str(error))
        return
    going = [info.name for info in boards if loops.goes_at(info.directory, days) is not None]
    if going:
        of = "board of a loop that nobody" if len(going) == 1 else "boards of loops that nobody"
        say()
        say(
            f"{len(going)} {of} named, {files_of_boards.some_of(going)}: removed {days:g} days after the last use "
            f"({loops.VARIABLE}=0: never)"
        )


def _row(info: BoardInfo) -> tuple[str, ...]:
    view = info.view
    if view is None:
        return (info.name, info.state, "", "", "", "", size(info.bytes), "", info.error or "")
    counts = view.counts
    bad = [f"{number(counts[state])} {state}" for state in WRONG_STATES if counts[state]]
    bad += [f"{number(counts.stalled)} stalled"] if counts.stalled else []
    numbers = (counts.running, counts.pending, counts.success, _alive(info))
    return (
        info.name,
        info.state,
        *map(number, numbers),
        size(info.bytes),
        duration(view.age) if info.state == "snapshot" else "",
        ", ".join(bad),
    )


def _alive(info: BoardInfo) -> int:
    """How many workers are alive now. A snapshot only knows which ones were alive when it was taken: then 0."""
    if info.view is None or info.state == "snapshot":
        return 0
    return Workers.of(info.view.workers).alive


def _to_dict(info: BoardInfo) -> dict[str, Any]:
    view = info.view
    return {
        "name": info.name,
        "state": info.state,
        "directory": str(info.directory),
        "bytes": info.bytes,
        "error": info.error,
        "uuid": view and view.uuid,
        "taken_at": view and view.taken_at,
        "workers_alive": _alive(info),
        "counts": view.counts.to_dict() if view else None,
        "tasks": [{name: getattr(task, name) for name in _TASK} for task in view.tasks] if view else [],
    }
