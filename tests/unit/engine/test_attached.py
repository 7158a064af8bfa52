"""What is attached in a process: handles that travel find it or open it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import headway
from headway.engine import segments
from headway.engine.task import Task, unpickled
from headway.standin.records import Record
from headway.standin.task import StandinTask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from headway.engine.board import Board
    from headway.views.task_view import TaskView
    from tests.conftest import RunPython


def test_a_handle_travels(any_board: Board) -> None:
    task = any_board.task("one", total=5)
    for other in (pickle.loads(pickle.dumps(task)), copy.copy(task), copy.deepcopy(task)):
        other.update()
        assert (other.id, other.total, other.state) == ("one", 5, "running")
    assert task.count == 3


def test_unpickling_touches_nothing(run_python: RunPython, board_name: str) -> None:
    """In a process of its own: the warning comes once in each."""
    script = """
import pickle
import sys
import warnings

from headway import errors
from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=4)
dumped = pickle.dumps(board.task("one"))
board.remove(files=True)
handle = pickle.loads(dumped)  # an error here would break the pool
assert handle.id == "one"
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    handle.update()
    for copy in (handle, pickle.loads(dumped), handle.task("part"), handle.task("part").task("below")):
        copy.stage = "fit"
        assert copy.set(message="on"), "the worker's job goes on"
        assert (copy.count, copy.message) == (copy is handle, "on")
assert [one.category for one in caught] == [errors.StaleTaskWarning], caught
assert "nobody sees what this process counts and writes on task 'one'" in str(caught[0].message)
assert "was removed" in str(caught[0].message)
"""
    run_python(script, board_name)


def _numbers(view: TaskView) -> tuple[Any, ...]:
    return view.id, view.parent, view.state, view.label, view.unit, view.count, view.total, view.stage, view.error


async def _of_three() -> AsyncIterator[int]:
    for number in range(3):
        yield number


async def _tracked(task: Task) -> list[int]:
    return [number async for number in task.track(_of_three(), total=7)]


def _assigned(task: Task, name: str, value: Any) -> Any:
    setattr(task, name, value)
    return getattr(task, name)


def _counted(task: Task, n: int) -> int:
    task.update(n)
    return task.count


def _counted_by_hand(task: Task) -> int:
    with task.item("BTC-1h"):
        pass
    return task.count


def _in_block(task: Task) -> tuple[Any, ...]:
    with contextlib.suppress(ValueError), task:
        task.update(2)
        assert headway.current() is task
        raise ValueError("of the block")
    return _numbers(task.view())


# What can be done with a task, by its public name, as something that can be compared.
USES: dict[str, Callable[[Task], Any]] = {
    "id": lambda task: task.id,
    "count": lambda task: task.count,
    "state": lambda task: task.state,
    "parent": lambda task: task.parent,
    "resumed_from": lambda task: task.resumed_from,
    "metrics": lambda task: (task.metrics, task.set(metrics={"loss": 1}), task.metrics),
    "total": lambda task: (task.total, _assigned(task, "total", 5), task.state),
    "stage": lambda task: (task.stage, _assigned(task, "stage", "fit"), task.state),
    "message": lambda task: (task.message, _assigned(task, "message", "hello"), task.state),
    "result": lambda task: (task.result, _assigned(task, "result", {"a": 1})),
    "merge_result": lambda task: (task.merge_result({"a": 1}), task.merge_result({"b": 2}), task.result),
    "update": lambda task: (_counted(task, 3), _counted(task, -1), task.state),
    "set": lambda task: (task.set(stage="s", message="m", total=9, metrics={"x": 1}, count=4), _numbers(task.view())),
    "adopt": lambda task: (task.adopt() is task, task.state),
    "succeed": lambda task: (task.succeed("all of it"), task.succeed(), _counted(task, 1), _numbers(task.view())),
    "fail": lambda task: (task.fail(OSError("away")), task.fail("later"), _numbers(task.view())),
    "cancel": lambda task: (task.cancel("why"), task.set(message="late"), _numbers(task.view())),
    "track": lambda task: (list(task.track("abc")), asyncio.run(_tracked(task)), task.count, task.total),
    "item": lambda task: (_counted_by_hand(task), task.state),
    "counts": lambda task: (task.counts(abs)(-3), task.count),
    "task": lambda task: _numbers(task.task("part", total=4, unit="B", label="first", join=True, resume=True).view()),
    "view": lambda task: (_numbers(task.view()), task.view().result, task.view().metrics),
    "native": lambda task: (type(task.native()), task.native().generation),
    "with": _in_block,
}


def removed(board: Board) -> Task:
    dumped = pickle.dumps(board.task("one"))
    board.remove()
    handle: Task = pickle.loads(dumped)
    return handle


def of_another_host(board: Board) -> Task:
    handle = removed(board)
    handle._host = "elsewhere"
    return handle


def damaged(board: Board) -> Task:
    dumped = pickle.dumps(board.task("one"))
    name = segments.object_name(board.name, board._segment.uuid)
    board.close()
    Path("/dev/shm", name[1:]).write_bytes(b"nothing of a board" * 1000)
    handle: Task = pickle.loads(dumped)
    return handle


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("gone", "said"),
    [(removed, "was removed"), (of_another_host, "lives on host 'elsewhere'"), (damaged, "headway rm --force")],
)
def test_a_handle_whose_board_cannot_be_had_gives_what_a_stand_in_gives(
    use: str, gone: Callable[[Board], Task], said: str, board: Board
) -> None:
    """Progress never stops a job: a worker that was handed a task goes on, whatever became of its board."""
    handle = gone(board)
    like: Any = StandinTask._of(Record(board.name, "one", None, "it", "", None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        promised = USES[use](like)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert USES[use](handle) == promised
    unseen = [one for one in told if "nobody sees" in str(one.message)]
    assert len(unseen) == (use != "id"), told
    for one in unseen:
        assert said in str(one.message)


def test_whatever_a_task_can_do_is_tried_without_its_board() -> None:
    assert {name for name in dir(Task) if not name.startswith("_")} | {"with"} == USES.keys()


AWAY = """
import subprocess, sys, warnings
from headway import errors
from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=4)
task = board.task("one", total=9)
task.update()
code = f"from headway.engine.board import open_board; open_board({sys.argv[1]!r}).remove(True)"
subprocess.run([sys.executable, "-c", code], check=True)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    task.update(2)
    assert task.set(stage="fit", message="on", metrics={"x": 1.0}) and task.merge_result({"a": 1}) == {"a": 1}
    assert (task.count, task.total, task.stage, task.metrics, task.result) == (3, 9, "fit", {"x": 1.0}, {"a": 1})
    parts = [task.task(name, total=5) for name in ("first", "second")]
    for part in parts:
        with part:
            part.update(3)
        assert (part.parent, part.count, part.total, part.state) == ("one", 3, 5, "success")
    assert parts[0] != parts[1] and task.view().count == 3 and task.succeed() and task.state == "success"
assert {one.category for one in told} == {errors.StaleTaskWarning}, [str(one.message) for one in told]
assert len([one for one in told if "nobody sees" in str(one.message)]) == 1, [str(one.message) for one in told]
board.close()
try:
    task.task("third")
except errors.BoardClosed:
    print("closed here")
"""


def test_a_task_goes_on_and_has_parts_whose_board_was_removed_by_somebody_else(
    run_python: RunPython, board_name: str
) -> None:
    """Only the program that closes its board itself is told by an error."""
    assert run_python(AWAY, board_name).stdout == "closed here\n"


UNREADABLE = """
class Unreadable:
    asked = []

    def find_spec(self, name, path=None, target=None):
        self.asked.append(name)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
"""

WITHOUT_MODULES = (
    UNREADABLE
    + """
import asyncio, pickle, sys, warnings
from headway import errors

handle = pickle.loads(bytes.fromhex(sys.argv[1]))
sys.meta_path.insert(0, Unreadable())  # as after a chroot, or with the rights of another user
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    handle.update()
    assert handle.set(stage="a", message="b", total=9, metrics={"x": 1.0})
    handle.stage, handle.message, handle.total = "c", "d", 8
    assert list(handle.track(range(2))) == [0, 1] == list(handle.track(iter(range(2))))
    assert handle.counts(abs)(-1) == 1
    handle.result = {"a": 1}
    assert handle.merge_result({"b": 2}) == {"a": 1, "b": 2} == handle.result
    with handle.task("part", total=3) as part:
        part.update(3)
    with handle:
        handle.update()
    assert (handle.count, handle.total, handle.state, part.count, part.total) == (7, 8, "success", 3, 3)
    again = pickle.loads(pickle.dumps(handle))
    assert not again.succeed() or again.state == "success"
# (What children are to be handed down stands in multiprocessing. That may fail: then they are handed nothing.)
asked = sorted({*Unreadable.asked} - {"multiprocessing"})
print(len([one for one in told if "nobody sees" in str(one.message)]), asked)
"""
)


@pytest.mark.parametrize("gone", [False, True], ids=["board there", "board gone"])
def test_a_handle_that_was_unpickled_loads_no_module_any_more(gone: bool, board: Board, run_python: RunPython) -> None:
    """Its first use may come after a chroot, where none can be read, or in a signal handler that interrupts a load."""
    dumped = pickle.dumps(board.task("one")).hex()
    if gone:
        board.remove()
    assert run_python(WITHOUT_MODULES, dumped).stdout == f"{int(gone)} []\n"


HANDED_DOWN = (
    UNREADABLE
    + """
import multiprocessing, os, sys, warnings
import headway.api

def work():
    sys.meta_path.insert(0, Unreadable())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            headway.current().update()
    assert [one.category.__name__ for one in told] == ["StaleTaskWarning"], [str(one.message) for one in told]
    assert "nobody sees what this process counts on task 'one'" in str(told[0].message)

multiprocessing.current_process()._config["headway"] = (os.getpid(), ("gone", "0" * 32, 0, 1, "one"))
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
print(child.exitcode)
"""
)


def test_a_worker_that_can_load_nothing_counts_on_the_task_that_it_inherited_nowhere_and_says_so(
    run_python: RunPython,
) -> None:
    assert run_python(HANDED_DOWN).stdout == "0\n"


IN_HANDLER = """
import sys
from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=64, record=False)
assert "multiprocessing.process" not in sys.modules, "this shows nothing"
lines = set()

def handler(frame, event, argument):
    if event == "line" and frame.f_code.co_name == "<module>":
        sys.settrace(None)
        lines.add(frame.f_lineno)
        with board.task("one") as task:
            task.update()
        assert task.count == 1
        sys.settrace(handler)
    return handler if frame.f_globals.get("__name__") == "multiprocessing.process" else None

sys.settrace(handler)
import multiprocessing.process
sys.settrace(None)
board.remove()
print(len(lines) > 20)
"""


def test_a_handler_that_comes_at_any_line_of_loading_multiprocessing_counts(
    run_python: RunPython, board_name: str
) -> None:
    assert run_python(IN_HANDLER, board_name).stdout == "True\n"


LOOP = (
    UNREADABLE
    + """
import sys, warnings
import posix_ipc
import headway.bars.track
import headway.native.core

sys.meta_path.insert(0, Unreadable())
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    print(list(headway.track(range(3))))
assert len(told) == 1 and "counts in this process only" in str(told[0].message), [str(one.message) for one in told]
"""
)


def test_a_loop_goes_on_where_the_engine_cannot_be_loaded(run_python: RunPython) -> None:
    assert run_python(LOOP).stdout == "[0, 1, 2]\n"


PARTS_TRAVEL = """
import pickle, sys, warnings
from headway import errors

handles = [pickle.loads(bytes.fromhex(one)) for one in sys.argv[1:]]
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for handle in handles:
        with handle:
            handle.update()
        assert (handle.count, handle.state) == (1, "success")
        print(handle.id, handle.total, handle.parent, handle.view().unit, handle.view().label)
    assert len({*handles, *map(pickle.loads, map(pickle.dumps, handles))}) == len(handles)
assert [one.category for one in told] == [errors.StaleTaskWarning], [str(one.message) for one in told]
"""


def test_parts_of_a_task_whose_board_is_gone_travel_whole_and_a_process_is_told_once_of_them_all(
    board: Board, run_python: RunPython
) -> None:
    handle = removed(board)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [handle.task(name, total=7, unit="B", label=f"Part {name}") for name in "ab"]
        parts.append(parts[0].task("c"))
        handle.total = 9
    told = run_python(PARTS_TRAVEL, *[pickle.dumps(one).hex() for one in [*parts, handle]]).stdout
    assert told.splitlines() == [
        "one/a 7 one B Part a",
        "one/b 7 one B Part b",
        "one/a/c None one/a it c",
        "one 9 None it ",
    ]


def test_a_part_that_was_made_apart_stands_apart_also_where_the_board_can_be_had(board: Board) -> None:
    board.task("one")
    part = pickle.loads(pickle.dumps(removed_elsewhere(board)))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        part.update(2)
    assert (part.count, part.total, part.parent, board.get("one/part")) == (2, 4, "one", None)
    assert len(told) == 1
    assert f"could not have board {board.name!r}" in str(told[0].message)


def removed_elsewhere(board: Board) -> Task:
    """A part that was made on another machine, and came back."""
    index, generation = board.attach("one")._where
    handle = unpickled(board.name, "0" * 32, index, generation, "one", host="elsewhere")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part = handle.task("part", total=4)
    part._uuid = board._segment.uuid  # (this process would have found the board)
    return part
