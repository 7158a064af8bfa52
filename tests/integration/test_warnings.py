"""The user's program stays as it was: no thread, no warning, no descriptor that a child inherits, no output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunPython

SCRIPT = """
import multiprocessing, os, sys

from headway.engine.board import open_board

def threads():
    return len(os.listdir("/proc/self/task"))

def work(task):
    task.update()
    task.set(stage="one", metrics={"two": 2})
    task.result = {"three": 3}
    assert threads() == 1, "a thread in a worker"

def count(number):
    return threads()

if __name__ == "__main__":
    name, method = sys.argv[1:]
    context = multiprocessing.get_context(method)
    assert threads() == 1
    with open_board(name, capacity=8, workers=8) as board:
        try:
            with board.task("all", total=6) as task:
                for _ in task.track(range(3)):
                    pass
                workers = [context.Process(target=work, args=(task,)) for _ in range(3)]
                for worker in workers:
                    worker.start()
                assert threads() == 1, "a thread while workers run"
                for worker in workers:
                    worker.join()
                assert [worker.exitcode for worker in workers] == [0, 0, 0]
                pid = os.fork()  # from Python 3.12 on it warns where there are threads
                if pid == 0:
                    task.update()
                    os._exit(threads() - 1)
                assert os.waitpid(pid, 0)[1] == 0
                board.snapshot()
                board.write_snapshot()
            assert threads() == 1, "a thread at the end"
            print(board.get("all").count)
            with context.Pool(2) as pool:
                # The pool's own threads are the parent's, and are started after its workers were.
                assert set(pool.map(task.counts(count), range(20))) == {1}, "a thread in a pool's worker"
        finally:
            board.remove(files=True)
"""


@pytest.mark.parametrize("record", ["0", "1"], ids=["alone", "recorded"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_no_thread_and_no_warning_in_the_users_program(
    method: str, record: str, run_python: RunPython, board_name: str
) -> None:
    env = {"HEADWAY_RECORD": record}
    done = run_python(SCRIPT, board_name, method, options=("-W", "always", "-X", "dev"), env=env)
    assert done.stdout.split() == ["7"]
    assert "multi-threaded" not in done.stderr
    assert done.stderr == ""


def test_a_program_that_does_everything_ends_without_a_word(run_python: RunPython, board_name: str) -> None:
    script = """
import sys
from headway.engine.board import open_board
board = open_board(sys.argv[1], capacity=8, workers=8)
task = board.task("left open")
task.update(3)
child = task.task("below")
child.update()
import atexit
atexit.register(board.remove, True)  # runs before the board's own handler, which then finds it closed
"""
    done = run_python(script, board_name, options=("-W", "always", "-X", "dev"))
    assert (done.stdout, done.stderr) == ("", "")


def test_no_descriptor_of_a_board_reaches_a_program_that_is_executed(
    run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    look = tmp_path / "look.py"
    look.write_text("""
import os

for name in os.listdir("/proc/self/fd"):
    try:
        print(os.readlink("/proc/self/fd/" + name))
    except OSError:
        print("-")  # the listing's own
""")
    script = """
import os, sys
from headway.engine.board import open_board
board = open_board(sys.argv[1], capacity=8, workers=8)
try:
    board.task("one").update()
    pid = os.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, sys.argv[2]])
    assert os.waitpid(pid, 0)[1] == 0
    paths = ["/proc/self/fd/" + name for name in os.listdir("/proc/self/fd")]
    here = [os.readlink(path) for path in paths if os.path.lexists(path)]
    assert any("headway" in link for link in here), here  # so that the child's answer means something
finally:
    board.remove(files=True)
"""
    done = run_python(script, board_name, str(look))
    assert done.stdout, "the program that was executed said nothing"
    assert "headway" not in done.stdout


AS_ERRORS = """
import os, sys, time, warnings
import headway
from headway.engine.board import open_board

def count(task, seconds=1.3):  # a handle looks around once a second
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        task.update()
        time.sleep(0.02)

name = sys.argv[1]
board = open_board(name, capacity=8, workers=8, record=False)
try:
    if sys.argv[2] == "no recorder":
        sys.executable = "/nowhere/app"
        board._segment.want_recorder()
        count(board.task("one"))
    elif sys.argv[2] == "removed":
        task = board.task("one")
        task.update()
        pid = os.fork()
        if not pid:
            board.remove()
            os._exit(0)
        os.waitpid(pid, 0)
        count(task)
    elif sys.argv[2] == "ended":
        with board.task("one") as task:
            task.succeed()
            task.set(stage="late")
        task.set(stage="later")
    elif sys.argv[2] == "another run":
        task = board.task("one")
        task.update()
        task.succeed()
        for number in range(20):
            board.task(str(number)).succeed()
        count(task)
    elif sys.argv[2] == "large":
        for _ in board.task("one").track(iter(range(3)), total=2**70):
            pass
    elif sys.argv[2] == "no board":
        os.environ["HEADWAY_DIR"] = "/proc/nowhere"
        for _ in headway.track(range(3), board="another"):
            pass
    print("went on")
finally:
    board.remove(files=True)
"""


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("no recorder", "RuntimeWarning: the boards of this program have no recorder: /nowhere/app is not a Python"),
        ("removed", "StaleTaskWarning: board '{name}' was removed: updates are no longer seen by anyone"),
        ("ended", "StaleTaskWarning: task 'one' has ended (success): what is written to it now is dropped"),
        ("another run", "StaleTaskWarning: updates of task 'one' are not counted"),
        ("large", f"RuntimeWarning: total {2**70} is shown as unknown"),
        ("no board", "RuntimeWarning: Headway counts in this process only, nobody else sees it"),
    ],
    ids=["no recorder", "removed", "ended", "another run", "large", "no board"],
)
def test_where_warnings_are_errors_the_program_goes_on_and_is_told_once(
    trouble: str, told: str, run_python: RunPython, board_name: str
) -> None:
    env = {"PYTHONWARNINGS": None, "HEADWAY_RECORD": "1"}
    done = run_python(AS_ERRORS, board_name, trouble, options=("-W", "error"), env=env)
    assert done.stdout == "went on\n"
    assert done.stderr.count(told.format(name=board_name)) == 1, done.stderr
    assert "Traceback" not in done.stderr
