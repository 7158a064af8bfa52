"""The program that a kill storm kills: a board, a pool of workers that are replaced when they die, and a probe.

    python pool.py program METHOD BOARD LEDGER        the creator of the board and the parent of the workers
    python pool.py probe BOARD LEDGER FILE            claims again and again; writes how long take-overs took

See killstorm.py. A worker counts on a task that all have and on one of its place, which it takes over from the dead
one, writes status and result, and starts another task over and over. It imports little: it is spawned a thousand times.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from multiprocessing.connection import wait
from pathlib import Path

from tests.faults.ledger import PLACES, Ledger

CAPACITY, ROWS = 1024, 24  # slots enough that those that rest are in nobody's way
BOUND_S = 30.0


def work(board_name: str, ledger_path: str, place: int, life: int, era: int) -> None:
    """The life of a worker: until it is killed, or has to end. What goes wrong in it stands beside the ledger."""
    try:
        live(board_name, Ledger(Path(ledger_path)), place, life, era)
    except BaseException:
        with open(f"{ledger_path}.wrong", "a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        raise


def live(board_name: str, ledger: Ledger, place: int, life: int, era: int) -> None:
    ledger.arrive(place, life)
    from headway import errors
    from headway.engine.board import open_board

    board = open_board(board_name, capacity=CAPACITY, workers=ROWS, result_bytes=64)
    give_up = time.monotonic() + BOUND_S
    task = None
    while task is None:
        try:
            task = board.task(f"job-{place}", resume=True)
        except errors.TaskExists:  # a worker of the program before goes on for a moment
            if ledger.era != era or ledger.stop:
                return
            if time.monotonic() > give_up:
                raise
            time.sleep(0.002)
    everybody = board.attach("all")
    ledger.take(place, time.monotonic_ns())
    turn = 0
    while not ledger.stop and ledger.era == era:
        for _ in range(10):
            ledger.about_to_count(life)
            everybody.update()
            task.update()
            ledger.counted(life)
        turn += 1
        task.set(stage=f"turn {turn}", message=f"{turn} " * 20, metrics={"turn": turn})
        task.result = {"turn": turn}
        for _ in range(3):
            board._restart(f"again-{place}", str(turn))
        if turn % 50 == 0:
            board.task(f"done-{place}-{turn % 200}").succeed()
    if ledger.era != era and life % 2:
        os._exit(0)  # without a farewell


def program(method: str, board_name: str, ledger_path: str) -> None:
    """Keep a worker at every place."""
    ledger = Ledger(Path(ledger_path))
    era = ledger.era
    from headway.engine.board import open_board

    board = open_board(board_name, capacity=CAPACITY, workers=ROWS, result_bytes=64)
    if board.get("all") is None:
        board.task("all")
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        multiprocessing.set_forkserver_preload(["headway.engine.board", "headway.engine.task", "tests.faults.pool"])
    workers: dict[int, multiprocessing.process.BaseProcess] = {}
    while not ledger.stop:
        for place in range(PLACES):
            worker = workers.get(place)
            if worker is not None and worker.exitcode is None:
                continue
            if worker is not None:
                if worker.exitcode not in (0, -signal.SIGKILL) and not ledger.stop:
                    print(f"a worker ended with {worker.exitcode}", file=sys.stderr, flush=True)
                worker.close()
            arguments = (board_name, ledger_path, place, ledger.begin_life(place), era)
            workers[place] = context.Process(target=work, args=arguments)  # type: ignore[attr-defined]
            workers[place].start()
        wait([worker.sentinel for worker in workers.values()], timeout=0.1)
    for worker in workers.values():
        worker.join(BOUND_S)
    board.close()


def probe(board_name: str, ledger_path: str, result: str) -> None:
    """Claim all the time. Where that took the lock from a dead one, note how long after the last kill it was had."""
    ledger = Ledger(Path(ledger_path))
    from headway.engine.board import open_board

    board = open_board(board_name, capacity=CAPACITY, workers=ROWS, result_bytes=64)
    segment = board._segment
    with open(result, "a", buffering=1, encoding="ascii") as file:
        while not ledger.stop:
            before = segment.repairs
            began = time.monotonic_ns()
            board._restart("probe", "probe")
            now = time.monotonic_ns()
            if segment.repairs != before and (killed := ledger.killed_ns) > began - 1_000_000_000:
                file.write(f"{now - killed}\n")
            time.sleep(0.0002)
    board.close()


if __name__ == "__main__":
    {"program": program, "probe": probe}[sys.argv[1]](*sys.argv[2:])
