"""`headway.integrations.joblib`: each call of Parallel is a task, and gives what it gave. Backends of one process."""

from __future__ import annotations

import functools
import os
import pickle
import sys
import threading
from typing import TYPE_CHECKING, Any

import joblib
import pytest
from joblib import delayed
from joblib.parallel import ThreadingBackend

import headway
from headway.integrations import joblib as ours
from headway.integrations.joblib_calls import Item
from tests.looks import seen, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.board import Board
    from tests.conftest import RunPython

PLAIN = joblib.Parallel.__call__
BACKENDS = ("sequential", "threading")


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    with headway.open(board_name) as board:
        ours.install(board)
        yield board
        ours.uninstall()
        if not board._segment.retired:
            board.remove()
    assert joblib.Parallel.__call__ is PLAIN


def square(number: int, power: int = 2) -> int:
    found: int = number**power
    return found


# --- counting


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("return_as", ["list", "generator", "generator_unordered"])
def test_each_call_is_a_task_called_like_its_function_and_gives_what_it_gave(
    board: Board, backend: str, return_as: str
) -> None:
    given = joblib.Parallel(n_jobs=2, backend=backend, return_as=return_as)(delayed(square)(n) for n in range(30))
    assert sorted(given) == [n**2 for n in range(30)]
    assert told(board) == {"square": ("success", 30, 30)}


def test_an_item_counts_when_it_ends(board: Board) -> None:
    counts = joblib.Parallel(n_jobs=1)(delayed(lambda: seen(board, "<lambda>").count)() for _ in range(4))
    assert counts == [0, 1, 2, 3]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_total_is_known_at_once_where_there_is_a_length_and_else_when_all_items_are(
    board: Board, backend: str
) -> None:
    def total() -> int | None:
        return seen(board, "total").total

    parallel = joblib.Parallel(n_jobs=2, backend=backend, pre_dispatch=2, batch_size=1)
    assert set(parallel([delayed(total)() for _ in range(6)])) == {6}
    assert parallel(delayed(total)() for _ in range(6))[0] is None
    assert told(board) == {"total": ("success", 6, 6)}


def test_a_call_without_items_is_a_task_of_none(board: Board) -> None:
    assert joblib.Parallel()([]) == []
    assert told(board) == {"parallel": ("success", 0, 0)}


def test_the_label_may_be_chosen_and_a_partial_function_has_the_name_of_the_whole(board: Board) -> None:
    with ours.tracked(label="fits"):
        joblib.Parallel()([delayed(square)(1)])
    assert ours.Parallel(n_jobs=2, prefer="threads", label="roots")([delayed(square)(3)]) == [9]
    joblib.Parallel()([delayed(functools.partial(square, power=3))(2)])
    assert {task.id: task.label for task in board} == {"fits": "fits", "roots": "roots", "square": "square"}


def test_what_a_worker_has_in_hand_is_named_by_the_function_and_its_arguments(board: Board) -> None:
    def look(_number: int, word: str, _odd: object) -> list[str]:
        return [share.item for share in seen(board, "look").workers]

    items = joblib.Parallel()(delayed(look)(n, word="BTC-1h", _odd=object()) for n in range(2))
    assert items == [["look(0, BTC-1h)"], ["look(1, BTC-1h)"]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_in_an_item_the_task_is_the_current_one_and_what_begins_there_is_a_part_of_it(
    board: Board, backend: str
) -> None:
    def outer(number: int) -> tuple[str, list[int]]:
        inner = joblib.Parallel(n_jobs=1)(delayed(square)(n) for n in range(number + 1))
        return headway.current().id, inner

    before = headway.current()
    given = joblib.Parallel(n_jobs=2, backend=backend)([delayed(outer)(n) for n in range(4)])
    assert given == [("outer", [n**2 for n in range(number + 1)]) for number in range(4)]
    assert headway.current() is before
    parts = {task.id: task for task in board}
    assert (parts.pop("outer").state, parts["outer/square"].state) == ("success", "success")
    assert {task.parent for task in parts.values()} == {"outer"}
    assert set(parts) <= {"outer/square", "outer/square-2"}, "one that ended is used again"


def test_nested_calls_at_the_same_time_have_a_task_each(board: Board) -> None:
    together = threading.Barrier(2, timeout=30)

    def outer() -> None:
        joblib.Parallel(n_jobs=1)(delayed(together.wait)() for _ in range(3))

    joblib.Parallel(n_jobs=2, backend="threading", batch_size=1)([delayed(outer)() for _ in range(2)])
    assert told(board) == {
        "outer": ("success", 2, 2),
        "outer/wait": ("success", 3, 3),
        "outer/wait-2": ("success", 3, 3),
    }


def test_a_call_in_a_loop_is_one_task_of_the_loop_that_shows_the_last_run(board: Board) -> None:
    with board.task("epochs", total=3) as epochs:
        for _ in epochs.track(range(3)):
            joblib.Parallel()(delayed(square)(n) for n in range(2))
    for _ in headway.track(range(3), "rounds", board=board):
        joblib.Parallel()(delayed(square)(n) for n in range(2))
    states = told(board)
    assert states["epochs/square"] == states["rounds/square"] == ("success", 2, 2)
    assert len(states) == 4


# --- how it ends


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_exception_of_an_item_fails_the_task_and_comes_out_as_it_is(board: Board, backend: str) -> None:
    failure = ValueError("no such symbol")

    def fail(number: int) -> None:
        if number == 3:
            raise failure

    with pytest.raises(ValueError, match="no such symbol") as caught:
        joblib.Parallel(n_jobs=2, backend=backend, batch_size=1, pre_dispatch=1)(delayed(fail)(n) for n in range(9))
    assert caught.value is failure
    assert not getattr(failure, "__notes__", None)
    view = seen(board, "fail")
    assert (view.state, view.error) == ("failed", "ValueError: no such symbol")
    assert view.count == 3, "not the one that failed"


def test_the_exception_of_the_iterable_fails_the_task(board: Board) -> None:
    def items() -> Iterator[Any]:
        yield delayed(square)(1)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        joblib.Parallel()(items())
    assert seen(board, "square").error == "OSError: the disk is gone"


def test_ctrl_c_cancels_the_task(board: Board) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        joblib.Parallel()([delayed(interrupt)()])
    assert seen(board, "interrupt").state == "cancelled"


def test_results_that_are_dropped_cancel_the_task_unless_all_is_done(board: Board) -> None:
    given = joblib.Parallel(return_as="generator")(delayed(square)(n) for n in range(5))
    assert [next(given), next(given)] == [0, 1]
    assert told(board) == {"square": ("running", 2, None)}
    del given
    assert told(board) == {"square": ("cancelled", 2, None)}
    given = joblib.Parallel(return_as="generator")([delayed(square)(n) for n in range(2)])
    assert [next(given), next(given)] == [0, 1]
    given.close()
    assert told(board) == {"square": ("success", 2, 2)}


@pytest.mark.parametrize("iterable", [5, [1, 2], [(square, 1)], [("square", (), {})]], ids=str)
def test_what_joblib_refuses_it_refuses_in_its_own_words(board: Board, iterable: Any) -> None:
    def refused() -> tuple[type, str]:
        with pytest.raises((TypeError, ValueError)) as caught:
            joblib.Parallel()(iterable)
        return type(caught.value), str(caught.value)

    with_task = refused()
    ours.uninstall()
    assert refused() == with_task


def test_a_board_that_is_closed_or_removed_meanwhile_changes_no_result(
    board: Board, recwarn: pytest.WarningsRecorder
) -> None:
    def close(number: int) -> int:
        if number == 2:
            board.remove()
        return number

    assert joblib.Parallel()(delayed(close)(n) for n in range(5)) == [0, 1, 2, 3, 4]


def test_the_end_of_the_call_is_that_of_the_first_that_ended_it(board: Board) -> None:
    def end(number: int) -> int:
        if number == 2:
            headway.current().cancel("enough")
        return number

    assert joblib.Parallel()(delayed(end)(n) for n in range(5)) == [0, 1, 2, 3, 4]
    assert seen(board, "end").state == "cancelled"


# --- backends of others


class Elsewhere(ThreadingBackend):  # type: ignore[misc] # its library has no types
    """A backend that joblib does not know, whose workers may be on another machine."""

    supports_sharedmem = False


def test_the_functions_of_a_backend_that_may_run_elsewhere_stay_as_they_are_and_are_counted_all_the_same(
    board: Board,
) -> None:
    joblib.register_parallel_backend("elsewhere", Elsewhere)
    backend = Elsewhere()
    submit, items = backend.submit, []

    def noting(batch: Any, **kwargs: Any) -> Any:
        items.extend(batch.items)
        return submit(batch, **kwargs)

    backend.submit = noting
    parallel = joblib.Parallel(n_jobs=2, backend=backend, batch_size=3)
    assert parallel(delayed(square)(n) for n in range(20)) == [n**2 for n in range(20)]
    assert {function for function, _, _ in items} == {square}
    assert told(board) == {"square": ("success", 20, 20)}
    assert "print_progress" not in vars(parallel)


# --- which calls


def test_without_a_word_no_call_is_a_task_and_uninstall_leaves_joblib_as_it_was(board: Board) -> None:
    ours.install(board)
    ours.uninstall()
    ours.uninstall()
    assert joblib.Parallel.__call__ is PLAIN
    assert joblib.Parallel()([delayed(square)(1)]) == [1]
    with ours.tracked(board=board):
        ours.uninstall()
        joblib.Parallel()([delayed(square)(1)])
    joblib.Parallel()([delayed(max)(1, 2)])
    assert set(told(board)) == {"square"}


def test_a_block_takes_the_calls_of_its_own_thread_and_what_is_nested_in_them(board: Board) -> None:
    ours.uninstall()

    def outer() -> None:
        joblib.Parallel()([delayed(square)(1)])

    with ours.tracked(label="outside", board=board):
        other = threading.Thread(target=lambda: joblib.Parallel()([delayed(max)(1, 2)]))
        other.start()
        other.join()
        joblib.Parallel(n_jobs=2, backend="threading")([delayed(outer)() for _ in range(2)])
    assert {id.removesuffix("-2") for id in told(board)} == {"outside", "outside/square"}


def test_the_class_of_the_module_makes_one_task_when_all_calls_are_taken_as_well(board: Board) -> None:
    assert ours.Parallel()([ours.delayed(square)(2)]) == [4]
    assert told(board) == {"square": ("success", 1, 1)}
    ours.uninstall()
    assert ours.Parallel(board=board, label="by itself")([delayed(square)(2)]) == [4]
    assert set(told(board)) == {"square", "by itself"}
    assert isinstance(ours.Parallel(), joblib.Parallel)


def test_who_puts_something_over_ours_keeps_it(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    below = joblib.Parallel.__call__
    monkeypatch.setattr(joblib.Parallel, "__call__", lambda self, items: [*below(self, items), "and more"])
    ours.uninstall()
    assert joblib.Parallel()([delayed(square)(2)]) == [4, "and more"]
    assert not board.tasks()
    ours.install(board)
    assert joblib.Parallel()([delayed(square)(2)]) == [4, "and more"]
    assert told(board) == {"square": ("success", 1, 1)}
    monkeypatch.undo()


def test_switched_off_nothing_is_made(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_DISABLE", "1")
    assert joblib.Parallel()(delayed(square)(n) for n in range(3)) == [0, 1, 4]
    monkeypatch.delenv("HEADWAY_DISABLE")
    assert not board.tasks()


NOWHERE = """
from headway.system import support
support.SHM = "/nowhere"
import joblib
from headway.integrations import joblib as ours
ours.install()
for backend in ("threading", "multiprocessing"):
    print(joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(abs)(n) for n in range(-3, 0)))
"""


def test_where_there_can_be_no_board_joblib_works_alone_after_one_warning(run_python: RunPython) -> None:
    done = run_python(NOWHERE)
    assert done.stdout == "[3, 2, 1]\n" * 2
    assert done.stderr.count("Warning") == 1
    assert "mount a tmpfs there" in done.stderr


def test_a_batch_of_calls_of_one_function_carries_one_handle(board: Board) -> None:
    backend = ThreadingBackend()
    submit, batches = backend.submit, []

    def noting(batch: Any, **kwargs: Any) -> Any:
        batches.append(batch.items)
        return submit(batch, **kwargs)

    backend.submit = noting
    joblib.Parallel(n_jobs=2, backend=backend, batch_size=10)([delayed(square)(n) for n in range(40)])
    (handle,) = {function for items in batches for function, _, _ in items}
    assert isinstance(handle, Item)


def test_what_goes_to_a_worker_with_a_function_is_small(board: Board) -> None:
    with board.task("x" * 20) as task:
        assert len(pickle.dumps(Item(square, task, "square"))) < len(pickle.dumps(square)) + 350


def test_without_joblib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    monkeypatch.delitem(sys.modules, "headway.integrations.joblib")
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(headway.errors.MissingExtra, match=r"pip install 'headway\[joblib\]'"):
        importlib.import_module("headway.integrations.joblib")


def test_a_forked_copy_of_a_call_ends_nothing(board: Board) -> None:
    def fork() -> int:
        child = os.fork()
        if not child:
            raise SystemExit(0)
        return os.waitpid(child, 0)[1]

    pid = os.getpid()
    try:
        assert joblib.Parallel()([delayed(fork)(), delayed(fork)()]) == [0, 0]
    finally:
        if os.getpid() != pid:
            os._exit(0)
    assert told(board) == {"fork": ("success", 2, 2)}
