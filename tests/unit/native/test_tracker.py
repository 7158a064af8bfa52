"""The native iterators: an item is counted when the next one is asked for, and whoever is to be told is told once."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from headway.engine import segments
from headway.native import core


@pytest.fixture
def task(board_name: str) -> Iterator[core.Slot]:
    segment, directory, _ = segments.open_or_create(board_name, capacity=2, workers=2, result_bytes=0)
    task = core.Slot()
    task._place(segment, *segment.claim("a", "", "it")[:2], "a")
    yield task
    segments.unlink(directory, segment)
    segment.close()


class Ends(list[BaseException | None]):
    """What on_end was told."""

    def __call__(self, error: BaseException | None) -> None:
        self.append(error)


def fails_at(n: int) -> Iterator[int]:
    yield from range(n)
    raise OSError("the source dried up")


@pytest.mark.parametrize("iterable", [[], [1], range(5), (n for n in range(5)), "abc", {"a": 1, "b": 2}])
def test_all_items_come_in_order_and_are_counted(iterable: Iterable[Any], task: core.Slot) -> None:
    items = list(iterable) if not isinstance(iterable, Iterator) else list(range(5))
    ends = Ends()
    assert list(core.Tracker(task, iterable, ends)) == items
    assert task.count == len(items)
    assert ends == [None]


def test_an_item_is_counted_when_the_next_one_is_asked_for(task: core.Slot) -> None:
    counts = [task.count for _ in core.Tracker(task, range(4))]
    assert counts == [0, 1, 2, 3]
    assert task.count == 4


def test_the_item_that_breaks_is_not_counted(task: core.Slot) -> None:
    ends = Ends()
    for item in core.Tracker(task, range(10), ends):
        if item == 3:
            break
    gc.collect()
    assert task.count == 3
    assert [type(end) for end in ends] == [GeneratorExit]


def test_the_item_that_raises_is_not_counted(task: core.Slot) -> None:
    def work() -> None:
        for item in core.Tracker(task, range(10)):
            if item == 2:
                raise ValueError(item)

    with pytest.raises(ValueError, match="2"):
        work()
    assert task.count == 2


def test_an_error_of_the_iterable_passes_through_and_ends_it(task: core.Slot) -> None:
    for ends in (Ends(), None):
        tracker = core.Tracker(task, fails_at(3), ends)
        before = task.count
        with pytest.raises(OSError, match="dried up"):
            list(tracker)
        assert task.count == before + 3, "the items that came are counted"
        assert ends is None or [type(end) for end in ends] == [OSError]
        assert list(tracker) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whatever_ends_the_iterable_is_told(error: type[BaseException], task: core.Slot) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise error

    ends = Ends()
    with pytest.raises(error):
        list(core.Tracker(task, source(), ends))
    assert [type(end) for end in ends] == [error]


def test_an_iterator_that_has_ended_stays_ended(task: core.Slot) -> None:
    tracker = core.Tracker(task, iter(range(2)))
    assert list(tracker) == [0, 1]
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(tracker)
    assert task.count == 2


def test_closing_ends_early_once_and_counts_no_item_in_hand(task: core.Slot) -> None:
    ends = Ends()
    tracker = core.Tracker(task, range(9), ends)
    next(tracker)
    next(tracker)
    tracker.close()
    tracker.close()
    del tracker
    gc.collect()
    assert task.count == 1
    assert [type(end) for end in ends] == [GeneratorExit]


def test_a_tracker_over_something_with_a_length_has_it(task: core.Slot) -> None:
    tracker = core.SizedTracker(task, range(7))
    assert len(tracker) == 7
    next(tracker)
    assert len(tracker) == 7
    assert not hasattr(core.Tracker(task, range(7)), "__len__")


def test_what_is_not_iterable_is_refused(task: core.Slot) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        core.Tracker(task, 5)  # type: ignore[arg-type]
    assert task.count == 0


def test_a_tick_comes_when_it_is_due_and_not_at_every_item(task: core.Slot) -> None:
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())

    began = time.monotonic()
    for _ in core.Tracker(task, range(2_000_000_000), None, tick, 20_000_000):
        if time.monotonic() - began > 0.3:
            break
    took = time.monotonic() - began
    assert 1 <= len(ticks) <= took / 0.02 + 2
    assert task.count > len(ticks)


def test_an_error_of_a_tick_passes_through(task: core.Slot) -> None:
    def tick() -> None:
        raise RuntimeError("no terminal")

    with pytest.raises(RuntimeError, match="no terminal"):
        list(core.Tracker(task, range(3), None, tick))


def test_an_error_of_who_is_told_the_end_passes_through(task: core.Slot) -> None:
    def told(error: BaseException | None) -> None:
        raise RuntimeError(f"told of {error}")

    with pytest.raises(RuntimeError, match="told of None"):
        list(core.Tracker(task, range(3), told))


def test_an_iterable_may_ask_its_own_tracker(task: core.Slot) -> None:
    """Reentrance: a source that iterates over its own tracker gets no item twice, and nothing is counted twice."""
    trackers: list[core.Tracker[int]] = []

    def source() -> Iterator[int]:
        yield 1
        with pytest.raises(ValueError, match="already executing"):
            next(trackers[0])
        yield 2

    trackers.append(core.Tracker(task, source()))
    assert list(trackers[0]) == [1, 2]
    assert task.count == 2


def test_items_of_a_tracker_are_let_go(task: core.Slot) -> None:
    class Item:
        alive = 0

        def __init__(self) -> None:
            Item.alive += 1

        def __del__(self) -> None:
            Item.alive -= 1

    most = 0
    for _ in core.Tracker(task, (Item() for _ in range(50))):
        most = max(most, Item.alive)
    del _
    gc.collect()
    assert Item.alive == 0
    assert most <= 2
