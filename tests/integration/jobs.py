"""A program with bars, under a real shell: python jobs.py BOARD [SECONDS [loop]]

Counts, and prints a line twenty times a second, until it is interrupted or the time is over. Its board is shown live;
with "loop" it is not, and the loop has a bar of its own.
"""

from __future__ import annotations

import contextlib
import sys
import time

import headway


def main(name: str, seconds: float, how: str) -> None:
    board = headway.open(name, capacity=16, record=False)
    until = time.monotonic() + seconds
    try:
        with contextlib.nullcontext() if how == "loop" else board.live():
            for line in headway.track(range(10_000), label="part", unit="line", board=board):
                print(f"line {line}|", flush=True)
                time.sleep(0.05)
                if time.monotonic() > until:
                    break
    finally:
        board.remove(files=True)
    print("over|", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0, "".join(sys.argv[3:]))
