"""One bar for a whole pool: every worker counts into the same task, one atomic add a call."""

import math
from concurrent.futures import ProcessPoolExecutor

import headway


def largest_factor(number: int) -> int:
    """The largest prime factor of a number, slowly."""
    factor = 2
    while factor <= math.isqrt(number):
        if number % factor:
            factor += 1
        else:
            number //= factor
    return number


def main() -> None:
    numbers = range(10**10, 10**10 + 400)
    board = headway.open("example-pool")
    with board.task("factors", total=len(numbers), unit="number") as task, ProcessPoolExecutor(2) as pool:
        found = list(pool.map(task.counts(largest_factor), numbers, chunksize=20))
    view = board.get("factors")
    assert view is not None
    print(f"{view.count} numbers, {view.state} after {view.elapsed:.1f} s")
    print(f"the largest prime factor among them: {max(found)}")
    board.remove(files=True)


if __name__ == "__main__":
    main()
