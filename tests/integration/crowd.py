"""Processes that count on one task together. Run as a script, so that spawned ones can import it. Prints JSON.

python crowd.py count METHOD PROCESSES UPDATES BOARD    each process counts so often, every other one by four threads
python crowd.py shares METHOD PROCESSES BOARD           each counts its number; then three are killed
python crowd.py kill METHOD KILLS BOARD                 workers are killed at random and replaced
"""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import random
import sys
import threading
import time
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier

from headway.engine.board import Board, board_of, open_board
from headway.engine.task import Task

THREADS = 4
AT_ONCE = 8
KILLED = 3
CAPACITY = 32


# --- an exact count


def count_alone(task: Task, updates: int) -> None:
    for _ in range(updates):
        task.update()


def count_together(task: Task, updates: int, by_threads: bool, gate: Barrier) -> None:
    task.update(0)
    gate.wait(60)  # a process takes longer to start than to count
    (count_by_threads if by_threads else count_alone)(task, updates)


def count_by_threads(task: Task, updates: int) -> None:
    threads = [threading.Thread(target=count_alone, args=(task, updates // THREADS)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def count(context: BaseContext, processes: int, updates: int, board: Board) -> dict[str, object]:
    task = board.task("all", total=processes * updates)
    gate = context.Barrier(processes)
    workers = [
        context.Process(target=count_together, args=(task, updates, number % 2 == 1, gate))  # type: ignore[attr-defined]
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    view = board.get("all")
    assert view is not None
    return {
        "exits": [worker.exitcode for worker in workers],
        "count": task.count,
        "viewed": view.count,
        "state": view.state,
        "lost": len(view.workers_lost),
        "alive": sum(worker.alive for worker in board.snapshot().workers),
    }


# --- shares


def count_and_wait(task: Task, number: int, gate: Barrier) -> None:
    gate.wait(100)
    task.update(number)
    while task.message != "leave":  # no barrier: who is killed at one leaves the others there
        time.sleep(0.05)


def shares(context: BaseContext, processes: int, board: Board) -> dict[str, object]:
    task = board.task("all")
    gate = context.Barrier(processes)
    workers = [
        context.Process(target=count_and_wait, args=(task, number, gate))  # type: ignore[attr-defined]
        for number in range(1, processes + 1)
    ]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 90
    while task.count < sum(range(1, processes + 1)) and time.monotonic() < deadline:
        time.sleep(0.01)
    numbers = {worker.pid: number for number, worker in enumerate(workers, 1)}
    view = board.get("all")
    assert view is not None
    told = {numbers[share.pid]: share.count for share in view.workers}
    killed = workers[:: processes // KILLED][:KILLED]
    for worker in killed:
        worker.kill()
        worker.join()
    while len(view.workers_lost) < KILLED and time.monotonic() < deadline:  # a death is seen within a second
        time.sleep(0.05)
        view = board.get("all")
        assert view is not None
    task.message = "leave"
    for worker in workers:
        worker.join()
    return {
        "count": task.count,
        "viewed": view.count,
        "told": sorted(told.items()),
        "killed": sorted(numbers[worker.pid] for worker in killed),
        "lost": sorted((numbers[share.pid], share.count) for share in view.workers_lost),
        "sharing": board.snapshot().meta["shared_counters"],
    }


# --- kills


def note(path: str, size: int) -> memoryview:
    """A file of 64-bit words that several processes write to, each to its own."""
    with open(path, "r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 8 * size)).cast("Q")


def count_and_tell(task: Task, path: str, size: int, number: int) -> None:
    """Say before each update how many were issued, and after it how many are done. Claim, write and end tasks, too."""
    words = note(path, size)
    board = board_of(task)
    done = 0
    while not words[0]:
        done += 1
        words[2 * number + 1] = done
        task.update()
        words[2 * number + 2] = done
        if done % 16 == 0:
            task.set(message=f"{number}: {done}", metrics={"done": done})
        if done % 64 == 0:
            with board.task(f"of {number % CAPACITY}") as mine:
                mine.update()
                mine.merge_result({"number": number})


def kill(context: BaseContext, kills: int, board: Board) -> dict[str, object]:
    """A random one of the workers is killed again and again; the file tells what was counted."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    size = 1 + 2 * (kills + AT_ONCE)
    path = f"{board.directory}.words"
    with open(path, "wb") as file:
        file.truncate(8 * size)
    words = note(path, size)
    task = board.task("all")
    workers: list[BaseProcess] = []

    def start(number: int) -> BaseProcess:
        worker: BaseProcess = context.Process(target=count_and_tell, args=(task, path, size, number))  # type: ignore[attr-defined]
        worker.start()
        return worker

    workers = [start(number) for number in range(AT_ONCE)]
    deadline = time.monotonic() + 60
    for number in range(AT_ONCE, AT_ONCE + kills):
        while sum(words[2::2]) < 20 * number and time.monotonic() < deadline:  # they do get on
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.01))
        place = chance.randrange(AT_ONCE)
        workers[place].kill()
        workers[place].join()
        workers[place] = start(number)
    words[0] = 1
    for worker in workers:
        worker.join(30)
    os.unlink(path)
    view = board.get("all")
    assert view is not None
    alive = [worker for worker in board.snapshot().workers if worker.alive]
    for id in [view.id for view in board.tasks("lost")]:
        board.task(id).cancel("its worker was killed")
    rest = CAPACITY - len(board.tasks("running")) - len(board.tasks("pending"))
    for number in range(rest):  # no slot was lost
        board.task(f"one of the rest {number}")
    return {
        "seed": seed,
        "exits": [worker.exitcode for worker in workers],
        "issued": sum(words[1::2]),
        "count": task.count,
        "acknowledged": sum(words[2::2]),
        "viewed": view.count,
        "alive": len(alive),
        "shares": sum(share.count or 0 for share in (*view.workers, *view.workers_lost)),
        "claimed": rest,
        "full": len(board.snapshot().tasks),
    }


def main() -> None:
    what, method, *numbers, name = sys.argv[1:]
    context = multiprocessing.get_context(method)
    board = open_board(name, capacity=CAPACITY, workers=16, result_bytes=64)
    try:
        if what == "count":
            found = count(context, int(numbers[0]), int(numbers[1]), board)
        elif what == "shares":
            found = shares(context, int(numbers[0]), board)
        else:
            found = kill(context, int(numbers[0]), board)
    finally:
        board.remove(files=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
