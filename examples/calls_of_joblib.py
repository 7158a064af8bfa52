"""Calls of joblib.Parallel as tasks on a board: one that succeeds, and one whose worker is killed by an item."""

import math
import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool

import headway
from headway.integrations.joblib import Parallel, delayed  # in place of: from joblib import Parallel, delayed


def root(number: int) -> float:
    time.sleep(0.002)  # the work
    return math.sqrt(number)


def parse(name: str) -> str:
    if name == "broken.csv":
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory runs out
    time.sleep(0.002)
    return name


def main() -> None:
    board = headway.open("example-calls-of-joblib")
    roots = Parallel(n_jobs=2, label="roots", board=board)(delayed(root)(number) for number in range(100))
    print(f"the sum of the roots is {sum(roots):.1f}")
    try:
        Parallel(n_jobs=2, board=board)([delayed(parse)(name) for name in ("a.csv", "b.csv", "broken.csv", "c.csv")])
    except BrokenProcessPool as error:
        print(f"{type(error).__name__}: {getattr(error, '__notes__', [])}")
    for task in board.snapshot().tasks:
        print(f"{task.id:6} {task.count:4} of {task.total}, {task.state} {task.error or ''}")
    board.remove(files=True)


if __name__ == "__main__":
    main()
