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
from headway.engine.task import Task
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
