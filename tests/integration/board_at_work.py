"""A pool at work on a board, and its snapshots written at a steady pace: python board_at_work.py BOARD [options]

Each worker counts on tasks of its own and on one that all share, writes their status, ends them, and begins new ones.
Commands come by standard input, a line each, and are answered by a line: `freeze` (all workers pause, a snapshot is
written, its sequence is told), `go`, `kill` (one worker is killed, its pid is told). It ends with its input.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import select
import signal
import sys
import time
from typing import TYPE_CHECKING

from headway.engine.board import Board, open_board
from headway.files import snapshot

if TYPE_CHECKING:
    from multiprocessing.synchronize import Lock

    from headway.engine.task import Task

STAGES = ("load", "fit", "save", "prüfen")


def work(board: Board, shared: Task, gate: Lock, tasks: int, pause_s: float, seed: int) -> None:
    chance = random.Random(seed)
    number = 0

    def begin(place: int) -> Task:
        nonlocal number
        number += 1
        task = board.task(
            f"w{seed}/{place}-{number}", total=chance.choice((None, 1000)), unit="row", label=f"Lauf {number}"
        )
        if chance.random() < 0.9:
            task.update()
        return task

    mine = [begin(place) for place in range(tasks)]
    while True:
        time.sleep(pause_s)
        with gate:
            for _ in range(1 + tasks // 10):
                at = chance.randrange(tasks)
                step(mine[at], chance)
                if chance.random() < 0.05:
                    if chance.random() < 0.3:
                        mine[at].fail("it had to be")
                    else:
                        mine[at].result = {"mean": chance.random()}
                        mine[at].succeed()
                    mine[at] = begin(at)
            shared.update(3)


def step(task: Task, chance: random.Random) -> None:
    what = chance.random()
    if what < 0.8:
        task.update(chance.randrange(1, 50))
    elif what < 0.9:
        task.set(stage=chance.choice(STAGES), message=f"Teil {chance.randrange(9)}")
    else:
        task.set(metrics={"loss": chance.random(), "höhe": float("nan") if what > 0.99 else 1.5})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("board")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--capacity", type=int, default=24)
    parser.add_argument("--hz", type=float, default=4.0)
    parser.add_argument("--pause-s", type=float, default=0.005)
    options = parser.parse_args()
    context = multiprocessing.get_context("fork")
    board = open_board(options.board, capacity=options.capacity)
    shared = board.task("all <b>", unit="file")
    gate = context.Lock()
    arguments = (board, shared, gate, options.tasks, options.pause_s)
    pool = [context.Process(target=work, args=(*arguments, seed), daemon=True) for seed in range(options.workers)]
    for process in pool:
        process.start()
    board.write_snapshot()
    print("working", flush=True)
    due = time.monotonic()
    frozen = False
    while True:
        due = max(due + 1 / options.hz, time.monotonic())
        if select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
            command = sys.stdin.readline().strip()
            if command == "freeze":
                gate.acquire()
                frozen = True
                print(snapshot.read(board.write_snapshot().parent).sequence, flush=True)
            elif command == "go":
                gate.release()
                frozen = False
                print("working", flush=True)
            elif command == "kill":
                with gate if not frozen else memoryview(b""):  # not while it holds the gate
                    os.kill(pool[0].pid or 0, signal.SIGKILL)
                    pool[0].join()
                print(pool.pop(0).pid, flush=True)
            else:
                break
            due = time.monotonic()
        elif not frozen:
            board.write_snapshot()
    for process in pool:
        process.kill()
        process.join()
    board.remove(files=True)


if __name__ == "__main__":
    main()
