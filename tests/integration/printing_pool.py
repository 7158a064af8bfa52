"""A pool whose workers print, log and count inside live bars: python printing_pool.py BOARD [LINES [END]]

It begins when it has read a line. END: what comes after the lines: "" (the end), "raise", "hang" (until it is killed),
or "hold" (the same, with a child that has the socket to the drawing process). Printed first: the number of threads.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import headway
from headway.process import live

NULL = subprocess.DEVNULL


def work(task: headway.Task, number: int, lines: int) -> None:
    logging.basicConfig(level=logging.INFO, format="log %(message)s", stream=sys.stderr, force=True)
    for line in range(lines):
        print(f"worker {number} line {line} {'x' * (line % 40)}|", flush=True)
        if line % 10 == 0:
            logging.getLogger("work").info("worker %d line %d|", number, line)
        task.update()
        time.sleep(0.002)


def main() -> None:
    name = sys.argv[1]
    lines = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    end = sys.argv[3] if len(sys.argv) > 3 else ""
    board = headway.open(name, capacity=16, record=False)
    try:
        with board.live():
            context = multiprocessing.get_context("fork")
            tasks = [board.task(f"part {number}", total=lines, unit="line") for number in range(4)]
            pool = [
                context.Process(target=work, args=(task, number, lines), daemon=True)
                for number, task in enumerate(tasks)
            ]
            sys.stdin.readline()
            for process in pool:
                process.start()
            print(f"threads {len(os.listdir('/proc/self/task'))}|", flush=True)
            for process, task in zip(pool, tasks, strict=True):
                process.join()
                task.succeed()
            if end == "hold":
                assert live._active is not None
                assert live._active._helper is not None
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the child's, too: it outlives the shell
                held = (live._active._helper.control.fileno(),)
                subprocess.Popen(["sleep", "60"], stdin=NULL, stdout=NULL, stderr=NULL, pass_fds=held)
            print("half a line ", end="", flush=True)
            if end == "raise":
                raise RuntimeError("it had to be")
            while end in ("hang", "hold"):
                time.sleep(0.1)
            time.sleep(0.5)
    finally:
        board.remove(files=True)
    print("after|")


if __name__ == "__main__":
    main()
