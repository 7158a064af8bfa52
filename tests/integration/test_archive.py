"""Many short tasks through a small board: every one of them is in the history, and no worker is turned away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunPython

CROWD = """
import json, multiprocessing, os, sys, time
from pathlib import Path

from headway.engine.board import open_board

NAME, TASKS, WORKERS = sys.argv[1], int(sys.argv[2]), 4


def work(number):
    board = open_board(NAME, capacity=256)
    for at in range(TASKS // WORKERS):
        with board.task(f"{number}-{at}", total=2) as task:
            task.update(2)
            task.result = at


def ticks(pid):
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def settled(look):
    until = time.monotonic() + 30
    while not look() and time.monotonic() < until:
        time.sleep(0.05)
    return look()


if __name__ == "__main__":
    board = open_board(NAME, capacity=256)
    settled(lambda: board._segment.recorder_alive)
    spawn = multiprocessing.get_context(sys.argv[3])
    workers = [spawn.Process(target=work, args=(number,)) for number in range(WORKERS)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.monotonic() - began
    share = ticks(board._segment.recorder_pid) / os.sysconf("SC_CLK_TCK") / seconds
    settled(lambda: not board._segment.finished(1))
    rows = board.history(None)
    print(json.dumps({
        "exits": [worker.exitcode for worker in workers],
        "rows": len(rows),
        "ids": len({row.id for row in rows}),
        "states": sorted({row.state for row in rows}),
        "right": all(row.count == 2 and str(row.result) == row.id.partition("-")[2] for row in rows),
        "dropped": board._segment.dropped,
        "throughput": round(TASKS / seconds),
        "recorder's share of a core": round(share, 3),
    }))
    board.remove(files=True)
"""


LATE = """
import sys, time
from headway.files import history
from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=4)
late = board.task("late")
late.update(5)
late.succeed()
until = time.monotonic() + 20
while not (found := board.history(None)) or board._segment.finished(1):  # the recorder's work
    assert time.monotonic() < until
    time.sleep(0.02)
assert [task.count for task in found] == [5], found
late.update(2)  # a straggler
time.sleep(0.2)
for number in range(4):
    board.task(f"next {number}").update()
print(board.get("late"), [task.count for task in board.history(None) if task.id == "late"], board._segment.dropped)
board.remove(files=True)
"""


def test_what_is_counted_after_the_end_is_in_the_history(run_python: RunPython, board_name: str) -> None:
    done = run_python(LATE, board_name, env={"HEADWAY_RECORD": "1"})
    assert done.stdout.strip() == "None [7] 0"


@pytest.mark.parametrize(
    ("tasks", "method"),
    [(2000, "fork"), pytest.param(20_000, "spawn", marks=[pytest.mark.slow, pytest.mark.timeout(400)])],
)
def test_short_tasks_of_four_processes_are_all_in_the_history_once(
    run_python: RunPython, board_name: str, tasks: int, method: str
) -> None:
    done = run_python(CROWD, board_name, str(tasks), method, env={"HEADWAY_RECORD": None}, timeout_s=380)
    told = json.loads(done.stdout)
    print(done.stdout)
    assert told["exits"] == [0] * 4
    assert (told["rows"], told["ids"], told["states"]) == (tasks, tasks, ["success"])
    assert told["right"]
    assert told["dropped"] == 0


CHURN = """
import json, multiprocessing, os, sys, time
from pathlib import Path

from headway.engine.board import open_board


def work(name, number):
    board = open_board(name, capacity=64)
    with board.task(f"task {number}") as task:
        for at in range(20):
            task.update()
            task.set(stage=str(at), message="m" * 100, metrics={"at": at})
        task.result = {"number": number}
    if number % 5 == 0:
        board.task(f"lost {number}").update()
        os.kill(os.getpid(), 9)


def state(board):
    pid = board._segment.recorder_pid
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "pid": pid,
        "memory": int(status["VmRSS"].split()[0]),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "own descriptors": len(os.listdir("/proc/self/fd")),
        "segments": sum(board.name in name for name in os.listdir("/dev/shm")),
        "files": sorted(path.name for path in board.directory.iterdir() if not path.name.startswith(".")),
    }


if __name__ == "__main__":
    name, rounds = sys.argv[1], int(sys.argv[2])
    board = open_board(name, capacity=64)
    fork = multiprocessing.get_context("fork")
    told = []
    for number in range(rounds):
        workers = [fork.Process(target=work, args=(name, 4 * number + at)) for at in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            worker.close()
        if number % (rounds // 10) == rounds // 10 - 1:
            time.sleep(0.6)
            told.append(state(board))
    print(json.dumps(told))
    board.remove(files=True)
"""


@pytest.mark.parametrize("rounds", [40, pytest.param(600, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_under_churn_memory_descriptors_shared_memory_and_files_stay_flat(
    run_python: RunPython, board_name: str, rounds: int
) -> None:
    done = run_python(CHURN, board_name, str(rounds), env={"HEADWAY_RECORD": None}, timeout_s=280)
    told = json.loads(done.stdout)
    first, last = told[len(told) // 2 - 1], told[-1]
    assert last["pid"] == first["pid"], "the recorder was started again"
    assert last["memory"] < first["memory"] * 1.15 + 1024, (first, last)  # KiB
    for what in ("descriptors", "own descriptors", "segments"):
        assert last[what] <= first[what] + 1, (what, first, last)  # one may be open at that moment
    assert set(last["files"]) <= {*first["files"], "history.sqlite3-wal", "history.sqlite3-shm"}


STRAGGLERS = """
import ctypes, json, os, sys, time

from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=1)
told = []
for number in range(4):
    task = board.task(f"ended-{number}").adopt()
    task.update()
    begun, begin = os.pipe()
    answer, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        native = task.native()
        add = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)(native.function)
        acknowledged = 0
        os.write(begin, b".")
        while add(native.address, 1) == 0:
            acknowledged += 1
            time.sleep(0.0002)
        os.write(say, str(acknowledged).encode())
        os._exit(0)
    os.read(begun, 1)
    task.succeed()
    with board.task(f"next-{number}"):  # there is no slot but that of the one that is counted on
        os.waitpid(pid, 0)
    told.append(1 + int(os.read(answer, 20)))
print(json.dumps({"told": told, "kept": [board.history(id=f"ended-{number}")[0].count for number in range(4)]}))
board.remove(files=True)
"""


def test_what_stragglers_were_told_is_counted_is_in_the_history(run_python: RunPython, board_name: str) -> None:
    """A process counts on after the end of its task, until it is refused because the slot is needed."""
    found = json.loads(run_python(STRAGGLERS, board_name, env={"HEADWAY_RECORD": "1"}).stdout)
    assert found["kept"] == found["told"]
