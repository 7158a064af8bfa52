"""The stand-in keeps the engine's names and signatures; programs that are switched off, or run elsewhere, go on."""

from __future__ import annotations

import ctypes
import inspect
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import headway
from headway import api, errors
from headway.engine import board
from headway.engine.board import Board
from headway.standin import board as standin
from headway.standin.nobody import NOBODY, StandinNative
from headway.standin.records import Record
from headway.standin.task import StandinTask

if TYPE_CHECKING:
    from tests.conftest import RunPython

OFF = {"HEADWAY_DISABLE": "1"}


def shape(function: Any) -> list[tuple[str, Any, Any]]:
    """The parameters of a function: name, kind, default. A built-in method takes itself by position only."""
    parameters = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in parameters if one.name != "self"]


def test_all_ways_to_open_a_board_have_one_signature() -> None:
    assert shape(api.open) == shape(board.open_board) == shape(standin.open_board)


# --- switched off


@pytest.mark.parametrize("value", ["1", "yes"])
def test_switched_off_every_name_works_and_nothing_is_left(
    value: str, run_python: RunPython, board_name: str, headway_dir: Path
) -> None:
    script = """
import pickle, sys
import headway

before = set(sys.modules)
board = headway.open(sys.argv[1], capacity=8)
assert headway.open(sys.argv[1]) is board
with board.task("one", total=3) as task:
    for item in task.track([1, 2, 3]):
        assert headway.current() is task
    with task.task("part") as part:
        part.update()
    task.result = {"auc": 1}
    task.merge_result({"more": 2})
assert board.get("one").state == "success"
assert board.get("one").count == 3
assert [view.id for view in board.tasks()] == ["one", "one/part"]
assert board.attach("one") == task
assert pickle.loads(pickle.dumps(task)) == task
assert pickle.loads(pickle.dumps(board)) is board
assert board.snapshot().counts["success"] == 2
assert next(board.watch()).name == sys.argv[1]
assert board.history() == []
assert board.reap() == []
with board.live():
    pass
assert board.write_snapshot().name == "snapshot.npz"
assert list(headway.track([1, 2])) == [1, 2]
assert len(headway.track([1, 2])) == 2
board.remove(files=False)
board.close()
native = {"headway.native.core", "posix_ipc"} & set(sys.modules)
assert not native, native
"""
    done = run_python(script, board_name, env={"HEADWAY_DISABLE": value})
    assert (done.stdout, done.stderr) == ("", "")
    assert not headway_dir.exists()


@pytest.mark.parametrize("value", ["", "0"])
def test_zero_does_not_switch_off(value: str, monkeypatch: pytest.MonkeyPatch, board_name: str) -> None:
    monkeypatch.setenv("HEADWAY_DISABLE", value)
    board = headway.open(board_name, capacity=1)
    assert type(board) is Board
    board.remove(files=True)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_switched_off_a_pool_works_as_ever(method: str, run_python: RunPython, board_name: str) -> None:
    script = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import headway

def square(number):
    headway.current().update()
    return number * number

def join(number):
    task = headway.open(sys.argv[1]).attach("all")  # there is none in this process: it is the parent's
    task.update()
    task.set(message=f"item {number}")
    with task.task(f"part {number}") as part:
        part.update()
    return task.count > 0

def use(task):
    task.update()
    task.result = 5
    return task

if __name__ == "__main__":
    name, method = sys.argv[1:]
    context = multiprocessing.get_context(method)
    board = headway.open(name)
    with board.task("all", total=20) as task, ProcessPoolExecutor(2, context) as pool:
        assert list(pool.map(task.counts(square), range(20))) == [n * n for n in range(20)]
        assert all(pool.map(join, range(4)))
        assert pool.submit(use, task).result() == task
    print(board.get("all").state)
"""
    done = run_python(script, board_name, method, env=OFF)
    assert (done.stdout, done.stderr) == ("success\n", "")


# --- for native code


KERNEL = r"""
#include "headway.h"
int add(hw_task *task) { return hw_add(task, 1); }
"""


ALONE = StandinTask._of(Record("none", "one", None, "it", "", None))


@pytest.mark.parametrize("task", [NOBODY, ALONE], ids=["nobody", "stand-in"])
def test_native_code_counts_nothing_and_is_safe(task: Any, tmp_path: Path) -> None:
    (tmp_path / "kernel.c").write_text(KERNEL)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-I{headway.get_include()}", "kernel.c", "-o", "kernel.so"],
        cwd=tmp_path,
        check=True,
    )
    library = ctypes.CDLL(str(tmp_path / "kernel.so"))
    library.add.argtypes = [ctypes.c_void_p]
    native = task.native()
    assert library.add(native.address) != 0
    assert task.count == 0
    assert isinstance(native, StandinNative)
    assert "headway.hw_task" in repr(native.capsule)


# --- where the native modules are missing

ELSEWHERE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("headway.native.core", "headway.native.records", "headway.native.rates", "posix_ipc"):
            raise ImportError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def test_without_native_modules_loops_are_counted_in_the_process_after_one_warning(
    run_python: RunPython, headway_dir: Path
) -> None:
    script = f"""{ELSEWHERE}
import headway
for row in headway.track(range(10), label="rows"):
    headway.current().message = f"row {{row}}"
    for column in headway.track("abc", label="columns"):
        assert headway.current().parent == "rows"
    assert headway.current().count == row
assert headway.current().count == 0
"""
    done = run_python(script)
    assert done.stderr.count("RuntimeWarning: Headway counts in this process only") == 1
    assert "script_" in done.stderr.splitlines()[0], "the warning is told where the loop stands"
    assert "No module named 'headway.native.core'" in done.stderr or "No module named 'posix_ipc'" in done.stderr
    assert "rows: succeeded 100% 10/10 it" in done.stderr
    assert not headway_dir.exists()


def test_without_native_modules_every_other_name_says_why(run_python: RunPython) -> None:
    script = f"""{ELSEWHERE}
import headway
from headway import *

def annotated(board: headway.Board, task: headway.Task, view: headway.BoardView) -> headway.TaskView: ...

for use in (lambda: headway.open("nightly"), lambda: headway.read("/tmp/nightly/snapshot.npz")):
    try:
        use()
    except headway.HeadwayError as error:
        print(f"{{type(error).__name__}}: {{error}}")
headway.current().update()
print(headway.get_include())
"""
    done = run_python(script)
    opened, read, include = done.stdout.splitlines()
    assert opened.startswith("Unsupported: a native module is missing")
    assert "install Headway anew" in opened
    assert read.startswith(("Unsupported: a native module", "UnknownBoard"))
    assert Path(include, "headway.h").is_file()
    assert done.stderr == ""


def test_where_there_is_no_shared_memory_open_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("headway.system.support.SHM", str(tmp_path / "shm"))
    with pytest.raises(errors.Unsupported, match="mount a tmpfs there"):
        headway.open("nightly")
    monkeypatch.setattr("headway.system.support.SHM", "/dev/shm")
    monkeypatch.setattr("headway.system.support.DESCRIPTORS", str(tmp_path / "fd"))
    with pytest.raises(errors.Unsupported, match="mount /proc"):
        headway.open("nightly")
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(errors.Unsupported, match="this is darwin: set HEADWAY_DISABLE=1"):
        headway.open("nightly")
