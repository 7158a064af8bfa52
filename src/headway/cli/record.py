"""Record a board in the foreground: write its snapshots and its history until no process uses it any more.

That is what the helper process does which headway.open starts by itself. Where it cannot (HEADWAY_RECORD=0, a service
manager that ends all processes of a session), run this beside the program.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from headway import errors
from headway.cli._output import say
from headway.cli._source import add_board, choose

if TYPE_CHECKING:
    import argparse

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
One process records a board: if another one does, this command says which, and ends with status 1. Ctrl-C, or SIGTERM,
writes the state once more and ends; the board stays.

examples:
  headway record nightly
  headway record nightly --wait    from before its program has started
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
            raise errors.UnknownBoard(
                f"board {name!r} is not in shared memory, there is nothing to record: start its program, or say --wait"
            )
        time.sleep(0.1)
    board._segment.want_recorder()
    recorder = Recorder.elected(board)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: recorder.stop())
    say(f"recording {name} in {board.directory}")
    say(f"{name}: {recorder.run()}")
    return 0
