"""A board for its program: opened, looked at, closed; and who owns what when processes come, die and leave."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import subprocess
import sys
import time
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import headway
from headway import errors
from headway.engine.board import open_board
from headway.native import records
from headway.views.board_view import BoardView
from headway.views.numbers import Counts
from headway.views.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headway.engine.board import Board
    from tests.conftest import RunPython

METHODS = ("fork", "spawn", "forkserver")


# --- open, look, close


def test_a_board_is_one_object_a_process(board: Board) -> None:
    assert open_board(board.name) is board
    assert board.name in repr(board)


def test_the_default_name_is_the_environments_else_the_scripts(
    monkeypatch: pytest.MonkeyPatch, board_name: str
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/somewhere/{board_name}.py"])
    with closing(open_board(capacity=1)) as board:
        assert board.name == board_name
        board.remove(files=True)
    monkeypatch.setenv("HEADWAY_BOARD", f"{board_name}-2")
    with closing(open_board(capacity=1)) as board:
        assert board.name == f"{board_name}-2"
        board.remove(files=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"name": ".hidden"},
        {"name": "a/b"},
        {"name": "x" * 65},
        {"capacity": 0},
        {"capacity": -1},
        {"capacity": 1.5},
        {"capacity": 1 << 40},
        {"workers": 0},
        {"result_bytes": -1},
        {"result_bytes": "2048"},
    ],
    ids=str,
)
def test_a_board_that_cannot_be_is_refused_before_anything_is_made(
    arguments: dict[str, Any], board_name: str, headway_dir: Any
) -> None:
    (value,) = arguments.values()
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
        open_board(**{"name": board_name, **arguments})
    assert repr(value) in str(caught.value)
    assert not headway_dir.exists()


def test_what_is_there_is_found(any_board: Board) -> None:
    one, two, three = (any_board.task(id, total=5) for id in ("one", "two", "three"))
    one.update()
    two.fail("why")
    assert [view.id for view in any_board.tasks()] == ["one", "two", "three"]
    assert [view.id for view in any_board.tasks("running")] == ["one"]
    assert [view.id for view in any_board.tasks(state="failed")] == ["two"]
    view = any_board.snapshot()
    assert view.counts == Counts(pending=1, running=1, failed=1)
    assert (view.counts.total, view.counts.ended, len(view)) == (3, 1, 3)
    assert [task.id for task in view] == ["one", "two", "three"]
    assert "two" in view
    assert "four" not in view
    assert view.name == any_board.name
    assert any_board.attach("three").id == three.id
    assert any_board.get("four") is None
    with pytest.raises(ValueError, match="'done'"):
        any_board.tasks("done")
    assert any_board.reap() == []


def test_a_board_is_a_collection_of_its_tasks(any_board: Board) -> None:
    assert len(any_board) == 0
    assert any_board, "an empty board is a board"
    any_board.task("one").update(2)
    any_board.task("two").succeed()
    assert "one" in any_board
    assert "three" not in any_board
    assert len(any_board) == 2
    assert [(view.id, view.count, view.state) for view in any_board] == [("one", 2, "running"), ("two", 0, "success")]


# --- pickled


def test_a_board_is_the_same_object_where_it_is_open(any_board: Board) -> None:
    assert pickle.loads(pickle.dumps(any_board)) is any_board
    assert copy.copy(any_board) is any_board


PICKLED = """
import multiprocessing, os, pickle, sys
import headway

def count(board, number):
    was_open = "first use" not in repr(board)
    board.task("all", join=True).update(number)
    assert headway.open(sys.argv[1]) is board
    assert pickle.loads(pickle.dumps(board)) is board
    board.task(f"part {number}").succeed()
    return board.name, str(board.directory), was_open

if __name__ == "__main__":
    name, method = sys.argv[1:]
    board = headway.open(name, capacity=8)
    task = board.task("all")
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        found = pool.starmap(count, [(board, number) for number in (1, 2, 3)], chunksize=1)
        pool.close()
        pool.join()
    assert {one[:2] for one in found} == {(name, str(board.directory))}, found
    assert not all(was_open for *_, was_open in found), "each worker opens it once, when it is first used"
    assert task.count == 6 and task.state == "running", task.view()
    dumped = pickle.dumps(board)
    board.remove(files=True)
    late = pickle.loads(dumped)  # touches nothing
    try:
        late.task("one")
    except headway.errors.BoardClosed as error:
        print(error)
    assert not board.directory.exists()
    late.close()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_board_travels_into_a_pool_and_opens_there_on_first_use(
    method: str, run_python: RunPython, board_name: str
) -> None:
    told = run_python(PICKLED, board_name, method).stdout
    assert told == f"board {board_name!r} of this handle was removed: open it anew with headway.open({board_name!r})\n"


def test_a_board_that_was_unpickled_finds_its_directory_whatever_the_environment_says(
    board: Board, run_python: RunPython, tmp_path: Path
) -> None:
    board.task("one").update(4)
    (tmp_path / "board").write_bytes(pickle.dumps(board))
    script = """
import pickle, sys
board = pickle.load(open(sys.argv[1], "rb"))
print(board.get("one").count, [view.id for view in board])
"""
    elsewhere = {"HEADWAY_DIR": str(tmp_path / "elsewhere")}
    done = run_python(script, str(tmp_path / "board"), env=elsewhere)
    assert done.stdout == "4 ['one']\n"
    assert not (tmp_path / "elsewhere").exists()


def test_an_unknown_task_is_a_key_error_that_reads_as_a_sentence(board: Board) -> None:
    with pytest.raises(KeyError) as caught:
        board.attach("four")
    assert isinstance(caught.value, errors.UnknownTask)
    assert str(caught.value).startswith(f"board {board.name!r} has no task 'four': create it")


def test_a_full_board_names_its_capacity_and_keeps_what_it_has(any_board: Board) -> None:
    tasks = [any_board.task(str(number)) for number in range(16)]
    with pytest.raises(errors.BoardFull, match="16 slots"):
        any_board.task("one more")
    assert [view.id for view in any_board.tasks()] == [str(number) for number in range(16)]
    tasks[3].succeed()
    assert any_board.task("one more").id == "one more"  # the one that ended makes room
    assert any_board.get("3") is None


def test_watching_ends_when_the_board_is_closed(any_board: Board) -> None:
    task = any_board.task("one")
    seen = []
    for view in any_board.watch(interval=0.01):
        seen.append(view.tasks[0].count)
        task.update()
        if len(seen) == 3:
            any_board.close()
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_watching_needs_an_interval(interval: float, any_board: Board) -> None:
    with pytest.raises(ValueError, match="interval"):
        next(any_board.watch(interval))


def test_closing_cancels_what_was_left_open_and_nothing_else(board: Board) -> None:
    board.task("ended").succeed()
    board.task("pending")
    board.task("running").update()
    name = board.name
    board.close()
    board.close()  # as often as one likes
    with pytest.raises(errors.BoardClosed, match=f"headway.open\\('{name}'\\)"):
        board.task("another")
    with open_board(name) as again:
        assert again is not board
        found = {view.id: (view.state, view.error) for view in again.tasks()}
        assert found == {
            "ended": ("success", ""),
            "pending": ("cancelled", "left open at close"),
            "running": ("cancelled", "left open at close"),
        }


def test_leaving_the_block_of_a_board_closes_it(any_board: Board) -> None:
    with any_board as board:
        board.task("one")
    with pytest.raises(errors.BoardClosed):
        board.task("two")


def test_a_removed_board_is_gone_for_everyone_and_says_so_once(run_python: RunPython, board_name: str) -> None:
    script = """
import subprocess, sys, time, warnings
from headway import errors
from headway.engine.board import open_board

name = sys.argv[1]
board = open_board(name, capacity=4)
task = board.task("one")
task.update()
subprocess.run([sys.executable, "-c",
                f"from headway.engine.board import open_board; open_board({name!r}).remove(True)"],
               check=True)
time.sleep(1.2)  # a handle looks once a second
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(3):
        task.update()
assert [warning.category for warning in told] == [errors.StaleTaskWarning], told
assert "was removed" in str(told[0].message)
new = open_board(name, capacity=4)
assert new is not board
try:
    board.task("two")
except errors.BoardClosed as error:
    assert "removed" in str(error)
else:
    raise AssertionError("a task was made on a board that is gone")
assert new.tasks() == []
new.remove(files=True)
board.close()
"""
    run_python(script, board_name)


# --- two programs

OTHER = """
import sys
from headway.engine.board import open_board
board = open_board(sys.argv[1])
task = board.task("one")
task.set(stage="fit", message="fold 3")
task.update(7)
print("ready", flush=True)
sys.stdin.read()
"""


class Other:
    """Another program that owns the task "one", until it is killed or asked to go."""

    def __init__(self, name: str, script: str = OTHER) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def leave(self) -> None:
        self.process.communicate("", timeout=30)
        assert self.process.returncode == 0


@pytest.fixture
def other(board: Board) -> Iterator[Other]:
    other = Other(board.name)
    try:
        yield other
    finally:
        other.kill()


def test_what_runs_in_another_program_is_refused_with_its_pid(board: Board, other: Other) -> None:
    with pytest.raises(errors.TaskExists, match=rf"\(pid {other.pid}\) is alive"):
        board.task("one")
    assert board.attach("one").count == 7


def test_a_task_whose_owner_died_is_lost_and_tells_where_it_stood(board: Board, other: Other) -> None:
    other.kill()
    view = board.get("one")
    assert view is not None
    assert (view.state, view.owner_pid, view.owner_alive) == ("lost", other.pid, False)
    assert (view.count, view.stage, view.message) == (7, "fit", "fold 3")
    assert [(share.pid, share.count) for share in view.workers_lost] == [(other.pid, 7)]
    assert board.attach("one").state == "lost"
    assert board.reap() == ["one"]
    assert board.reap() == []
    assert board.tasks("lost")[0].ended is not None


def test_a_lost_task_is_started_anew_or_resumed(board: Board, other: Other) -> None:
    other.kill()
    resumed = board.task("one", resume=True)
    assert (resumed.resumed_from, resumed.state, resumed.count) == (7, "running", 7)
    assert board.get("one").owner_pid == os.getpid()  # type: ignore[union-attr]
    resumed.fail("again")
    anew = board.task("one")
    assert (anew.count, anew.stage, anew.resumed_from) == (0, "", None)


def test_of_two_that_resume_a_lost_task_at_once_one_gets_it(board: Board, other: Other) -> None:
    other.kill()
    second = Other(board.name, OTHER.replace('task("one")', 'task("one", resume=True)'))
    with pytest.raises(errors.TaskExists, match=str(second.pid)):
        board.task("one", resume=True)
    second.kill()


@pytest.mark.parametrize("adopt", ["adopt", "with"])
def test_a_task_lives_on_with_who_adopted_it(adopt: str, board: Board, other: Other) -> None:
    task = board.attach("one")
    with task if adopt == "with" else nullcontext(task.adopt()):
        other.kill()
        view = board.get("one")
        assert view is not None
        assert (view.state, view.owner_pid) == ("running", os.getpid())
        assert [share.pid for share in view.workers_lost] == [other.pid]
        assert board.reap() == []
    assert task.state == ("success" if adopt == "with" else "running")


def test_a_lost_task_runs_again_when_it_is_adopted(board: Board, other: Other) -> None:
    other.kill()
    board.reap()
    with board.attach("one") as task:
        assert task.state == "running"
    assert task.state == "success"


def test_a_task_is_carried_on_by_who_counts_on_it(board: Board, other: Other) -> None:
    task = board.attach("one")
    task.update(3)
    other.kill()
    assert task.state == "running"
    assert board.reap() == []
    assert task.count == 10


def test_a_worker_that_only_counted_and_died_ends_nothing_and_is_named(board: Board) -> None:
    with board.task("all", total=100) as task:
        worker = Other(board.name, OTHER.replace('task = board.task("one")', 'task = board.attach("all")'))
        task.update()
        worker.kill()
        view = board.get("all")
        assert view is not None
        assert (view.state, view.count) == ("running", 8)
        (lost,) = view.workers_lost
        assert (lost.pid, lost.count, lost.alive) == (worker.pid, 7, False)
        assert [share.pid for share in view.workers] == [os.getpid()]


def test_a_task_stalls_though_the_clock_was_set_back_since_it_began(board: Board) -> None:
    board.task("one").update()
    raw = board.snapshot().raw
    hour_ns = 3_600_000_000_000
    back = bytearray(raw.tasks)  # as read an hour and a minute before it began: beats go by another clock
    begun = np.frombuffer(back, np.dtype(records.DTYPES["tasks"]))[0:1]
    begun["beat_ns"] -= hour_ns
    taken_ns = raw.meta["taken_ns"] - hour_ns + 60_000_000_000
    view = BoardView.from_raw(raw._replace(tasks=back, meta={**raw.meta, "taken_ns": taken_ns}))
    assert view.tasks[0].stalled, view.tasks[0].idle
    assert Summary.of(view).counts.stalled == 1


def test_writing_does_not_move_ownership(board: Board, other: Other) -> None:
    task = board.attach("one")
    task.set(stage="by another", message="hello")
    task.result = 5
    assert board.get("one").owner_pid == other.pid  # type: ignore[union-attr]


# --- leaving in good order

LEAVING = """
import os, signal, sys
from headway.engine.board import open_board

board = open_board(sys.argv[1])
board.task("ended").succeed()
board.task("pending")
with board.task("ended in a block"):
    pass
task = board.task("running")
task.update(3)
def end():
    {end}
end()
"""


@pytest.mark.parametrize(
    ("end", "state", "text"),
    [
        ("pass", "cancelled", "left open at exit"),
        ("sys.exit()", "cancelled", "left open at exit"),
        ("sys.exit(3)", "cancelled", "left open at exit"),
        ("raise ValueError('bad row')", "failed", "ValueError: bad row"),
        ("raise KeyboardInterrupt", "cancelled", "left open at exit"),
        ("os.kill(os.getpid(), signal.SIGINT)", "cancelled", "left open at exit"),
        ("os._exit(0)", "lost", ""),
        ("os.kill(os.getpid(), signal.SIGTERM)", "lost", ""),
    ],
)
def test_what_a_program_leaves_open_tells_how_it_ended(
    end: str, state: str, text: str, board: Board, run_python: RunPython
) -> None:
    run_python(LEAVING.format(end=end), board.name, check=False)
    found = {view.id: (view.state, view.error) for view in board.tasks()}
    assert found == {
        "ended": ("success", ""),
        "ended in a block": ("success", ""),
        "pending": (state, text),
        "running": (state, text),
    }
    assert not [worker for worker in board.snapshot().workers if worker.alive and worker.pid != os.getpid()]


def test_what_others_still_count_on_stays_open_when_its_owner_leaves(board: Board) -> None:
    owner = Other(board.name)
    worker = Other(board.name, OTHER.replace('task = board.task("one")', 'task = board.attach("one")'))
    owner.leave()
    view = board.get("one")
    assert view is not None
    assert (view.state, view.owner_alive, view.count) == ("running", False, 14)
    assert {(share.pid, share.count, share.alive) for share in view.workers} == {
        (owner.pid, 7, False),
        (worker.pid, 7, True),
    }
    assert view.workers_lost == ()
    worker.kill()
    assert board.attach("one").state == "lost"


CHILDREN = """
import multiprocessing, os, sys
from headway.engine.board import open_board

def work(name, how):
    board = open_board(name)
    task = board.task(how)
    task.update()
    if how == "raises":
        raise ValueError("bad row")
    if how == "exits":
        sys.exit(1)

if __name__ == "__main__":
    name, method = sys.argv[1:]
    board = open_board(name)
    board.task("of the parent").succeed()
    context = multiprocessing.get_context(method)
    for how in ("returns", "raises", "exits"):
        child = context.Process(target=work, args=(name, how))
        child.start()
        child.join()
"""


@pytest.mark.parametrize("method", METHODS)
def test_children_of_multiprocessing_leave_in_good_order_too(method: str, board: Board, run_python: RunPython) -> None:
    run_python(CHILDREN, board.name, method)
    found = {view.id: (view.state, view.error) for view in board.tasks()}
    assert found == {
        "of the parent": ("success", ""),
        "returns": ("cancelled", "left open at exit"),
        "raises": ("failed", "ValueError: bad row" if sys.version_info < (3, 13) else "SystemExit: 1"),
        "exits": ("failed", "SystemExit: 1"),
    }


def test_a_child_that_exits_does_not_end_what_its_parent_owns(board: Board, run_python: RunPython) -> None:
    script = """
import os, sys
from headway.engine.board import open_board

board = open_board(sys.argv[1])
task = board.task("of the parent")
task.update()
if os.fork() == 0:
    board.task("of the child").update()
    sys.exit()  # runs what was registered with atexit, the parent's too
os.wait()
states = {view.id: view.state for view in board.tasks()}
assert states == {"of the parent": "running", "of the child": "cancelled"}, states
"""
    run_python(script, board.name)


# --- again and again


def test_the_same_program_again_starts_anew(board: Board, run_python: RunPython) -> None:
    script = """
import sys
from headway.engine.board import open_board

board = open_board(sys.argv[1])
with board.task("one", total=5) as task:
    assert task.count == 0
    task.update(5)
    task.result = {"run": int(sys.argv[2])}
"""
    for number in range(3):
        run_python(script, board.name, str(number))
    (view,) = board.tasks()
    assert (view.state, view.count, view.result) == ("success", 5, {"run": 2})


def test_the_same_program_twice_at_once_is_told_whose_the_task_is(board: Board, other: Other) -> None:
    second = subprocess.run(
        [sys.executable, "-c", OTHER, board.name], input="", capture_output=True, text=True, check=False, timeout=60
    )
    assert second.returncode == 1
    last = second.stderr.splitlines()[-1]
    assert last.startswith("headway.errors.TaskExists: task 'one' is running")
    assert f"pid {other.pid}" in last
    assert "board.task('one', join=True)" in last
    assert board.attach("one").count == 7


def test_many_short_tasks_pass_through_a_small_board(board: Board) -> None:
    begun = time.monotonic()
    for number in itertools.count():
        with board.task(f"task {number}") as task:
            task.update()
        if time.monotonic() - begun > 0.5:
            break
    assert number > 16
    assert len(board.tasks()) <= 16
    assert all(view.count == 1 for view in board.tasks())


# --- wrong arguments


def test_a_wrong_argument_is_named_at_the_call(board: Board) -> None:
    text: Any = "x"
    number: Any = 5
    for call, words in (
        (lambda: board.history(text), "hours must be a number of hours, not '"),
        (lambda: board.history(limit=text), "limit must be a number of tasks, not '"),
        (lambda: board.watch(text), "interval must be a number of seconds, not '"),
        (lambda: headway.track(range(3), board=number), "a board's name must be a str, not 5 (int)"),
        (lambda: headway.read(number), "board must be a name or a path, not 5 (int)"),
        (headway.Board, "a Board is made by headway.open(name)"),
        (lambda: setattr(board.task("a"), "result", {"x": object()}), "a result cannot hold a value of type object"),
    ):
        with pytest.raises(TypeError) as refused:
            call()
        assert str(refused.value).startswith(words)
    with pytest.raises(ValueError, match="interval 0 is not a positive number of seconds"):
        board.watch(0)


def test_a_board_that_was_removed_is_not_said_to_be_closed(board_name: str) -> None:
    board = open_board(board_name)
    task = board.task("a")
    board.remove()
    for call in (board.snapshot, lambda: board.task("b"), lambda: task.fail("late")):
        with pytest.raises(errors.BoardClosed, match="was removed"):
            call()
