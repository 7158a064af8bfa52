"""Record a board in the foreground: write its snapshots and its history until no process uses it any more.

Normally headway.open starts a helper process for this. Where that is not possible (HEADWAY_RECORD=0, a service manager
that ends all processes of a session), run this command beside the program.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from headway import errors
from headway.cli._output import say
from headway.cli._source import add_board, choose, find

if TYPE_CHECKING:
    import argparse

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
A board has one recorder: if another process records it, this command names that process and ends with status 1. Ctrl-C
or SIGTERM ends it after it has written the state once more; the board stays.

examples:
  headway record nightly
  headway record nightly --wait    start before its program does
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_board(parser, files=False)
    parser.add_argument("--wait", action="store_true", help="wait for the board if it is not in shared memory")


def run(options: argparse.Namespace) -> int:
    from headway.recorder.recorder import Recorder
    from headway.upkeep import listing

    name = options.board or choose()
    while (board := listing.attach(name)) is None:
        if not options.wait:
            _refuse_unknown(name)
            raise errors.UnknownBoard(
                f"board {name!r} is not in shared memory, nothing can be recorded: start its program, or use --wait"
            )
        time.sleep(0.1)
    board._segment.want_recorder()
    recorder = Recorder.elected(board)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: recorder.stop())
    say(f"recording {name} in {board.directory}")
    say(f"{name}: {recorder.run()}")
    return 0


def _refuse_unknown(name: str) -> None:
    """Raise UnknownBoard, with similar names, if no board was ever called so."""
    try:
        find(name)
    except errors.UnknownBoard as error:
        raise errors.UnknownBoard(f"{error}; --wait waits for its program") from None
