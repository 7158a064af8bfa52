"""The process that draws the bars of a program's loops on its terminal, as headway.bars.shown starts it.

It is started with the first loop, and draws once that loop has lasted for a while; until then it imports next to
nothing. Between loops it waits for the next one, and ends when none comes.
"""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

from headway.bars.last_lines import wait
from headway.process.drawing import CONTROL, DONE, DRAWN, HIDE, LEFT, MESSAGE_MOST, PROGRAM

if TYPE_CHECKING:
    from headway.bars.loops_drawer import LoopsDrawer

__all__ = ["main"]


def main(encoding: str, idle_s: str) -> None:
    """Draw the loops that the program reports, until the program ends.

    encoding: of its terminal; idle_s: this process ends earlier after this many seconds without a loop.
    """
    control = socket.socket(fileno=CONTROL)
    drawer: LoopsDrawer | None = None
    loops: list[list[str]] = []
    due = time.monotonic() + float(idle_s)
    try:
        while True:
            ready = wait((CONTROL, PROGRAM), due, None if drawer is None else drawer.terminal)
            if CONTROL in ready:
                message = control.recv(MESSAGE_MOST)
                if not message:
                    return
                if message == HIDE:
                    if drawer is not None and drawer.hide():
                        control.send(DONE)
                    loops, due = [], time.monotonic() + float(idle_s)
                else:
                    told = json.loads(message)
                    loops, due = told["loops"], max(told["due"], drawer.due if drawer is not None else 0.0)
            elif ready:
                return
            elif not loops:
                control.send(LEFT)
                return
            elif drawer is None:
                from headway.bars.loops_drawer import LoopsDrawer

                drawer = LoopsDrawer(encoding)
            elif drawer.is_to_begin():
                # From here on the program waits for us to erase them; it may have asked for that just before.
                control.send(DRAWN)
            else:
                due = drawer.draw(loops, time.monotonic())
    except OSError:  # the program or its terminal is gone
        return
    finally:
        if drawer is not None:
            drawer.end()
