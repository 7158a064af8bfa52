"""List the boards of this HEADWAY_DIR: those in shared memory, and those that left a snapshot."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.cli._output import add_json, columns, complain, emit, say, table
from headway.exporters.tables import list_lines
from headway.tasks.states import WRONG_STATES
from headway.views.chosen import workers_alive
from headway.views.words import duration, number, size

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from headway.upkeep.listing import BoardGlance, BoardInfo, BoardSizes

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
state of a board:
  live      in shared memory, and some process uses it
  unused    in shared memory, but all its processes are gone: 'headway gc' removes it
  snapshot  only its files are left
  damaged   it cannot be read, and the reason stands beside it

It shows the boards of this HEADWAY_DIR, or else of the default one; 'headway gc' looks at all boards of this user. Of a
snapshot only the head is read: 'headway doctor' reads all of it.

examples:
  headway ls           those in use, then the newest ones
  headway ls --all     every board
  headway ls --sizes   what each board takes of /dev/shm and of the disk, and for how many tasks and workers
  headway ls --names   one name a line, for scripts
  headway ls --json    every board, with the progress of every task
"""

SHOWN = 50  # in a table; other forms have all
_TASK = ("id", "label", "parent", "state", "stage", "message", "count", "total", "unit", "fraction", "rate", "eta")


def configure(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--all", action="store_true", help=f"every board, not the first {SHOWN}")
    form.add_argument("--sizes", action="store_true", help="what the boards take of /dev/shm and of the disk")
    form.add_argument("--names", action="store_true", help="only the names, sorted; no board is looked into")
    add_json(form)


def run(options: argparse.Namespace) -> int:
    from headway.files import directory as files_of_boards
    from headway.upkeep import listing

    if options.names:
        for name in files_of_boards.names():
            say(name)
        return 0
    if options.json:
        emit(list_lines(map(_parts, listing.boards()), "\n"))
        return 0
    if options.sizes:
        _tell_sizes(list(listing.sizes()))
        return 0
    there = listing.newest_first()
    shown: list[BoardGlance] = []
    left = iter(there)
    for directory in left:
        if (found := listing.glance(directory)) is not None:
            shown.append(found)
        if len(shown) == SHOWN and not options.all:
            break
    if not shown:
        say("there is no board: start a program that opens one, or 'headway demo'")
        return 0
    rows = [("BOARD", "STATE", "RUNNING", "PENDING", "SUCCEEDED", "WORKERS", "SIZE", "AGE", "")]
    for line in table(rows + [_row(board) for board in shown], right=(2, 3, 4, 5, 6, 7)):
        say(line, columns())
    if more := sum(1 for _ in left):
        say(f"and {number(more)} more, older ones: 'headway ls --all' shows them")
    _tell_loops(there)
    return 0


def _tell_sizes(found: list[BoardSizes]) -> None:
    """A line for each board, the largest in shared memory first, and what is left there."""
    from headway.system import memory, shm

    found.sort(key=lambda one: (-one.bytes, -one.files, one.name))
    rows = [("BOARD", "MEMORY", "TASKS", "WORKERS", "RESULT", "FILES", "")]
    rows += [
        (
            one.name,
            *((size(one.bytes), number(one.capacity), number(one.workers)) if one.bytes else ("", "", "")),
            size(one.result_bytes) if one.bytes else "",
            size(one.files),
            one.error or "",
        )
        for one in found
    ]
    for line in table(rows, right=(1, 2, 3, 4, 5)):
        say(line, columns())
    room = memory.free_room(shm.SHM)
    taken = size(sum(one.bytes for one in found))
    free = (
        ""
        if room is None
        else f": it has {size(room.f_blocks * room.f_frsize)}, {size(room.f_bavail * room.f_frsize)} free"
    )
    say(f"they take {taken} of {shm.SHM}{free}")


def _tell_loops(there: list[Path]) -> None:
    """Say which boards will go by themselves."""
    from headway.files import directory as files_of_boards
    from headway.files import loops

    try:
        days = loops.kept_days()
    except errors.InvalidVariable as error:
        complain(str(error))
        return
    going = sorted(directory.name for directory in there if loops.goes_at(directory, days) is not None)
    if going:
        of = "board of a loop that nobody" if len(going) == 1 else "boards of loops that nobody"
        say()
        say(
            f"{len(going)} {of} named, {files_of_boards.some_of(going)}: removed {days:g} days after the last use "
            f"({loops.VARIABLE}=0: never)"
        )


def _row(board: BoardGlance) -> tuple[str, ...]:
    counts = board.counts
    if counts is None or board.taken_at is None:
        return (board.name, board.state, "", "", "", "", size(board.bytes), "", board.error or "")
    bad = [f"{number(counts[state])} {state}" for state in WRONG_STATES if counts[state]]
    bad += [f"{number(counts.stalled)} stalled"] if counts.stalled else []
    return (
        board.name,
        board.state,
        *map(number, (counts.running, counts.pending, counts.success, board.workers_alive)),
        size(board.bytes),
        duration(max(time.time() - board.taken_at, 0.0)) if board.state == "snapshot" else "",
        ", ".join(bad),
    )


def _parts(info: BoardInfo) -> dict[str, Any]:
    view = info.view
    # A snapshot only knows which workers were alive when it was taken.
    alive = 0 if view is None or info.state == "snapshot" else workers_alive(view)
    return {
        "name": info.name,
        "state": info.state,
        "directory": str(info.directory),
        "bytes": info.bytes,
        "error": info.error,
        "uuid": view and view.uuid,
        "taken_at": view and view.taken_at,
        "workers_alive": alive,
        "counts": view.counts.to_dict() if view else None,
        "tasks": ({name: getattr(task, name) for name in _TASK} for task in view or ()),
    }
