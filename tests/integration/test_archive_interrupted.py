"""Whoever is interrupted or stopped while it archives, another claim on the full board finds room and drops no task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunPython

FULL = """
import json, os, signal, sys
from headway.engine.board import open_board
from headway.files import history
from headway.native import scans

board = open_board(sys.argv[1], capacity=4, record=False)
segment = board._segment
segment.want_recorder()
made = 0

def fill():
    "Every slot has a task that has ended and that is not archived."
    global made
    while len(segment.finished(8)) < 4:
        board.task(f"filler-{made}").succeed()
        made += 1

def kept():
    "How many tasks there are, on the board or in the history."
    rows = {(row.slot, row.generation) for row in board.history(None)}
    return len(rows.union(scans.places(segment.copy()[1])))
"""

# A trace function is called where signal handlers are: between two bytecodes.
HANDLER = (
    FULL
    + """
FILES = ("archive.py", "history.py", "database.py", "schema.py", "locks.py", "gate.py")
first, step = int(sys.argv[2]), int(sys.argv[3])
handled = []

def on_call(frame, event, argument):
    path = frame.f_code.co_filename
    return on_line if os.sep + "headway" + os.sep in path and path.endswith(FILES) else None

def on_line(frame, event, argument):
    global left, made
    left -= event == "line"
    if left == 0:
        sys.settrace(None)
        board.task(f"of a handler-{made}").succeed()
        made += 1
        if segment.dropped > len(handled):
            handled.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
    return on_line

fill()
board.task("the first loads and makes what there has to be").succeed()
made += 1
at = first
while True:
    fill()
    left = at
    sys.settrace(on_call)
    board.task(f"interrupted-{made}").succeed()
    sys.settrace(None)
    made += 1
    if left > 0:
        break
    at += step
print(json.dumps({"lines": at, "dropped": segment.dropped, "at": handled, "missing": made - kept()}))
board.remove(files=True)
"""
)


@pytest.mark.parametrize("step", [13, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(400)])])
def test_a_claim_of_a_signal_handler_that_interrupts_archiving_drops_nothing(
    step: int, run_python: RunPython, board_name: str
) -> None:
    told = json.loads(run_python(HANDLER, board_name, "1", str(step), timeout_s=380).stdout)
    assert told["lines"] > 100
    assert (told["dropped"], told["at"], told["missing"]) == (0, [], 0)


STOPPED = (
    FULL
    + """
fill()
pid = os.fork()
if pid == 0:
    encode = history.encode

    def stop(*arguments):
        history.encode = encode
        os.kill(os.getpid(), signal.SIGSTOP)
        return encode(*arguments)

    history.encode = stop
    board.task("of the one that is stopped").succeed()
    os._exit(0)
assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
board.task("of another one").succeed()
dropped = segment.dropped
os.kill(pid, signal.SIGCONT)
assert os.waitpid(pid, 0)[1] == 0
fill()
print(json.dumps([dropped, segment.dropped]))
board.remove(files=True)
"""
)


def test_a_process_that_is_stopped_while_it_makes_rows_of_its_copy_has_no_other_drop_tasks(
    run_python: RunPython, board_name: str
) -> None:
    assert json.loads(run_python(STOPPED, board_name).stdout) == [0, 0]
