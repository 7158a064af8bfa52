"""A child that was forked while another thread used SQLite: it works without, and loses nothing of the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.engine.board import open_board
from tests.integration.forking import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunPython


@pytest.fixture(autouse=True)
def put_away(board_name: str) -> Iterator[None]:
    """Remove the board if a program left it."""
    yield
    open_board(board_name, record=False).remove()


FORKED_WITHIN = """
import threading
from headway.files import archive, gate, history
gate.FORK_WAIT_S = 0.2
os.environ.pop("HEADWAY_RECORD", None)
board = open_board(sys.argv[1], capacity=4)
for number in range(4):
    board.task(f"t{number}").succeed()
deadline = time.monotonic() + 20
while len(board.history()) < 4 and time.monotonic() < deadline:
    time.sleep(0.05)
within, go_on = threading.Event(), threading.Event()

def stay():
    token = gate.enter()
    within.set()
    go_on.wait()
    gate.leave(token)

thread = threading.Thread(target=stay)
thread.start()
within.wait()
"""


def test_a_child_that_was_forked_while_a_thread_was_in_sqlite_works_without_it(
    run_python: RunPython, board_name: str
) -> None:
    """It makes room by the recorder, says why it reads no history, and so do its own children; the parent goes on."""
    body = """
def work():
    for number in range(8):
        board.task(f"c{number}").succeed()
    try:
        board.history()
    except errors.Unsupported as error:
        assert "forked while another thread" in str(error)
    else:
        raise AssertionError
    assert os.waitpid(child(lambda: board.task("g").succeed()), 0)[1] == 0

assert os.waitpid(child(work), 0)[1] == 0
go_on.set()
thread.join()
assert board._segment.dropped == 0
assert os.waitpid(child(lambda: len(board.history())), 0)[1] == 0  # nobody is within any more
deadline = time.monotonic() + 20
while len(board.history()) < 13 and time.monotonic() < deadline:
    time.sleep(0.05)
print(len(board.history()))
board.remove()
"""
    assert run_python(TOOLS + FORKED_WITHIN + body, board_name).stdout.split() == ["13"]


def test_a_run_is_in_the_history_before_such_a_child_resumes_its_task(run_python: RunPython, board_name: str) -> None:
    """However late the recorder comes; here it is stopped meanwhile."""
    body = """
recorder = board._segment.recorder_pid
os.kill(recorder, signal.SIGSTOP)

def work():
    task = board.task("r")
    task.update(3)
    task.fail("the first run")
    board.task("r", resume=True).succeed()

pid = child(work)
threading.Timer(0.9, os.kill, (recorder, signal.SIGCONT)).start()
assert os.waitpid(pid, 0)[1] == 0
go_on.set()
thread.join()
deadline = time.monotonic() + 20
while board.get("r").state != "success" or len(board.history()) < 6 and time.monotonic() < deadline:
    time.sleep(0.05)
print(sorted(past.state for past in board.history() if past.id == "r"), board._segment.dropped)
board.remove()
"""
    assert run_python(TOOLS + FORKED_WITHIN + body, board_name).stdout.strip() == "['failed', 'success'] 0"
