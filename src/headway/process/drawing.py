"""The messages between a program and the helper process that draws its bars, and the descriptors of the helper.

The helper imports this module before anything else: it imports nothing itself.
"""

from __future__ import annotations

__all__ = ["CONTROL", "DONE", "DRAWN", "HIDE", "LEFT", "MESSAGE_MOST", "OUTPUT", "PROGRAM", "RELEASE", "STOP"]

CONTROL, PROGRAM, OUTPUT = 3, 4, 5  # a socket to the program, its pidfd or a pipe that ends with it, its terminal
MESSAGE_MOST = 1 << 16  # bytes of a message

# Messages of the program. The helper of loops also gets JSON: which loops to show, and from when on.
STOP = b"s"  # draw for the last time, restore the terminal, and end
HIDE = b"h"  # erase the bars of loops
# Answers of the helper.
DONE = b"d"  # the last drawing or the erasing is done, and the terminal is restored
DRAWN = b"+"  # sent before bars of loops are drawn: after it, a program that sends HIDE has to wait for DONE
LEFT = b"l"  # there was nothing to show for long: the helper ends

# Save the cursor, let all lines scroll again, restore the cursor; colours reset, wrapping on, the bars below erased.
# For who does not know the bars' lines: the program whose helper was killed, and after a change of size.
RELEASE = "\x1b7\x1b[r\x1b8\x1b[0m\x1b[?7h\x1b[J"
