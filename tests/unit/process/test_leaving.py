"""What is to be done at the end of a process is done once, in each kind of process, and knows how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.engine.board import open_board

if TYPE_CHECKING:
    from tests.conftest import RunPython

CHILDREN = """
import multiprocessing, os, sys
from headway.process.leaving import at_exit

def say(text):
    os.write(1, f"{text}\\n".encode())

def first():
    say("first")

def second():
    say("second")

def ask():
    for _ in range(3):
        at_exit(first)
        at_exit(second)

def child():
    ask()
    say("child ends")

if __name__ == "__main__":
    if sys.argv[1] == "itself":
        ask()
    elif sys.argv[1] == "os.fork":
        pid = os.fork()
        ask()
        if not pid:
            say("child ends")
            sys.exit()
        os.waitpid(pid, 0)
        os._exit(0)
    else:
        process = multiprocessing.get_context(sys.argv[1]).Process(target=child)
        process.start()
        process.join()
"""
UNCAUGHT = """
import multiprocessing, sys
from headway.process.leaving import at_exit, uncaught

def tell():
    error = uncaught()
    print(type(error).__name__, error, flush=True)

def work():
    at_exit(tell)
    {ending}

if __name__ == "__main__":
    if "child" in sys.argv:
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join()
    else:
        work()
"""


def test_each_callback_runs_once_the_last_one_first(run_python: RunPython) -> None:
    assert run_python(CHILDREN, "itself").stdout.split("\n") == ["second", "first", ""]


@pytest.mark.parametrize("method", ["os.fork", "fork", "spawn", "forkserver"])
def test_children_of_every_kind_run_them_too(method: str, run_python: RunPython) -> None:
    assert run_python(CHILDREN, method).stdout.split("\n") == ["child ends", "second", "first", ""]


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("pass", "NoneType None"),
        ("sys.exit(0)", "NoneType None"),
        ("raise KeyboardInterrupt", "NoneType None"),
        ("raise ValueError('no such bar')", "ValueError no such bar"),
    ],
)
def test_the_exception_that_ends_the_process_is_known(ending: str, expected: str, run_python: RunPython) -> None:
    finished = run_python(UNCAUGHT.replace("{ending}", ending), check=False)
    assert finished.stdout.strip() == expected


def test_the_exception_that_ends_a_child_is_known(run_python: RunPython) -> None:
    finished = run_python(UNCAUGHT.replace("{ending}", "raise ValueError('no such bar')"), "child", check=False)
    # From Python 3.13 on multiprocessing forgets it before finalizers run: then its exit code is told.
    assert finished.stdout.strip() in ("ValueError no such bar", "SystemExit 1")


FAILING = """
import multiprocessing, os, sys
from headway.process.leaving import at_exit

def say(text):
    os.write(1, f"{text}\\n".encode())

def first():
    say("first")

def failing():
    raise RuntimeError("unforeseen")

def interrupted():
    raise KeyboardInterrupt("at the end")

def work():
    for callback in (first, failing, interrupted):
        at_exit(callback)

if __name__ == "__main__":
    if sys.argv[1] == "itself":
        work()
    else:
        process = multiprocessing.get_context(sys.argv[1]).Process(target=work)
        process.start()
        process.join()
"""


@pytest.mark.parametrize("method", ["itself", "fork", "spawn"])
def test_what_a_callback_raises_is_told_and_keeps_no_other_from_being_called(
    method: str, run_python: RunPython
) -> None:
    done = run_python(FAILING, method)
    assert done.stdout == "first\n"
    assert "RuntimeError: unforeseen" in done.stderr
    assert "KeyboardInterrupt: at the end" in done.stderr


HOOKED = FAILING.replace(
    "def work():",
    """class Stopped(BaseException):
    pass

def hook(kind, error, trace):
    say(f"hook {kind.__name__}")
    raise {raised}

sys.excepthook = hook

def work():""",
)


@pytest.mark.parametrize("raised", ["SystemExit(3)", "KeyboardInterrupt", "Stopped"])
@pytest.mark.parametrize("method", ["itself", "fork", "spawn"])
def test_a_hook_for_exceptions_that_ends_the_program_keeps_no_callback_from_being_called(
    method: str, raised: str, run_python: RunPython
) -> None:
    """The program has a hook of its own for uncaught exceptions, which is told of what a callback raises."""
    done = run_python(HOOKED.replace("{raised}", raised), method)
    assert done.stdout.split("\n") == ["hook KeyboardInterrupt", "hook RuntimeError", "first", ""]


ENDED_BY_HOOK = """
import sys
import headway

class Stopped(BaseException):
    pass

def hook(kind, error, trace):
    raise {raised}

sys.excepthook = hook
board = headway.open(sys.argv[1], capacity=4, record=False)
task = board.task("left open")
task.update()
raise ValueError("of the program")
"""


@pytest.mark.parametrize("raised", ["SystemExit(3)", "KeyboardInterrupt", "Stopped", "OSError"])
def test_what_the_hook_for_exceptions_raises_is_not_what_ended_the_program(
    raised: str, run_python: RunPython, board_name: str
) -> None:
    run_python(ENDED_BY_HOOK.replace("{raised}", raised), board_name, check=False)
    board = open_board(board_name, record=False)
    try:
        view = board.get("left open")
        assert view is not None
        assert (view.state, view.error, view.count) == ("failed", "ValueError: of the program", 1)
    finally:
        board.remove()
