"""The task of a context that has none: every method is a no-op."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

import headway


def test_without_one_everything_is_a_no_op() -> None:
    task: Any = headway.current()
    assert (task.id, task.state, task.count, task.total, task.result, task.metrics) == (
        "",
        "running",
        0,
        None,
        None,
        {},
    )
    task.update()
    task.update(5)
    assert task.set(stage="fit", message="hello", total=5, metrics={"loss": 1})
    task.stage = task.message = "fit"
    task.total = task.result = 5
    assert task.merge_result({"a": 1}) == {"a": 1}
    assert (task.stage, task.message, task.total, task.result, task.count) == ("", "", None, None, 0)
    assert task.succeed()
    assert task.fail("why")
    assert task.cancel()
    assert task.adopt() is task.task("part", total=5) is task
    with task as entered:
        assert entered is task
        assert headway.current() is task
    assert pickle.loads(pickle.dumps(task)) is task
    assert task.counts(len) is len
    with pytest.raises(AttributeError):
        task.mesage = "x"


def test_without_one_a_loop_goes_over_the_iterable_itself() -> None:
    task: Any = headway.current()
    items = [1, 2, 3]
    tracker = task.track(items)
    assert len(tracker) == 3
    assert type(iter(tracker)) is type(iter(items))
    assert next(tracker) == 1
    assert list(tracker) == [2, 3]
    generator = (item for item in items)
    assert task.track(generator) is generator
    with pytest.raises(TypeError, match=r"5 is not iterable: for so many steps say range\(5\)"):
        task.track(5)


def test_without_one_an_asynchronous_loop_goes_on() -> None:
    async def items() -> Any:
        yield 1
        yield 2

    async def main() -> list[int]:
        return [item async for item in headway.current().track(items())]

    assert asyncio.run(main()) == [1, 2]
