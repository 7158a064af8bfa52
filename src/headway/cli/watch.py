"""Follow a board while it goes on: redrawn in place on a terminal, a line now and then elsewhere.

It ends when the board is removed, and when no process uses it any more.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from typing import TYPE_CHECKING

from headway import errors
from headway.cli._output import add_json, complain, emit, say
from headway.cli._source import add_board, choose, find
from headway.exporters.tables import object_line
from headway.terminal.painter import Painter
from headway.views.board_view import parts_of

if TYPE_CHECKING:
    from headway.engine.board import Board
    from headway.views.board_view import BoardView

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
A board that is not in shared memory is shown once, from its last snapshot; with --wait its next start is waited for.

examples:
  headway watch                      the only board there is
  headway watch nightly --wait       start before its program does
  headway watch nightly --json       a JSON object a line, for programs
  headway watch nightly >> log.txt   a line now and then, and one for each task that ends
"""
_USE_CHECK_S = 1.0
_LIGHT_S = 0.02  # of a core for one look: a usual board costs less
_REST, _REST_MOST_S = 4, 5.0  # a look at 100 000 tasks takes 150 ms of a core: then it rests four times as long


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.01 to 3600")
    return value


def configure(parser: argparse.ArgumentParser) -> None:
    add_board(parser, files=False)
    parser.add_argument(
        "--interval",
        type=_seconds,
        metavar="S",
        help="seconds between two looks (default: 0.25, longer for large boards), or two lines (default: 5, up to 60)",
    )
    parser.add_argument("--once", action="store_true", help="show it once and end")
    parser.add_argument("--wait", action="store_true", help="wait for the board if it is not in shared memory")
    add_json(parser, "print one JSON object a line")


def run(options: argparse.Namespace) -> int:
    from headway.upkeep import listing

    name = options.board or (_first() if options.wait else choose())
    board = listing.attach(name)
    if board is None and options.wait:
        _tell_wait(name, _Show(options))
        while (board := listing.attach(name)) is None:
            time.sleep(0.1)
    show = _Show(options)
    if board is None:
        source = find(name)
        show.view(source.view, last=True)
        if not options.json:
            say(source.told())
        return 0
    with contextlib.closing(board):
        _follow(board, show, once=options.once)
    return 0


def _tell_wait(name: str, show: _Show) -> None:
    """Show the last state of a board that has ended, if it left one, and say that its next start is waited for."""
    if not show.json:
        try:
            source = find(name)
            show.view(source.view, last=True)
            say(source.told())
            sys.stdout.flush()
        except errors.UnknownBoard:
            pass  # it never existed, or left nothing
        except (errors.HeadwayError, OSError) as error:
            complain(str(error))
    complain(f"waiting for a program that opens {name}")


def _first() -> str:
    """With --wait and no name: the first board that is in use."""
    from headway.upkeep import listing

    while True:
        try:
            name = choose()
            if (board := listing.attach(name)) is not None:
                board.close()
                return name
        except errors.UnknownBoard:
            pass
        time.sleep(0.1)


def _follow(board: Board, show: _Show, *, once: bool) -> None:
    from headway.upkeep import listing

    check_at = time.monotonic() + _USE_CHECK_S
    view = board.snapshot()
    spent = time.process_time()
    for view in board.watch(show.interval_s):
        ended = once
        if time.monotonic() >= check_at and not ended:
            check_at = time.monotonic() + _USE_CHECK_S
            ended = not listing.in_use(board.name, view.uuid)
        show.view(view, last=ended)
        if ended:
            break
        if show.rests:
            time.sleep(min(_REST * max(time.process_time() - spent - _LIGHT_S, 0.0), _REST_MOST_S))
        spent = time.process_time()
    else:
        # Whoever unlinks a board ends its tasks first, and an earlier copy may not show that.
        show.view(board.snapshot(), last=True)
    if not once and not show.json:
        say(f"{board.name} has ended")


class _Show:
    """Shows views as the options say."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.json: bool = options.json
        given: float | None = options.interval
        self.rests = given is None
        self._painter = Painter(sys.stdout, every_s=given)
        # Lines are written seldom, but the end of a task is reported at once.
        self.interval_s = given if given and (self.json or self._painter.live) else 0.25

    def view(self, view: BoardView, *, last: bool = False) -> None:
        if self.json:
            emit(object_line(parts_of(view)))
            sys.stdout.flush()
        else:
            self._painter.draw(view, last=last)
