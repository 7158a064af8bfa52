"""The end of a program, and what comes in between: exit handlers, want of descriptors and memory, signal handlers."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from headway.engine.board import open_board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunPython


@pytest.fixture(autouse=True)
def put_away(board_name: str) -> Iterator[None]:
    """Remove the board, which these programs leave."""
    yield
    open_board(board_name, record=False).remove()


@pytest.mark.parametrize("imported", ["first", "after"])
def test_exit_handlers_of_the_program_count_whenever_they_were_registered(
    imported: str, run_python: RunPython, board_name: str
) -> None:
    body = f"""
import atexit, sys
def finish():
    task.update()
    task.succeed()
    print(task.state, task.count, repr(board.get("job").error), board._segment.dead(board._segment.incarnation))
{"import headway.engine.board" if imported == "first" else ""}
atexit.register(finish)
from headway.engine.board import open_board
board = open_board(sys.argv[1], record=False)
task = board.task("job").adopt()
task.update()
other = board.task("left").adopt()
"""
    done = run_python(body, board_name)
    assert done.stdout.split() == ["success", "2", "''", "False"]
    assert [(view.id, view.state, view.error) for view in open_board(board_name, record=False).tasks()] == [
        ("job", "success", ""),
        ("left", "cancelled", "left open at exit"),
    ]


def test_a_board_that_is_first_opened_in_an_exit_handler_is_left_in_good_order(
    run_python: RunPython, board_name: str
) -> None:
    body = """
import atexit, sys
def begin():
    from headway.engine.board import open_board
    open_board(sys.argv[1], record=False).task("late").adopt().update()
atexit.register(begin)
"""
    run_python(body, board_name)
    assert [view.state for view in open_board(board_name, record=False).tasks()] == ["cancelled"]


@pytest.mark.parametrize("want", ["descriptors", "memory"])
def test_a_program_that_ends_for_want_of_something_shows_its_own_error_and_no_other(
    want: str, run_python: RunPython, board_name: str
) -> None:
    body = f"""
import resource, sys
import headway
kept = []
for number in headway.track(range(100_000), board=sys.argv[1]):
    if number == 1 and {want!r} == "descriptors":
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    if number == 1 and {want!r} == "memory":
        used = int(open("/proc/self/statm").read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), used + (4 << 20)))
    kept.append(open("/dev/null") if {want!r} == "descriptors" else bytearray(1 << 20))
"""
    done = run_python(body, board_name, check=False)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    assert ("Too many open files" if want == "descriptors" else "MemoryError") in done.stderr


def test_a_signal_handler_that_opens_the_board_being_made_is_told_so_at_once(
    run_python: RunPython, board_name: str
) -> None:
    body = """
import os, signal, sys, time
from headway import errors
from headway.engine import segments
from headway.engine.board import open_board

def handler(number, frame):
    try:
        open_board(sys.argv[1], record=False)
    except errors.LockTimeout as error:
        said.append((time.monotonic() - began < 5, "this very thread" in str(error)))

def interrupted(*arguments):
    os.kill(os.getpid(), signal.SIGUSR1)
    return original(*arguments)

said, original, began = [], segments.end_unfinished, time.monotonic()
segments.end_unfinished = interrupted  # called under the lock
signal.signal(signal.SIGUSR1, handler)
board = open_board(sys.argv[1], record=False)
assert open_board(sys.argv[1], record=False) is board
print(said)
"""
    assert run_python(body, board_name).stdout.strip() == "[(True, True)]"


def test_a_program_ended_by_ctrl_c_ends_by_that_signal(run_python: RunPython, board_name: str) -> None:
    body = """
import os, signal, sys, headway
for item in headway.track([1, 2], board=sys.argv[1]):
    os.kill(os.getpid(), signal.SIGINT)
"""
    done = run_python(body, board_name, check=False)
    assert done.returncode == -signal.SIGINT, done.stderr
