"""What a program and the helper that draws its bars say to each other, and which descriptors the helper is handed.

The helper imports this before anything else: it costs nothing.
"""

from __future__ import annotations

__all__ = ["CONTROL", "DONE", "DRAWN", "HIDE", "LEFT", "MESSAGE_MOST", "OUTPUT", "PROGRAM", "RELEASE", "STOP"]

CONTROL, PROGRAM, OUTPUT = 3, 4, 5  # a socket to the program, its pidfd, its terminal
MESSAGE_MOST = 1 << 16  # bytes of a message

# What the program says. To the helper of loops, JSON as well: which ones to show, and from when on.
STOP = b"s"  # draw for the last time, tidy the terminal up, and end
HIDE = b"h"  # take the bars of loops away
# What the helper answers.
DONE = b"d"  # all is drawn, or taken away, and the terminal tidy
DRAWN = b"+"  # bars of loops are about to be drawn: whoever says HIDE has to wait for DONE
LEFT = b"l"  # nothing was to be shown for long: it ends

# Save the cursor, have all lines scroll again, restore it; no colour, no bars below it, wrapping as ever.
RELEASE = "\x1b7\x1b[r\x1b8\x1b[0m\x1b[?7h\x1b[J"
