"""A pool that survives the death of its workers: only the job that killed its worker is lost.

When one worker dies, `ProcessPoolExecutor` gives up all of its jobs (BrokenProcessPool) and does not say which one was
the cause. Here at most two jobs per worker are submitted at a time. Those that were in work when the pool broke run
again one by one, each in its own pool: the one that breaks that pool, too, is the cause.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Job = TypeVar("Job")
Found = TypeVar("Found")


def run(
    function: Callable[[Job], Found],
    jobs: Iterable[Job],
    workers: int,
    on_broken: Callable[[list[Job]], None],
) -> Iterator[tuple[Job, Future[Found]]]:
    """Yield each job with its ended future, as they end. The cause of a death has the exception BrokenProcessPool.

    on_broken: called when a pool has broken and its workers are gone, with the jobs that will run again.
    """
    waiting = deque(jobs)
    while waiting:
        in_hand: dict[Future[Found], Job] = {}
        suspects: list[Job] = []
        broken = False
        with ProcessPoolExecutor(workers) as pool:
            while not broken and (waiting or in_hand):
                try:
                    while waiting and len(in_hand) < 2 * workers:
                        in_hand[pool.submit(function, waiting[0])] = waiting[0]
                        waiting.popleft()
                except BrokenProcessPool:
                    broken = True
                for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                    if isinstance(future.exception(), BrokenProcessPool):
                        broken = True
                        suspects.append(in_hand.pop(future))
                    else:
                        yield in_hand.pop(future), future
        for future, job in in_hand.items():  # they have ended with the pool
            if isinstance(future.exception(), BrokenProcessPool):
                suspects.append(job)
            else:
                yield job, future
        if broken:
            on_broken(suspects)
        for job in suspects:
            with ProcessPoolExecutor(1) as quarantine:
                future = quarantine.submit(function, job)
            yield job, future


def square(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def main() -> None:
    squares: list[int] = []

    def tell(suspects: list[int]) -> None:
        print(f"a worker died: one of at most {len(suspects)} jobs killed it")

    for number, future in run(square, range(20), workers=2, on_broken=tell):
        if future.exception() is not None:
            print(f"it was {number}: {type(future.exception()).__name__}")
        else:
            squares.append(future.result())
    print(f"{len(squares)} of 20 squares, {sum(squares)} in all")


if __name__ == "__main__":
    main()
