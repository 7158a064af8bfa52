"""A storm of SIGKILLs over pools of eight workers, their programs, the creators of boards, and recorders.

    python killstorm.py [--long] [--seed N] [--method fork|spawn|forkserver] [--kills N]

with PYTHONPATH leading to this tree.

Who is killed when, and who is only stopped for a while, is drawn by chance from the seed. What must hold: what was
acknowledged as counted is counted, and nothing else; everybody gets on; no slot, row, semaphore or file is left over.
See pool.py for who is killed, ledger.py for how it is known what must have been counted.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import posix_ipc

from headway import errors
from headway.engine import segments
from headway.engine.board import Board, open_board
from headway.engine.task import Task
from headway.files import history, snapshot
from headway.files.directory import directories
from headway.upkeep import removal
from tests.faults.children import fork, fresh, wait
from tests.faults.ledger import PLACES, Ledger
from tests.faults.look import unfinished_semaphores
from tests.faults.pool import CAPACITY, ROWS
from tests.faults.tally import report, shared_memory

POOL = Path(__file__).with_name("pool.py")
HANGS_S = 30.0  # nobody may be stuck for so long
METHODS = {"fork": (110, 5500), "forkserver": (60, 3000), "spawn": (30, 1500)}  # kills: quick, long
PAUSE_S = {"fork": 0.006, "forkserver": 0.012, "spawn": 0.05}  # between two kills, on average
BEGINNINGS = (3, 40)  # programs killed while they create or open the board: quick, long
STOP, PROGRAM, LONE, RECORDER = 0.05, 0.01, 0.01, 0.01  # the chance of each at a turn; else a worker is killed


@dataclass
class Tally:
    """What was done, what was found, and how long take-overs took, in seconds, by kind."""

    kills: Counter[str] = field(default_factory=Counter)
    stops: int = 0
    dropped: int = 0
    lives: int = 0
    counted: int = 0
    repairs: int = 0
    failures: list[str] = field(default_factory=list)
    took_s: dict[str, list[float]] = field(default_factory=dict)

    def took(self, what: str, seconds: float) -> None:
        self.took_s.setdefault(what, []).append(seconds)

    def fail(self, why: str) -> None:
        self.failures.append(why)
        print(f"failed: {why}", file=sys.stderr, flush=True)


class Victim:
    """A process that is ours for certain, held by a descriptor: no other one can have its number by now."""

    def __init__(self, pid: int, mark: str) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)
        try:
            if mark not in Path(f"/proc/{pid}/cmdline").read_text() and mark not in _environment(pid):
                raise ProcessLookupError(pid)
        except OSError:
            os.close(self._fd)
            raise ProcessLookupError(pid) from None

    def send(self, number: int) -> None:
        signal.pidfd_send_signal(self._fd, number)

    def wait(self, seconds: float) -> bool:
        """Whether it is dead within that time."""
        return bool(select.select([self._fd], [], [], seconds)[0])

    def close(self) -> None:
        os.close(self._fd)


def _environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text(errors="replace")


class Storm:
    """One start method, one board."""

    def __init__(self, method: str, kills: int, beginnings: int, chance: random.Random, tally: Tally) -> None:
        self.method, self.kills, self.beginnings, self.chance, self.tally = method, kills, beginnings, chance, tally
        self.folder = Path(tempfile.mkdtemp(prefix="headway-storm-"))
        self.name = f"t-{os.getpid()}-{method}"
        self.mark = f"HEADWAY_STORM={self.name}"
        self.ledger = Ledger(self.folder / "ledger", create=True)
        self.log = (self.folder / "log").open("w+", encoding="utf-8")
        self.program: subprocess.Popen[bytes] | None = None
        self.done = 0
        self.killed_at: dict[int, float] = {}  # place: when its worker was killed
        self.seen: dict[int, tuple[int, float]] = {}  # place: the life there, and since when it is to have its task
        self.asleep: list[tuple[float, Victim]] = []
        self.awaited: dict[str, tuple[float, Callable[[], bool]]] = {}  # what is to come, and since when it is
        self.due = [self.recorder, self.lone, self.end_program]  # by chance, but each once at least

    # -------------------------------------------------------------------------------------------------- processes

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, str(POOL), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def start_program(self) -> None:
        self.ledger.era += 1
        self.program = self.start("program", self.method, self.name, str(self.folder / "ledger"))

    def kill(self, pid: int, what: str) -> bool:
        """SIGKILL, if it is there and ours. Returns whether it was."""
        try:
            victim = Victim(pid, self.mark)
        except ProcessLookupError:
            return False
        try:
            self.ledger.killed_ns = time.monotonic_ns()
            victim.send(signal.SIGKILL)
            if not victim.wait(HANGS_S):
                self.tally.fail(f"{what} {pid} did not die of SIGKILL")
        except ProcessLookupError:
            return False
        finally:
            victim.close()
        self.tally.kills[what] += 1
        self.done += 1
        return True

    # ---------------------------------------------------------------------------------------------------- a round

    def run(self) -> None:
        probe = None
        os.environ["HEADWAY_STORM"] = self.name  # this process may start the recorder, too
        try:
            self.begin()
            probe = self.start("probe", self.name, str(self.folder / "ledger"), str(self.folder / "took"))
            with contextlib.closing(open_board(self.name, capacity=CAPACITY, workers=ROWS, result_bytes=64)) as board:
                while self.done < self.kills and not self.tally.failures:
                    self.turn(board)
                    time.sleep(self.chance.uniform(0, 2 * PAUSE_S[self.method]))
                for late in self.due:
                    late(board)
                self.settle()
                self.ledger.stop = True
                for process, who in ((self.program, "the program"), (probe, "the probe")):
                    assert process is not None
                    try:
                        if process.wait(HANGS_S):
                            said = (self.folder / "log").read_text(errors="replace")[-4000:]
                            self.tally.fail(f"{self.method}: {who} ended with {process.returncode}:\n{said}")
                    except subprocess.TimeoutExpired:
                        self.tally.fail(f"{self.method}: {who} hangs at its end")
                self.counts(board)
                self.places(board)
            self.nothing_is_left()
        finally:
            self.end_all(probe)

    def begin(self) -> None:
        """Kill the program while it starts: before it creates the board, in the middle of it, after it."""
        for _ in range(self.beginnings):
            self.start_program()
            assert self.program is not None
            time.sleep(self.chance.uniform(0, 0.25))
            self.program.kill()
            self.program.wait()
            self.tally.kills["creator"] += 1
            self.done += 1
        self.start_program()

    def turn(self, board: Board) -> None:
        """Do one thing, by chance, and look after all."""
        self.wake()
        draw = self.chance.random()
        for part, act in ((STOP, self.put_to_sleep), (PROGRAM, self.end_program), (LONE, self.lone)):
            if draw < part:
                act(board)
                break
            draw -= part
        else:
            if draw < RECORDER:
                self.recorder(board)
            else:
                self.worker()
        self.watch()

    def worker(self) -> None:
        """Kill a worker: any one, or one that has come so far that it counts."""
        place = self.chance.randrange(PLACES)
        if self.chance.random() < 0.7 and not self.ledger.took_ns(place):
            return
        life, pid = self.ledger.life(place), self.ledger.pid(place)
        if pid and self.kill(pid, "worker") and self.ledger.life(place) == life:
            self.killed_at[place] = time.monotonic()

    def end_program(self, _: Board) -> None:
        """Kill the program: its workers go on for a moment, and another one comes in its place."""
        assert self.program is not None
        self.ledger.killed_ns = time.monotonic_ns()
        self.program.kill()
        self.program.wait()
        self.tally.kills["program"] += 1
        self.done += 1
        self.killed_at.clear()
        time.sleep(self.chance.uniform(0, 0.1))
        self.start_program()

    def put_to_sleep(self, _: Board) -> None:
        """Stop a worker for a while, wherever it is."""
        pid = self.ledger.pid(self.chance.randrange(PLACES))
        with contextlib.suppress(ProcessLookupError):
            victim = Victim(pid, self.mark) if pid else None
            if victim is not None:
                self.asleep.append((time.monotonic() + self.chance.uniform(0.02, 0.3), victim))
                victim.send(signal.SIGSTOP)
                self.tally.stops += 1

    def wake(self, *, all: bool = False) -> None:
        now = time.monotonic()
        for until, victim in [one for one in self.asleep if all or one[0] <= now]:
            with contextlib.suppress(ProcessLookupError):
                victim.send(signal.SIGCONT)
            victim.close()
            self.asleep.remove((until, victim))

    def lone(self, board: Board) -> None:
        """Kill the only one who carries a task: the files will say that it is lost."""
        if "lost in the files" in self.awaited:
            return
        id = f"lone-{self.done % 4}"
        ready, begun = os.pipe()

        def carry() -> None:
            board.task(id).update()
            os.write(begun, b".")
            time.sleep(HANGS_S)

        pid = fork(carry)
        while not select.select([ready], [], [], 0.005)[0]:  # who is asleep may have the lock
            self.wake()
        os.close(begun)
        os.close(ready)
        self.ledger.killed_ns = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.tally.kills["lone owner"] += 1
        self.done += 1

        def is_lost() -> bool:
            with contextlib.suppress(FileNotFoundError, errors.HeadwayError):
                task = snapshot.read(board.directory).get(id)
                return task is not None and (task.state, task.owner_pid) == ("lost", pid)
            return False

        self.awaited["lost in the files"] = time.monotonic(), is_lost

    def recorder(self, board: Board) -> None:
        """Kill the recorder: another one will come."""
        segment = board._segment
        old = segment.recorder
        if "another recorder" in self.awaited or not old or not self.kill(segment.recorder_pid, "recorder"):
            return
        began = time.monotonic()
        self.awaited["another recorder"] = began, lambda: segment.recorder not in (0, old) and segment.recorder_alive

    def watch(self) -> None:
        """Note who has taken over; nobody may take too long."""
        self.ledger.beat()
        now = time.monotonic()
        for place in range(PLACES):
            life, took_ns = self.ledger.life(place), self.ledger.took_ns(place)
            if self.seen.get(place, (-2, 0.0))[0] != life:
                self.seen[place] = life, now
            if took_ns and place in self.killed_at and took_ns / 1e9 > self.killed_at[place]:
                self.tally.took(f"task, {self.method}", took_ns / 1e9 - self.killed_at.pop(place))
            elif not took_ns and now - self.seen[place][1] > HANGS_S:
                self.tally.fail(f"{self.method}: the worker at place {place} does not get its task (life {life})")
        for what, (began, has_come) in list(self.awaited.items()):
            if has_come():
                self.tally.took(what, time.monotonic() - began)
                del self.awaited[what]
            elif now - began > HANGS_S:
                self.tally.fail(f"{self.method}: {what}: not within {HANGS_S:g} s")
        if self.program is not None and self.program.poll() is not None:
            self.tally.fail(f"{self.method}: the program ended with {self.program.returncode}")

    def settle(self) -> None:
        """Left alone, all of them work again, and every count moves."""
        self.wake(all=True)
        until = time.monotonic() + HANGS_S
        before = {place: self.ledger.counts(place)[0] for place in range(PLACES)}
        while stuck := [place for place in before if self.ledger.counts(place)[0] == before[place]]:
            if time.monotonic() > until:
                self.tally.fail(f"{self.method}: nobody counts at the places {stuck}")
                return
            time.sleep(0.05)
        while self.awaited and not self.tally.failures:
            self.watch()
            time.sleep(0.005)

    # --------------------------------------------------------------------------------------------- what must hold

    def counts(self, board: Board) -> None:
        """What was acknowledged is there, and not more than was asked for."""
        tasks = board.snapshot().tasks
        for id, number in Counter(task.id for task in tasks).items():
            if number > 1:
                self.tally.fail(f"{self.method}: {id} stands on the board {number} times")
        for id, place in [("all", None), *((f"job-{place}", place) for place in range(PLACES))]:
            view = board.get(id)
            least, most = self.ledger.counts(place)
            if view is None or not least <= view.count <= most:
                self.tally.fail(f"{self.method}: {least} to {most} counted on {id}, which shows {view}")
        with contextlib.suppress(FileNotFoundError):
            self.tally.fail(f"{self.method}: a worker failed:\n{(self.folder / 'ledger.wrong').read_text()[:4000]}")
        self.tally.repairs += board._segment.repairs
        self.tally.lives += self.ledger.lives
        self.tally.counted += self.ledger.counts()[0]
        with contextlib.suppress(FileNotFoundError):
            for line in (self.folder / "took").read_text().splitlines():
                self.tally.took("lock", int(line) / 1e9)

    def places(self, board: Board) -> None:
        """Every slot and every row is to be had again, and the semaphore has its token, or none, but never two."""
        semaphore = posix_ipc.Semaphore(segments.object_name(board.name, board._segment.uuid))
        value = semaphore.value
        semaphore.close()
        if value not in (0, 1):
            self.tally.fail(f"{self.method}: the semaphore stands at {value}")
        try:
            fresh(lambda: rows_are_there(board))
            fresh(lambda: slots_are_there(board))
        except AssertionError as error:
            self.tally.fail(f"{self.method}: {error}")
        # Nobody is stopped for as long as a claim waits for who archives, or for the recorder.
        self.tally.dropped += board._segment.dropped
        if board._segment.dropped:
            self.tally.fail(f"{self.method}: {board._segment.dropped} tasks gave up their slots without being archived")

    def nothing_is_left(self) -> None:
        """The recorder writes the last state, removes the segment and goes; only files that belong are left."""
        directory = next(path for path in directories() if path.name == self.name)
        until = time.monotonic() + HANGS_S
        while (left := [path.name for path in shared_memory(self.name)]) and time.monotonic() < until:
            time.sleep(0.05)
        least, most = self.ledger.counts()
        told = [task for task in (*snapshot.read(directory).tasks, *history.read(directory)) if task.id == "all"]
        if not told or not all(least <= task.count <= most for task in told):  # it may have had to make room
            self.tally.fail(f"{self.method}: {least} to {most} counted, and the files say {told}")
        past = Counter((task.id, task.created, task.started) for task in history.read(directory))  # a row for each run
        if twice := [key for key, number in past.items() if number > 1]:
            self.tally.fail(f"{self.method}: twice in the history: {twice}")
        with history.Writer(directory) as writer:
            if not writer.check():
                self.tally.fail(f"{self.method}: the history is damaged")
        removed = removal.gc([self.name], dry_run=True)
        strays = [one.name for one in removed if not (one.kind == "segment" and one.name.removeprefix("/") in left)]
        if left or strays:
            self.tally.fail(f"{self.method}: left over: {', '.join([*left, *strays])}")

    def end_all(self, probe: subprocess.Popen[bytes] | None) -> None:
        self.wake(all=True)
        self.ledger.stop = True
        for process in (self.program, probe):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for place in range(PLACES):
            if pid := self.ledger.pid(place):
                with contextlib.suppress(ProcessLookupError):
                    victim = Victim(pid, self.mark)
                    victim.send(signal.SIGKILL)
                    victim.close()
        self.log.close()
        shutil.rmtree(self.folder)
        with contextlib.suppress(errors.HeadwayError, OSError):
            removal.remove(self.name, force=True)


def rows_are_there(board: Board) -> None:
    """As many workers as there are rows can be listed at once."""
    hold, held = os.pipe()
    ready, begun = os.pipe()

    def be_listed() -> None:
        os.close(held)
        board._segment.register()
        os.write(begun, b".")
        os.read(hold, 1)

    before = {worker.pid for worker in board.snapshot().workers if worker.alive}
    children = [fork(be_listed) for _ in range(ROWS)]
    got = 0
    while got < ROWS:
        got += len(os.read(ready, ROWS))
    listed = {worker.pid for worker in board.snapshot().workers if worker.alive} & set(children)
    os.close(held)
    for pid in children:
        wait(pid)
    assert len(listed) == ROWS - len(before), f"{len(listed)} of {ROWS} rows are to be had, {len(before)} are in use"


def slots_are_there(board: Board) -> None:
    """The board can be filled to its last slot."""
    live = [task for task in board.tasks() if task.state in ("pending", "running")]
    tasks: list[Task] = []
    with contextlib.suppress(errors.BoardFull):
        tasks.extend(board.task(f"full-{number}") for number in itertools.count())
    assert len(tasks) == CAPACITY - len(live), f"{len(tasks)} slots of {CAPACITY - len(live)} are to be had"
    for task in tasks:
        task.succeed()


def percentiles(values: list[float]) -> str:
    """The middle, the 99th of a hundred and the longest, in milliseconds."""
    ordered = sorted(values)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99))
    return f"{p50 * 1e3:.1f}/{p99 * 1e3:.1f}/{ordered[-1] * 1e3:.1f} ms of {len(ordered)}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    parser.add_argument("--method", choices=METHODS, action="append")
    parser.add_argument("--kills", type=int, help="for each method")
    given = parser.parse_args()
    print(f"seed {given.seed}", file=sys.stderr, flush=True)
    os.environ["HEADWAY_RECORD"] = "1"
    known = unfinished_semaphores(set())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # and takes everybody along
    tally = Tally()
    for method in given.method or METHODS:
        chance = random.Random(f"{given.seed} {method}")
        began = time.monotonic()
        kills = given.kills or METHODS[method][given.long]
        storm = Storm(method, kills, BEGINNINGS[given.long], chance, tally)
        storm.run()
        print(f"{method}: {storm.done} kills in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    for path in unfinished_semaphores(known):
        path.unlink()
    took = "; ".join(f"{what} {percentiles(values)}" for what, values in sorted(tally.took_s.items()))
    who = ", ".join(f"{number} {what}s" for what, number in tally.kills.most_common())
    note = (
        f"{who}; {tally.stops} stops; {tally.dropped} tasks dropped; "
        f"{tally.lives} lives, {tally.counted} counts acknowledged; {tally.repairs} times "
        f"the lock of a dead holder; taken over after (p50/p99/most): {took}; seed {given.seed}"
    )
    return report(tally.kills.total(), "kills", len(tally.failures), note)


if __name__ == "__main__":
    sys.exit(main())
