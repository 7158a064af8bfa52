"""A program that is watched: holds a board, does what it is told line by line, writes a snapshot four times a second.

    stage.py BOARD CAPACITY

What it is told are lines of Python, in which `board`, `task(id, …)` and `pool(n)` stand ready; a line answers each.
"""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import os
import select
import signal
import sys
import time
from typing import Any

import headway
from headway.files import history

INTERVAL_S = 0.25


def main(name: str, capacity: int) -> None:
    board = headway.open(name, capacity=capacity, record=False)
    tasks: dict[str, headway.Task] = {}
    workers: list[Any] = []

    def task(id: str, **more: Any) -> headway.Task:
        if id not in tasks:
            tasks[id] = board.task(id, **more)
        return tasks[id]

    def worker(id: str, pause_s: float = 0.01, item: str = "") -> int:
        """Start a process that owns a task and counts on it for ever; its pid, once it does.

        item: it has that in hand instead, for ever.
        """
        handle = task(id)
        process = multiprocessing.get_context("fork").Process(target=_count, args=(handle, pause_s, item), daemon=True)
        process.start()
        workers.append(process)
        until = time.monotonic() + 20
        while (view := board.get(id)) is None or view.owner_pid != process.pid or not view.stage:
            assert time.monotonic() < until
            time.sleep(0.005)
        return process.pid or 0

    def kill(pid: int) -> None:
        """Kill a worker, and see it dead."""
        os.kill(pid, signal.SIGKILL)
        next(process for process in workers if process.pid == pid).join(10)

    def archive() -> None:
        """Put into the history what has ended or was lost, as a recorder does."""
        view = board.snapshot()
        with history.Writer(board.directory) as writer:
            writer.add(view.raw, [number for number, one in enumerate(view.tasks) if one.final])

    names = {
        "archive": archive,
        "board": board,
        "task": task,
        "tasks": tasks,
        "worker": worker,
        "kill": kill,
        "math": math,
        "time": time,
    }
    os.set_blocking(sys.stdin.fileno(), False)
    due = 0.0
    rest = b""
    while True:
        if time.monotonic() >= due:
            due = time.monotonic() + INTERVAL_S
            board.write_snapshot()
        if not select.select([sys.stdin.fileno()], [], [], max(0.0, due - time.monotonic()))[0]:
            continue
        told = os.read(sys.stdin.fileno(), 1 << 16)
        if not told:
            break
        *lines, rest = (rest + told).split(b"\n")
        for line in lines:
            answer = eval(json.loads(line), names)
            board.write_snapshot()
            print(json.dumps(answer if isinstance(answer, int | str | None) else None), flush=True)
    for process in workers:
        process.kill()
        process.join()
    board.remove(files=True)


def _count(handle: headway.Task, pause_s: float, item: str) -> None:
    with handle.adopt() as task:
        with task.item(item) if item else contextlib.nullcontext():
            task.stage = "count"
            while item:
                time.sleep(pause_s)
        while True:
            task.update()
            time.sleep(pause_s)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
