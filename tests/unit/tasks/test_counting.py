"""Functions and loops that count on a task, on the engine and its stand-in."""

from __future__ import annotations

import asyncio
import gc
import math
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from headway.views.board_view import TaskView

if TYPE_CHECKING:
    from headway.engine.board import Board


def view_of(board: Board, id: str = "one") -> TaskView:
    view = board.get(id)
    assert view is not None
    return view


def test_counts_counts_calls_that_return(any_board: Board) -> None:
    task = any_board.task("one")

    @task.counts
    def half(number: int, *, by: int = 2) -> float:
        """Half of it."""
        return number / by

    assert (half.__name__, half.__doc__) == ("half", "Half of it.")
    assert half(4) == 2
    assert half(4, by=4) == 1
    with pytest.raises(ZeroDivisionError):
        half(4, by=0)
    with pytest.raises(TypeError):
        half()
    assert task.count == 2


def test_counts_counts_asynchronous_calls_when_they_are_done(any_board: Board) -> None:
    task = any_board.task("one")
    seen = []

    async def work(fails: bool) -> str:
        await asyncio.sleep(0)
        seen.append(task.count)
        if fails:
            raise OSError("gone")
        return "done"

    async def main() -> None:
        counted: Any = task.counts(work)
        assert await counted(False) == "done"
        with pytest.raises(OSError, match="gone"):
            await counted(True)

    asyncio.run(main())
    assert seen == [0, 1]
    assert task.count == 1


def test_counts_refuses_what_cannot_be_called(any_board: Board) -> None:
    with pytest.raises(TypeError, match="wraps a function"):
        any_board.task("one").counts(5)  # type: ignore[arg-type]


def test_a_function_counts_on_several_tasks(any_board: Board) -> None:
    one, two = any_board.task("one"), any_board.task("two")
    assert list(map(two.counts(one.counts(abs)), [-1, -2])) == [1, 2]
    assert (one.count, two.count) == (2, 2)


def test_a_counting_function_can_be_pickled(any_board: Board) -> None:
    task = any_board.task("one")
    counted = pickle.loads(pickle.dumps(task.counts(math.factorial)))
    assert counted(5) == 120
    assert task.count == 1


def test_an_item_counts_when_the_next_is_asked_for(any_board: Board) -> None:
    task = any_board.task("one")
    seen = [task.count for _ in task.track("abc")]
    assert seen == [0, 1, 2]
    assert (task.count, task.total, task.state) == (3, 3, "running")


def test_the_item_that_breaks_does_not_count(any_board: Board) -> None:
    task = any_board.task("one")
    for item in task.track(range(10)):
        if item == 4:
            break
    assert task.count == 4


def test_the_item_that_raises_does_not_count(any_board: Board) -> None:
    def run() -> None:
        with any_board.task("one") as task:
            for item in task.track(range(10)):
                if item == 4:
                    raise ValueError(item)

    with pytest.raises(ValueError, match="4"):
        run()
    assert (view_of(any_board).count, view_of(any_board).state) == (4, "failed")


def test_the_exception_of_the_iterable_comes_through(any_board: Board) -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    task = any_board.task("one")
    tracker = task.track(items())
    assert [next(tracker), next(tracker)] == [1, 2]
    with pytest.raises(OSError, match="gone"):
        next(tracker)
    with pytest.raises(StopIteration):
        next(tracker)
    assert task.count == 2


def test_an_iterator_that_has_ended_stays_so(any_board: Board) -> None:
    task = any_board.task("one")
    tracker = task.track([1])
    assert list(tracker) == [1]
    assert list(tracker) == []
    assert task.count == 1


def test_a_length_is_kept_where_there_is_one_that_works(any_board: Board) -> None:
    class Loader:
        def __len__(self) -> int:
            raise TypeError("a stream has no length")

        def __iter__(self) -> Iterator[int]:
            return iter(range(3))

    task = any_board.task("one")
    sized: Any = task.track([1, 2, 3])
    assert len(sized) == 3
    assert task.total == 3
    for iterable in (iter([1, 2]), (item for item in [1, 2]), Loader()):
        tracker = any_board.task(f"of a {type(iterable).__name__}").track(iterable)
        assert not hasattr(tracker, "__len__")
        assert list(tracker)
    assert [view.total for view in any_board.tasks()][1:] == [None, None, None]


def test_the_total_of_a_task_is_taken_from_the_iterable_only_if_it_has_none(any_board: Board) -> None:
    task = any_board.task("one", total=100)
    list(task.track(range(3)))
    assert task.total == 100
    list(task.track(range(3), total=50))
    assert task.total == 50
    with pytest.raises(ValueError, match="total"):
        task.track(range(3), total=-1)


def test_what_is_not_iterable_is_refused(any_board: Board) -> None:
    with pytest.raises(TypeError, match=r"5 is not iterable: for so many steps say range\(5\)"):
        any_board.task("one").track(5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"'object' object is not iterable: .* total=N"):
        any_board.task("two").track(object())  # type: ignore[call-overload]


def test_an_infinite_iterable_is_tracked(any_board: Board) -> None:
    import itertools

    task = any_board.task("one")
    for number in task.track(itertools.count()):
        if number == 1000:
            break
    assert (task.count, task.total) == (1000, None)


def test_a_generator_is_closed_when_the_loop_is_left(any_board: Board) -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.append(True)

    for _ in any_board.task("one").track(items()):
        break
    gc.collect()
    assert closed == [True]


def test_an_asynchronous_iterable_is_tracked(any_board: Board) -> None:
    async def items(fails: bool) -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0)
            yield number
        if fails:
            raise OSError("gone")

    async def main() -> None:
        one, two, three = (any_board.task(id) for id in ("one", "two", "three"))
        assert [number async for number in one.track(items(False))] == [0, 1, 2]
        with pytest.raises(OSError, match="gone"):
            _ = [number async for number in two.track(items(True))]
        async for number in three.track(items(False)):
            if number == 1:
                break
        assert (one.count, two.count, three.count) == (3, 3, 1)

    asyncio.run(main())
