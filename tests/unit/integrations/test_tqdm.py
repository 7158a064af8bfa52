"""`headway.integrations.tqdm`: each bar of tqdm is a task, and stays the bar that it was."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import tqdm.asyncio
import tqdm.auto
import tqdm.std

import headway
from headway.integrations import tqdm as ours
from headway.integrations.mirror import use_board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.board import Board
    from headway.views.task_view import TaskView
    from tests.conftest import RunPython


class Bars:
    """Makes bars that are mirrored, and that draw into a stream of their own."""

    def __init__(self, kind: Any, asynchronous: Any) -> None:
        self.kind = kind
        self.asynchronous = asynchronous

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.kind(*args, **{"file": io.StringIO(), **kwargs})


@pytest.fixture(autouse=True)
def without_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """tqdm's thread would outlive the test."""
    monkeypatch.setattr(tqdm.std.tqdm, "monitor_interval", 0)


@pytest.fixture(params=["in place", "subclass"])
def bar(request: pytest.FixtureRequest, board_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bars]:
    monkeypatch.setenv("HEADWAY_BOARD", board_name)
    if request.param == "in place":
        ours.install()
    try:
        with headway.open(board_name):
            yield Bars(*((tqdm.std.tqdm, tqdm.asyncio.tqdm) if request.param == "in place" else (ours.tqdm, ours.tqdm)))
            board_here().remove()
    finally:
        ours.uninstall()


def board_here() -> Board:
    return headway.open(os.environ["HEADWAY_BOARD"])


def seen(id: str) -> TaskView:
    view = board_here().get(id)
    assert view is not None, f"there is no {id}, only {[task.id for task in board_here()]}"
    return view


def told(id: str) -> tuple[str, int, int | None]:
    view = seen(id)
    return view.state, view.count, view.total


# --- counting


def test_a_loop_counts_as_it_goes_and_succeeds_at_its_end(bar: Bars) -> None:
    counts = [seen("files").count for _ in bar(range(5), desc="files", unit=" files")]
    assert counts == [0, 1, 2, 3, 4], "an item counts when the next one is asked for"
    assert told("files") == ("success", 5, 5)
    assert seen("files").unit == "files"


def test_a_bar_by_hand_counts_each_update_at_once(bar: Bars) -> None:
    with bar(total=10) as one:
        for number in range(10):
            assert seen("tqdm").count == number
            one.update()
    assert told("tqdm") == ("success", 10, 10)


def test_fractions_are_carried_and_lost_by_no_one(bar: Bars) -> None:
    with bar(total=3) as one:
        for _ in range(10):
            one.update(0.1)
        assert seen("tqdm").count == 1
        for _ in range(4):
            one.update(0.5)
        assert seen("tqdm").count == one.n // 1 == 3
    assert told("tqdm") == ("success", 3, 3)


def test_an_update_by_what_is_no_number_is_refused_by_tqdm_alone(bar: Bars) -> None:
    with bar(total=3) as one:
        with pytest.raises(TypeError, match="str"):
            one.update("1")
        one.update(2)
        assert seen("tqdm").count == 2


def test_what_is_assigned_to_n_is_counted(bar: Bars) -> None:
    with bar(total=10) as one:
        one.update(4)
        one.n = 9
        one.refresh()
        assert seen("tqdm").count == 9
        one.n = 10
    assert told("tqdm") == ("success", 10, 10)


def test_initial_items_count_and_reset_begins_anew(bar: Bars) -> None:
    with bar(total=10, initial=4) as one:
        assert told("tqdm") == ("running", 4, 10)
        one.update(3)
        one.reset(total=7)
        assert told("tqdm") == ("running", 0, 7)
        one.update(7)
    assert told("tqdm") == ("success", 7, 7)


def test_a_total_may_come_later_go_or_be_infinite(bar: Bars) -> None:
    with bar(total=float("inf")) as one:
        assert seen("tqdm").total is None
        one.total = 4
        one.refresh()
        assert seen("tqdm").total == 4
        one.total = -1
        one.refresh()
        assert seen("tqdm").total is None
        one.total = 2.0
        one.update(2)
    assert told("tqdm") == ("success", 2, 2)


@pytest.mark.parametrize(("disable", "found"), [(None, ("success", 3, 3)), (True, None)])
def test_a_bar_that_draws_nothing_into_a_file_counts_and_a_disabled_one_does_nothing(
    bar: Bars, disable: bool | None, found: object
) -> None:
    stream = io.StringIO()
    for _ in bar(range(3), desc="loop", disable=disable, file=stream):
        pass
    with bar(total=3, desc="by hand", disable=disable, file=stream) as one:
        one.update(3)
    assert not stream.getvalue()
    assert [told(id) if id in board_here() else None for id in ("loop", "by hand")] == [found] * 2


# --- what it shows


def test_numbers_of_the_postfix_are_metrics_the_rest_is_the_message(bar: Bars) -> None:
    with bar(total=1, desc="fit", postfix={"loss": 1.5, "by": "hand"}) as one:
        assert (seen("fit").metrics, seen("fit").message) == ({"loss": 1.5}, "by=hand")
        one.set_postfix([("loss", 0.5), ("epoch", 3)], refresh=False, best=True)
        assert (seen("fit").metrics, seen("fit").message) == ({"loss": 0.5, "epoch": 3.0}, "best=True")
        one.set_postfix_str("as text")
        assert seen("fit").message == "as text"
        one.set_description("evaluate")
        assert seen("fit").message == "evaluate, as text"
        assert seen("fit").label == "fit"


def test_more_numbers_than_a_task_has_metrics_go_to_the_message(bar: Bars) -> None:
    with bar(total=1) as one:
        one.set_postfix({f"m{number}": number for number in range(10)})
        assert len(seen("tqdm").metrics) == 8
        assert seen("tqdm").message == "m8=8, m9=9"


def test_bytes_by_1024_are_shown_by_1024(bar: Bars) -> None:
    with bar(total=1, unit="B", unit_scale=True, unit_divisor=1024):
        assert seen("tqdm").unit == "iB"


# --- one in another


def test_a_bar_inside_another_one_is_a_part_of_it_and_runs_again(bar: Bars) -> None:
    for _ in bar(range(3), desc="epochs"):
        for _ in bar(range(2), desc="batches", leave=False):
            pass
        with bar(total=4, desc="test") as inside:
            inside.set_postfix(score=1)
            for _ in bar(range(1), desc="deeper"):
                pass
    ids = {"epochs", "epochs/batches", "epochs/test", "epochs/test/deeper"}
    assert {task.id for task in board_here()} == ids
    assert told("epochs/batches") == ("success", 2, 2)
    assert seen("epochs/batches").parent == "epochs"


def test_bars_side_by_side_are_no_parts_of_each_other(bar: Bars) -> None:
    one, two = bar(total=1, position=0), bar(total=1, position=1)
    three = bar(total=1, desc="three")
    assert {task.id for task in board_here()} == {"tqdm", "tqdm-2", "three"}
    for each in (one, three, two):
        each.update()
        each.close()
    assert [task.state for task in board_here()] == ["success"] * 3


def test_a_bar_in_the_block_of_a_task_is_a_part_of_it_and_the_current_task(bar: Bars) -> None:
    with board_here().task("night") as night:
        for _ in bar(range(2), desc="day"):
            assert headway.current().id == "night/day"
            assert sum(1 for _ in headway.track("ab", "hour")) == 2
        assert headway.current().id == night.id
    assert {task.id for task in board_here()} == {"night", "night/day", "night/day/hour"}


def test_after_bars_that_end_in_any_order_none_is_current(bar: Bars) -> None:
    with contextlib.ExitStack() as stack:
        first, second = stack.enter_context(bar(total=1)), stack.enter_context(bar(total=1))
        first.close()
        assert headway.current().id == "tqdm/tqdm"
        second.close()
        assert not headway.current().id


# --- ends


def test_a_block_that_raises_fails_with_the_text(bar: Bars) -> None:
    def fill() -> None:
        with bar(total=2) as one:
            one.update(2)
            raise ValueError("no room")

    with pytest.raises(ValueError, match="no room"):
        fill()
    assert (seen("tqdm").state, seen("tqdm").error) == ("failed", "ValueError: no room")


def test_an_iterable_that_raises_fails_its_loop(bar: Bars) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    with pytest.raises(KeyError):
        list(bar(items()))
    assert (seen("tqdm").state, seen("tqdm").count, seen("tqdm").error) == ("failed", 1, "KeyError: 'gone'")


def test_a_loop_that_is_left_is_cancelled_at_its_count(bar: Bars) -> None:
    for number in bar(range(9)):
        if number == 4:
            break
    assert (told("tqdm"), seen("tqdm").error) == (("cancelled", 4, 9), "the loop was left early")


@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_bar_that_is_closed_before_its_total_is_cancelled(bar: Bars, how: str) -> None:
    one = bar(total=9)
    one.update(4)
    if how == "close":
        one.close()
        one.close()
    del one
    assert (told("tqdm"), seen("tqdm").error) == (("cancelled", 4, 9), "closed at 4 of 9")


def test_what_was_being_handled_before_or_is_no_error_fails_no_bar(bar: Bars) -> None:
    try:
        raise ValueError("before")
    except ValueError:
        assert sum(bar(range(3), desc="in a handler")) == 3
        with bar(total=3, desc="by hand") as one:
            one.update(1)
    one = bar(total=3, desc="at its total")
    try:
        one.update(3)
        raise LookupError("there are no more")
    except LookupError:
        one.close()
    assert told("in a handler") == ("success", 3, 3)
    assert told("by hand") == ("cancelled", 1, 3)
    assert told("at its total") == ("success", 3, 3)


def test_a_bar_that_is_closed_in_a_handler_before_its_total_failed(bar: Bars) -> None:
    one = bar(total=3)
    try:
        raise LookupError("lost")
    except LookupError:
        one.close()
    assert (seen("tqdm").state, seen("tqdm").error) == ("failed", "LookupError: lost")


def test_the_program_that_an_exception_ends_fails_its_loops(run_python: RunPython, board_name: str) -> None:
    script = """
from headway.integrations.tqdm import tqdm
by_hand = tqdm(total=3, desc="by hand")
for number in tqdm(range(5), desc="loop"):
    if number == 2:
        raise RuntimeError("boom")
"""
    done = run_python(script, env={"HEADWAY_BOARD": board_name}, check=False)
    assert done.returncode == 1
    assert "Warning" not in done.stderr
    found = {task.id: (task.state, task.count, task.error) for task in headway.read(board_name).tasks}
    assert found == {
        "by hand": ("failed", 0, "RuntimeError: boom"),
        "loop": ("failed", 2, "RuntimeError: boom"),
    }


# --- it is the bar that it was


def test_the_bar_has_its_iterable_its_length_and_its_errors(bar: Bars) -> None:
    items = [1, 2, 3]
    one = bar(items)
    assert len(one) == 3
    assert 2 in one
    iterator = iter(one)
    assert len(one) == 3
    assert next(iterator) == 1
    assert one.iterable is items
    assert list(iterator) == [2, 3]
    assert one.n == 3
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        list(bar(5))
    assert list(bar(iter("ab"))) == ["a", "b"]


def test_a_bar_draws_what_it_drew(bar: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(kind: Any) -> str:
        stream = io.StringIO()
        for _ in kind(range(4), desc="x", file=stream, mininterval=0, bar_format="{desc} {n}/{total}"):
            pass
        return stream.getvalue()

    def plain(*args: Any, **kwargs: Any) -> Any:
        return tqdm.std.tqdm(*args, **kwargs)

    mirrored = drawn(bar)
    ours.uninstall()
    assert mirrored == drawn(plain)


def test_asynchronous_loops_count_and_end(bar: Bars) -> None:
    kind = bar.asynchronous

    async def items() -> Any:
        for number in range(3):
            yield number

    async def failing() -> Any:
        yield 1
        raise ValueError("in between")

    async def run() -> None:
        assert [number async for number in kind(items(), desc="fine", total=3, file=io.StringIO())] == [0, 1, 2]
        with contextlib.suppress(ValueError):
            async for _ in kind(failing(), desc="failing", file=io.StringIO()):
                pass
        await kind.gather(*(asyncio.sleep(0) for _ in range(4)), desc="gather", file=io.StringIO())

    asyncio.run(run())
    assert told("fine") == ("success", 3, 3)
    assert (seen("failing").state, seen("failing").error) == ("failed", "ValueError: in between")
    assert told("gather") == ("success", 4, 4)


def test_pandas_counts_what_it_applies_to(bar: Bars) -> None:
    import pandas as pd

    bar.kind.pandas(desc="rows", file=io.StringIO())
    assert pd.Series([1, 2, 3]).progress_apply(lambda value: value + 1).sum() == 9
    assert told("rows") == ("success", 3, 3)


def test_threads_share_a_bar(bar: Bars) -> None:
    found = ours.thread_map(abs, range(50), desc="all", max_workers=4, file=io.StringIO(), tqdm_class=bar.kind)
    assert len(found) == 50
    assert told("all") == ("success", 50, 50)


# --- where it cannot be


def test_without_a_board_the_bar_goes_on_after_one_warning(run_python: RunPython) -> None:
    script = """
import io
from headway.system import support
support.SHM = "/nowhere"
from headway.integrations.tqdm import tqdm
for _ in range(3):
    stream = io.StringIO()
    for _ in tqdm(range(3), file=stream):
        pass
    assert "3/3" in stream.getvalue()
"""
    done = run_python(script)
    assert done.stderr.count("RuntimeWarning") == 1
    assert "there is no /nowhere" in done.stderr


def test_a_board_that_is_removed_ends_no_loop(bar: Bars) -> None:
    one = bar(total=10, mininterval=0)
    with warnings.catch_warnings(record=True) as caught:
        board_here().remove()
        for _ in range(10):
            one.update()
        one.close()
    assert one.n == 10
    assert len(caught) <= 2
    board_here()


def test_switched_off_nothing_is_made(bar: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    board = board_here()
    monkeypatch.setenv("HEADWAY_DISABLE", "1")
    assert sum(bar(range(3))) == 3
    monkeypatch.delenv("HEADWAY_DISABLE")
    assert not board.tasks()


def test_uninstall_leaves_tqdm_as_it_was(board_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_BOARD", board_name)
    before = dict(vars(tqdm.std.tqdm))
    ours.install(board_name)
    ours.install(board_name)
    one = tqdm.std.tqdm(total=3, file=io.StringIO())
    ours.uninstall()
    ours.uninstall()
    one.update(3)
    one.close()
    view = seen("tqdm")
    assert (view.state, view.count, view.error) == ("cancelled", 0, "no longer mirrored")
    after = dict(vars(tqdm.std.tqdm))
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) <= {"_headway", "_headway_add", "_lock"}
    assert sum(ours.tqdm(range(3), file=io.StringIO())) == 3, "the classes of the module go on"
    assert told("tqdm") == ("success", 3, 3)
    board_here().remove()


def test_a_bar_of_the_module_counts_once_when_all_are_mirrored_as_well(bar: Bars) -> None:
    ours.install()
    with ours.tqdm(total=3, file=io.StringIO()) as one:
        for _ in range(3):
            one.update()
        assert seen("tqdm").count == 3
    assert [task.state for task in board_here()] == ["success"]


def test_bars_go_to_the_board_that_was_named(board_name: str) -> None:
    with headway.open(board_name) as board:
        use_board(board)
        try:
            for _ in ours.trange(2, desc="named", file=io.StringIO()):
                assert [task.id for task in board] == ["named"]
        finally:
            use_board(None)
        board.remove()


def test_without_tqdm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    monkeypatch.delitem(sys.modules, "headway.integrations.tqdm")
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(headway.errors.MissingExtra, match=r"pip install 'headway\[tqdm\]'"):
        importlib.import_module("headway.integrations.tqdm")


def test_a_notebooks_bar_is_mirrored_too() -> None:
    assert issubclass(ours.tqdm_notebook, tqdm.std.tqdm)
    assert ours.tqdm_notebook is ours.tqdm_notebook
