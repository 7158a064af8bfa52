"""The wall clock steps by an hour, forward and back, under a program, its workers and its recorder.

    python -m tests.faults.clocks

Not the machine's clock: a library that the program preloads, and hands down, shifts what it is told. What is promised:
rates and the time left go on as before, stalled and lost tasks are seen, freed slots are claimed again, waits end when
they should, nothing ended is dropped, and the recorder writes on.
"""

from __future__ import annotations

import math
import mmap
import os
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from headway import errors
from headway.engine.board import Board, open_board
from headway.files import history, snapshot
from headway.system import locks
from tests.faults.children import eventually
from tests.faults.tally import report

HERE = Path(__file__).parent
HOUR_S = 3600
ITEMS_A_SECOND = 200.0
BOUND_S = 20.0


class Counting:
    """A task that gets on steadily."""

    def __init__(self, board: Board) -> None:
        self._task = board.task("steady", total=1_000_000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        began, done = time.monotonic(), 0
        while not self._stop.wait(0.01):
            due = int((time.monotonic() - began) * ITEMS_A_SECOND)
            self._task.update(due - done)
            done = due

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self._task.succeed()


def about(rate: float | None) -> bool:
    """Is it the rate of the steady task, as far as a busy machine lets it be?"""
    return rate is not None and ITEMS_A_SECOND / 3 < rate < ITEMS_A_SECOND * 3


def stepped(name: str, step: Callable[[], None], sign: int) -> int:
    """One step of the clock. Returns how many looks held."""
    board = open_board(name, capacity=8, workers=16)
    counting = Counting(board)
    looks = 0
    try:
        quiet = board.task("quiet", total=5)
        quiet.update()
        board.task("ended").succeed()
        eventually(lambda: history.read(board.directory), "nothing was archived")
        eventually(lambda: about(board.tasks()[0].rate), "no rate")
        time.sleep(1.5)
        sequence, before = snapshot.read(board.directory).sequence, time.time()
        step()
        assert sign * (time.time() - before) > HOUR_S / 2, "the clock did not step"

        for _ in range(8):
            view = board.get("steady")
            assert view is not None
            assert about(view.rate), f"rate {view.rate} after the step"
            assert view.eta is not None
            assert math.isclose(view.eta, (1_000_000 - view.count) / view.rate, rel_tol=0.01), view.eta  # type: ignore[operator]
            assert not view.stalled
            idle = board.get("quiet")
            assert idle is not None
            assert 0 < (idle.idle or 0) < 60, f"idle for {idle.idle} s"
            looks += 3
            time.sleep(0.25)
        first = board.get("quiet")
        time.sleep(0.3)
        second = board.get("quiet")
        assert first is not None and second is not None and second.idle - first.idle > 0.2, "it does not stall"  # type: ignore[operator]  # noqa: PT018

        def written() -> bool:
            found = snapshot.read(board.directory)
            steady = found.get("steady")
            return (
                found.sequence > sequence + 2
                and steady is not None
                and abs(found.taken_at - time.time()) < 60
                and steady.state == "running"
                and about(steady.rate)
            )

        eventually(written, "the recorder's files do not follow")
        pid = os.fork()
        if pid == 0:
            board.task("killed").update(3)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        killed = board.get("killed")
        assert killed is not None and killed.state == "lost", killed  # noqa: PT018
        eventually(lambda: (snapshot.read(board.directory).get("killed") or quiet).state == "lost", "not lost in files")

        began = time.monotonic()  # freed slots rest a tenth of a second, by whichever clock
        for number in range(30):
            board.task(f"short-{number}").succeed()
        assert time.monotonic() - began < BOUND_S / 2, "slots rest for too long"
        kept = {task.id for task in board.history(hours=24)}
        assert "ended" in kept, kept
        eventually(lambda: len([t for t in board.history(hours=24) if t.id.startswith("short")]) >= 20, "not archived")

        began = time.monotonic()
        with locks.locked(board.directory):
            child = os.fork()
            if child == 0:
                try:
                    with locks.locked(board.directory, wait_s=0.5):
                        os._exit(1)
                except errors.LockTimeout:
                    os._exit(0)
            assert os.waitpid(child, 0)[1] == 0, "a lock was given to two"
        assert time.monotonic() - began < 10, "the wait for a lock went by the wall clock"
        assert board._segment.recorder_errors[0] == 0, board._segment.recorder_errors
        return looks + 8
    finally:
        counting.end()
        board.remove(files=True)


def inside() -> int:
    """The program whose clock steps."""
    place = os.environ["CLOCK_SHIFT"]
    tried = failed = 0
    with open(place, "r+b") as file:
        shift = mmap.mmap(file.fileno(), 4096)
        for sign in (1, -1):
            struct.pack_into("l", shift, 0, 0)
            name = f"c-{os.getpid()}-{sign + 1}"
            try:
                tried += stepped(name, lambda: struct.pack_into("l", shift, 0, sign * HOUR_S), sign)  # noqa: B023
            except AssertionError as error:
                tried += 1
                failed += 1
                print(f"a step of {sign:+} h: {error}", file=sys.stderr)
        shift.close()
    return report(tried, "looks", failed, "steps of +1 h and -1 h")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="headway-clocks-") as folder:
        library, shift = Path(folder, "clock.so"), Path(folder, "shift")
        compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
        source = str(HERE / "clock.c")
        subprocess.run(
            [compiler, "-O1", "-shared", "-fPIC", source, "-o", str(library), "-ldl"], check=True, timeout=500
        )
        shift.write_bytes(bytes(4096))
        environment = {**os.environ, "LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift), "HEADWAY_DIR": folder}
        environment.pop("HEADWAY_RECORD", None)
        command = [sys.executable, "-m", "tests.faults.clocks", "inside"]
        return subprocess.run(command, env=environment, check=False, timeout=500).returncode


if __name__ == "__main__":
    sys.exit(inside() if sys.argv[1:] == ["inside"] else main())
