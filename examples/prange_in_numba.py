"""The threads of numba's prange count on a task, a block at a time, while another process watches the count rise.

It needs numba: pip install '.[examples]'
"""

from typing import Any

import numpy as np

try:
    from numba import njit, prange
except ImportError:
    raise SystemExit("prange_in_numba.py needs numba: pip install '.[examples]'") from None

import headway
from headway.integrations.numba import add
from watching import cost, watched

BLOCK = 1000  # iterations of some 100 ns: what is not counted yet fits into 0.1 ms


@njit(inline="always")
def iteration(x: float) -> float:
    for _ in range(60):
        x = 3.9 * x * (1 - x)
    return x


@njit(nogil=True, parallel=True)
def counted(out: Any, handle: Any) -> None:
    for block in prange(out.size // BLOCK):
        x = 0.5
        for step in range(BLOCK * block, BLOCK * (block + 1)):
            x = iteration(x)
            out[step] = x
        add(handle, BLOCK)


@njit(nogil=True, parallel=True)
def bare(out: Any) -> None:
    for block in prange(out.size // BLOCK):
        x = 0.5
        for step in range(BLOCK * block, BLOCK * (block + 1)):
            x = iteration(x)
            out[step] = x


def main() -> None:
    out, trial = np.empty(15_000_000), np.empty(200_000)
    board = headway.open("example-numba")
    with board.task("simulation", total=out.size, unit="step") as task, board.task("trial") as other:
        handle = other.native()
        counted(trial, handle), bare(trial)  # numba compiles now
        with watched(board, task):
            counted(out, task.native())
        print(f"in the end {task.count:,}, exactly")
        print(cost(lambda: bare(trial), lambda: counted(trial, handle), trial.size))
    board.remove(files=True)


if __name__ == "__main__":
    main()
