"""What a program does with Headway in a day, for places where something is missing: smoke.py BOARD METHOD...

A line a step. A board may be refused, by a typed error; a loop, and whatever is printed, may not be lost.
"""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.engine.board import Board
    from headway.engine.task import Task


def work(task: Task) -> None:
    """Count in a worker, write, and end."""
    for _ in range(200):
        task.update()
    task.message = "from a worker"


def use(board: Board, methods: list[str]) -> None:
    """All that is done with a board."""
    with board.live(), board.task("plain", total=1000) as plain:
        for _ in range(1000):
            plain.update()
        plain.message = "hello"
    view = board.get("plain")
    assert view is not None
    print("counted", view.count, view.state)
    for method in methods:
        with board.task(f"pool-{method}", total=400) as task:
            context: Any = multiprocessing.get_context(method)
            workers = [context.Process(target=work, args=(task,)) for _ in range(2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            print("pool", method, task.count, [worker.exitcode for worker in workers])
    tasks = {task.id: task.count for task in board.snapshot().tasks}
    print("copied", tasks["plain"])
    board.write_snapshot()
    import headway

    print("read", [task.count for task in headway.read(board.name).tasks if task.id == "plain"])
    board.history()
    board.reap()
    board.close()


def main(name: str, *methods: str) -> None:
    """The day."""
    import headway

    print("began", flush=True)  # children inherit what is not flushed
    print("loop", sum(headway.track(range(100), "loop", board=f"{name}-loop")), flush=True)
    try:
        board = headway.open(name, capacity=16)
    except headway.errors.HeadwayError as error:
        print("refused", type(error).__name__, error, flush=True)
    else:
        print("opened", flush=True)
        use(board, list(methods))
    print("loop again", sum(headway.track(range(10), "again", board=f"{name}-loop")), flush=True)
    print("ended", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))  # for the children of spawn
    main(*sys.argv[1:])
