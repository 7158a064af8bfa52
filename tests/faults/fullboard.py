"""A storm on a full board: processes claim, count and end tasks without a pause, some are killed, and so are recorders.

    python fullboard.py [--seconds N] [--seed N]

with PYTHONPATH leading to this tree.

Each claim needs the slot of a task that has ended, which has to be in the history by then, with its last count: who
ended a task goes on counting on it for a while, by a native handle, which says whether it counted. What must hold: no
task is dropped; each that was claimed is in the history once, whoever archived it; its count is what was acknowledged,
and so is its state; the totals of the run know all of them. A storm in which too little happened has failed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import functools
import mmap
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter, deque
from pathlib import Path
from tempfile import TemporaryDirectory

from headway.engine.board import Board, open_board
from headway.native.core import NativeTask
from headway.process import launch
from headway.tasks.states import STATES
from tests.faults.children import eventually, fork, wait
from tests.faults.killstorm import Victim
from tests.faults.tally import nothing_left, report

CAPACITY, WORKERS = 16, 6
LIVES, TASKS = 4096, 256  # processes of a storm, tasks of a process: more of either have no place in the ledger
PAUSE_S = 0.05  # between two kills, on average
RECORDER_ONE_IN = 25  # kills that go to the recorder
SETTLES_S = 60.0
# Words of a task in the ledger, written by its process alone.
CLAIMING, CLAIMED, COUNTING, COUNTED, ENDING, ENDED, COUNTING_LATE, COUNTED_LATE, _WORDS = range(9)


class Ledger:
    """What each process was about to do and what it has done: words of a file that is mapped, so they survive it."""

    def __init__(self, path: Path) -> None:
        with path.open("w+b") as file:
            file.truncate(8 * LIVES * TASKS * _WORDS)  # most of it is never touched, and takes no room
            self.words = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
        self.wrong = path.with_suffix(".wrong")

    @staticmethod
    def place(life: int, number: int) -> int:
        return (life * TASKS + number) * _WORDS

    def of(self, life: int, number: int) -> list[int]:
        at = self.place(life, number)
        return self.words[at : at + _WORDS].tolist()


def live(board: Board, ledger: Ledger, life: int, stop: mmap.mmap) -> None:
    """The life of a process. What goes wrong in it stands beside the ledger."""
    try:
        chance, words = random.Random(life), ledger.words
        late: deque[tuple[int, NativeTask]] = deque(maxlen=6)
        for number in range(TASKS):
            if stop[0]:
                return
            at = ledger.place(life, number)
            words[at + CLAIMING] = 1
            task = board.task(f"{life}-{number}")
            words[at + CLAIMED] = 1
            native = task.native()
            for _ in range(chance.randrange(1, 20)):
                words[at + COUNTING] += 1
                task.update()
                words[at + COUNTED] += 1
                time.sleep(chance.choice((0, 0, 0.004)))  # some are to be killed with an open task
            words[at + ENDING] = 1
            task.succeed()
            words[at + ENDED] = 1
            late.append((at, native))
            for old, handle in late:
                words[old + COUNTING_LATE] += 1
                add = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)(handle.function)
                if add(handle.address, 1) == 0:
                    words[old + COUNTED_LATE] += 1
    except BaseException:
        with ledger.wrong.open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        raise


class Storm:
    """One board, its processes, and what was found wrong."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed, self.chance = seed, random.Random(seed)
        self.ledger = Ledger(folder / "ledger")
        self.stop = mmap.mmap(-1, 1)
        self.board = open_board(f"t-{os.getpid()}-full", capacity=CAPACITY, workers=64, result_bytes=64)
        self.processes: dict[int, int] = {}  # life: pid
        self.lives = 0
        self.kills: Counter[str] = Counter()
        self.failures: list[str] = []

    def fail(self, why: str) -> None:
        self.failures.append(why)
        print(f"failed: {why}", file=sys.stderr, flush=True)

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.failures:
            self.fill()
            time.sleep(self.chance.uniform(0, 2 * PAUSE_S))
            if self.chance.randrange(RECORDER_ONE_IN):
                self.kill()
            else:
                self.kill_recorder()
        self.stop[0] = 1
        for life, pid in self.processes.items():
            if status := wait(pid):
                self.fail(f"the process of life {life} ended with wait status {status}")
        with contextlib.suppress(FileNotFoundError):
            self.fail(self.ledger.wrong.read_text()[:4000])

    def fill(self) -> None:
        """Begin as many processes as have ended."""
        for life, pid in list(self.processes.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self.processes[life]
                if status:
                    self.fail(f"the process of life {life} ended with wait status {status}")
        while len(self.processes) < WORKERS and self.lives < LIVES:
            self.processes[self.lives] = fork(functools.partial(live, self.board, self.ledger, self.lives, self.stop))
            self.lives += 1

    def kill(self) -> None:
        life = self.chance.choice(list(self.processes))
        pid = self.processes.pop(life)
        os.kill(pid, signal.SIGKILL)
        if wait(pid) == signal.SIGKILL:  # else it had just ended
            self.kills["worker"] += 1

    def kill_recorder(self) -> None:
        pid = self.board._segment.recorder_pid
        with contextlib.suppress(ProcessLookupError):
            recorder = Victim(pid, self.board.name) if pid else None
            if recorder is not None:
                recorder.send(signal.SIGKILL)
                recorder.close()
                self.kills["recorder"] += 1

    # --------------------------------------------------------------------------------------------- what must hold

    def check(self) -> Counter[str]:
        """Compare board and history with the ledger. Returns what happened."""
        segment = self.board._segment
        eventually(
            lambda: not self.board.reap() and self.all_is_archived(), "not all was archived at the end", SETTLES_S
        )
        done: Counter[str] = Counter(dropped=segment.dropped)
        if segment.dropped:
            self.fail(f"{segment.dropped} tasks were dropped")
        on_board = {task.id: task for task in self.board.snapshot().tasks}
        past = self.board.history(None)
        rows = Counter(task.id for task in past)
        found = {task.id: task for task in past}
        claimed = claiming = 0
        for life in range(self.lives):
            for number in range(TASKS):
                words = self.ledger.of(life, number)
                if not words[CLAIMING]:
                    break
                claiming += 1
                claimed += words[CLAIMED]
                id = f"{life}-{number}"
                if not words[CLAIMED] <= rows[id] <= 1:
                    self.fail(f"task {id} has {rows[id]} rows in the history, and was claimed: {words[CLAIMED]}")
                    continue
                done["rows"] += rows.pop(id, 0)
                task = found.get(id)
                if task is None:
                    continue
                least, most = words[COUNTED] + words[COUNTED_LATE], words[COUNTING] + words[COUNTING_LATE]
                late_refused = words[COUNTING_LATE] - words[COUNTED_LATE]
                if words[ENDED] and life in self.processes:  # it was not killed, so it was told all that counted
                    most = least
                states = ("success",) if words[ENDED] else ("success", "lost") if words[ENDING] else ("lost",)
                if not least <= task.count <= most or task.state not in states:
                    self.fail(
                        f"task {id} is to be {' or '.join(states)} with {least} to {most}, and the history has {task}"
                    )
                if id in on_board and (on_board[id].count, on_board[id].state) != (task.count, task.state):
                    self.fail(f"task {id} is {on_board[id]} on the board, and {task} in the history")
                done["counts"] += task.count
                done["late counts"] += words[COUNTED_LATE]
                done["late counts refused"] += late_refused
                done["lost"] += task.state == "lost"
        if strangers := [id for id in [*rows, *on_board] if rows[id] or id not in found]:
            self.fail(f"nobody has claimed {strangers[:8]}")
        gone = dict(zip(STATES, segment.gone, strict=True))
        done["evicted"] = sum(gone.values())
        if not claimed <= done["evicted"] + len(on_board) <= claiming:
            self.fail(f"{claimed} to {claiming} tasks were claimed, and {gone} are gone beside {len(on_board)}")
        done["claimed"] = claimed
        return done

    def all_is_archived(self) -> bool:
        launch.ensure(self.board._segment)  # as everybody does who counts: the last recorder may have been killed
        open_tasks = [task for task in self.board.tasks() if task.state in ("pending", "running")]
        return not open_tasks and not self.board._segment.finished(1)

    def enough(self, done: Counter[str], seconds: float) -> None:
        """Did enough happen to have found something?"""
        least = {"evicted": 2 * CAPACITY, "late counts": CAPACITY, "late counts refused": CAPACITY, "lost": 2}
        done["workers killed"], done["recorders killed"] = self.kills["worker"], self.kills["recorder"]
        least |= {"workers killed": max(2, int(seconds))}
        for what, number in least.items():
            if done[what] < number:
                self.fail(f"too little happened: {done[what]} {what}, and {number} are enough")

    def end(self) -> None:
        self.stop[0] = 1
        for pid in self.processes.values():
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        self.board.remove()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    given = parser.parse_args()
    print(f"seed {given.seed}", file=sys.stderr, flush=True)
    os.environ["HEADWAY_RECORD"] = "1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # and takes everybody along
    with TemporaryDirectory(prefix="headway-full-") as folder:
        storm = Storm(Path(folder), given.seed)
        done: Counter[str] = Counter()
        try:
            storm.run(given.seconds)
            done = storm.check()
            storm.enough(done, given.seconds)
        except (AssertionError, TimeoutError) as error:
            storm.fail(str(error))
        finally:
            storm.end()
        nothing_left(storm.board.name)
    note = ", ".join(f"{number:,} {what}" for what, number in done.items() if what != "claimed")
    return report(done["claimed"], "tasks", len(storm.failures), f"{note}; seed {given.seed}")


if __name__ == "__main__":
    sys.exit(main())
