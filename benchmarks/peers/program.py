"""A program of its own that uses one peer: python -m benchmarks.peers.program PEER PLACE run|read|watch

run    counts UPDATES times, says `done`, waits for a line or the end of its input, and ends as any program does
read   says what a process that is no child of that program reads, or why it reads nothing
watch  says `ready`; then for each line of its input `looking`, and the time at which the next update was seen
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers import PEERS, Cannot, Peer
from benchmarks.peers.bars import draw_on, screen
from benchmarks.peers.workers import watch

__all__ = ["UPDATES"]

UPDATES = 100


def run(peer: Peer) -> None:
    """Count, and end without a word to the peer."""
    with os.fdopen(os.dup(1), "w") as answers:
        draw_on(screen(peer.place))
        try:
            peer.open()
            peer.show()
            count = peer.shared()
            for _ in range(UPDATES):
                count()
            peer.tend()
            print("done", file=answers, flush=True)
        except Cannot as why:
            print(f"cannot: {why}", file=answers, flush=True)
        sys.stdin.readline()


def read(peer: Peer) -> None:
    peer.attach()
    print(peer.read(), flush=True)


def follow(peer: Peer) -> None:
    peer.attach()
    peer.read()
    print("ready", flush=True)
    for _ in sys.stdin:
        before = peer.read()
        print("looking", flush=True)
        seen = watch(peer.read, before, peer.tend)
        print(seen if seen is not None else "never", flush=True)


VERBS: dict[str, Callable[[Peer], None]] = {"run": run, "read": read, "watch": follow}

if __name__ == "__main__":
    title, place, verb = sys.argv[1:]
    try:
        VERBS[verb](PEERS[title](Path(place)))
    except Cannot as why:
        print(f"cannot: {why}", flush=True)
