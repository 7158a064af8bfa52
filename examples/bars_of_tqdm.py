"""A program full of tqdm bars, some of them in worker processes: with one line more they are tasks on one board."""

import math
import time

from tqdm import tqdm
from tqdm.contrib.concurrent import process_map

import headway
from headway.integrations import tqdm as mirrored


def roots(number: int) -> float:
    total = 0.0
    for step in tqdm(range(200), desc=f"roots {number}", leave=False, disable=None):
        time.sleep(0.001)  # the work
        total += math.sqrt(number * step)
    return total


def main() -> None:
    board = headway.open("example-bars-of-tqdm")
    mirrored.install(board)  # all bars from here on, whoever imported tqdm

    for _ in tqdm(range(3), desc="epochs", disable=None):
        with tqdm(total=20, desc="batches", leave=False, disable=None) as batches:
            for number in range(20):
                time.sleep(0.002)
                batches.set_postfix(loss=1 / (number + 1), refresh=False)
                batches.update()
    process_map(roots, range(4), max_workers=2, desc="all roots", disable=None)

    for task in board.snapshot().tasks:
        print(f"{task.id:24} {task.count:4} of {task.total}, {task.state} {dict(task.metrics) or ''}")
    board.remove(files=True)


if __name__ == "__main__":
    main()
