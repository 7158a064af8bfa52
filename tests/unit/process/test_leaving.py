"""What is to be done at the end of a process is done once, in each kind of process, and knows how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
