"""How long the others wait when the process that holds the structural lock is killed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from benchmarks.building import BUILD, ROOT
from benchmarks.contest import Contest, Side
from headway.engine.board import Board

PATIENCE_S = 30.0

HOLD = """
import ctypes, signal, sys
from headway.native import core
from headway.engine.board import open_board

hooks = ctypes.CDLL(core.__file__)
hooks.hw_hook_arm.argtypes = [ctypes.c_long, ctypes.c_int]
board = open_board(sys.argv[1])
board.task("registered")
hooks.hw_hook_arm(2, signal.SIGSTOP)  # of the next claim: "token" is the first step, "owner" the second
board.task("never")
"""


@pytest.fixture(scope="session")
def hooks() -> str:
    """PYTHONPATH of the package built with steps at which a process can be stopped."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (ROOT / "build" / "hooks.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(
            [sys.executable, "setup.py", "--quiet", "build"],
            cwd=ROOT,
            env={**os.environ, "HOOKS": "1", "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    (folder,) = (ROOT / "build" / "hooks").glob(f"lib*{sys.implementation.cache_tag}")
    return str(folder)


@pytest.mark.parametrize("waiting", [pytest.param(True, id="waiting"), pytest.param(False, id="arriving")])
def bench_lock_after_kill(contest: Contest, make_board: Callable[..., Board], hooks: str, waiting: bool) -> None:
    """The time from the SIGKILL of the process that holds the structural lock until another one has claimed a task.

    waiting: the other one was waiting for the lock already; arriving: it asks for it right after the kill.
    """
    board = make_board(capacity=256)
    holders: list[subprocess.Popen[bytes]] = []
    claimed: list[float] = []

    def claim() -> None:
        board.task(f"after-{len(holders)}").succeed()
        claimed.append(time.monotonic())

    threads: list[threading.Thread] = []

    def stop_a_holder() -> None:
        holder = subprocess.Popen([sys.executable, "-c", HOLD, board.name], env={**os.environ, "PYTHONPATH": hooks})
        holders.append(holder)
        _, status = os.waitpid(holder.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            raise RuntimeError(f"the holder of the lock has ended with status {status} instead of stopping")
        threads.append(threading.Thread(target=claim))
        if waiting:
            threads[-1].start()
            threads[-1].join(0.03)
            if not threads[-1].is_alive():
                raise RuntimeError("the lock was to be had: the holder was stopped too early")

    def kill_it() -> float:
        begin = time.monotonic()
        os.kill(holders[-1].pid, signal.SIGKILL)
        if not waiting:
            threads[-1].start()
        threads[-1].join(PATIENCE_S)
        holders[-1].wait(PATIENCE_S)
        return claimed[-1] - begin

    repairs = board._segment.repairs
    contest(Side(kill_it, timed=True), rounds=20, setup=stop_a_holder)
    assert board._segment.repairs - repairs == len(holders)
