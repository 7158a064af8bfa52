"""A loop around processes that print whatever they like: python printing_at_random.py SEED STEPS

Lines, pieces of lines, wide characters, colours, tabs, texts as wide as the terminal and wider, a progress line that is
written over, from the program, workers that were forked and spawned, and other programs; all from one seed. It begins
when it has read a line, so once there is a bar.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import headway

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = 80
ALPHABETS = ("abcdefgh", "äöü×", "全部表示", "🎉🦊🐍")


def text(dice: random.Random, mark: str) -> str:
    """Something to print that holds the mark."""
    wanted = dice.choice((0, 0, 5, 20, 40, COLUMNS - 1, COLUMNS, COLUMNS + 1, 2 * COLUMNS, 2 * COLUMNS + 40))
    alphabet = dice.choice(ALPHABETS)
    each = 2 if alphabet in ALPHABETS[2:] else 1
    filling = "".join(dice.choice(alphabet) for _ in range(max(wanted - len(mark) - 1, 0) // each))
    filling += "x" * max(wanted - len(mark) - 1 - each * len(filling), 0)
    if dice.random() < 0.2:
        filling = f"\x1b[3{dice.randrange(8)}m{filling}\x1b[0m"
    if dice.random() < 0.1:
        filling = f"\t{filling}"
    return f"{mark} {filling}"


def say(seed: int, mark: str) -> None:
    """Print one text in one of the ways in which programs print."""
    dice = random.Random(f"{seed} {mark}")
    said = text(dice, mark)
    how = dice.randrange(8)
    if how == 0:
        os.write(1, f"{said}\n".encode())
    elif how == 1:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("printing").warning("%s", said)
    elif how == 2:
        subprocess.run(["printf", "%s\\n", said], check=True)
    elif how == 3:
        print(said, end=dice.choice(("", " ")), flush=True)
    elif how == 4:
        sys.stderr.write(f"\r{mark} 50%")
        sys.stderr.flush()
    elif how == 5:
        cut = dice.randrange(len(said) + 1) if "\x1b" not in said else 0  # nobody could mend a sequence in two pieces
        for part in (said[:cut], f"{said[cut:]}\n"):
            print(part, end="", flush=True)
            time.sleep(dice.choice((0, 0.02, 0.25)))
    else:
        print(said, flush=True)
    time.sleep(dice.choice((0, 0, 0.005, 0.03)))


def step(seed: int, number: int) -> int:
    """What a worker does."""
    say(seed, f"w{number}")
    return number


def numbers(steps: int) -> Iterator[int]:
    yield 0
    input()
    yield from range(1, steps)


def main(seed: int, steps: int) -> None:
    fork, spawn = (multiprocessing.get_context(how) for how in ("fork", "spawn"))
    with fork.Pool(2) as pool, ProcessPoolExecutor(1, mp_context=spawn) as executor:
        executor.submit(step, seed, steps).result()  # it is there before the loop begins
        for number in headway.track(numbers(steps), "outer", steps):
            others = pool.starmap_async(step, [(seed, steps + 3 * number), (seed, steps + 3 * number + 1)])
            another = executor.submit(step, seed, steps + 3 * number + 2)
            for _ in headway.track(range(2), "inner"):
                say(seed, f"p{number}-{_}")
            others.get()
            another.result()
    print("\nend")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
