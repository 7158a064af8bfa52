"""`headway.integrations.rich`: each task of a Progress is a task on a board, and the bars stay what they were."""

from __future__ import annotations

import importlib
import io
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from rich.progress import Progress, track

import headway
from headway.integrations import rich as ours
from tests.looks import seen, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.board import Board

PLAIN = dict(vars(Progress))


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    with headway.open(board_name) as board:
        ours.install(board)
        yield board
        ours.uninstall()
        board.remove()
    assert dict(vars(Progress)) == PLAIN


def shown(**options: Any) -> Progress:
    return Progress(console=Console(file=io.StringIO()), auto_refresh=False, **options)


def test_each_task_counts_at_once_however_it_is_told_and_succeeds_at_its_total(board: Board) -> None:
    with shown() as progress:
        one = progress.add_task("[red]Downloading...[/red]", total=10, completed=1)
        other = progress.add_task("[green]Parsing", total=3)
        progress.advance(one)
        progress.update(one, advance=2)
        assert told(board) == {"Downloading": ("running", 4, 10), "Parsing": ("running", 0, 3)}
        progress.update(one, completed=9, total=20)
        assert told(board)["Downloading"] == ("running", 9, 20)
        for _ in range(6):
            progress.advance(other, 0.5)
        assert told(board)["Parsing"] == ("success", 3, 3)
        progress.update(one, completed=20)
    assert told(board) == {"Downloading": ("success", 20, 20), "Parsing": ("success", 3, 3)}


def test_track_counts_all_of_its_items(board: Board) -> None:
    console = Console(file=io.StringIO())
    assert list(track(range(7), "items", console=console)) == list(range(7))
    assert told(board) == {"items": ("success", 7, 7)}


def test_what_is_open_at_the_end_is_cancelled_or_failed_and_without_a_total_it_succeeds(board: Board) -> None:
    with shown() as progress:
        progress.add_task("half", total=4, completed=2)
        progress.add_task("no end", total=None, completed=5)

    def fail() -> None:
        with shown() as progress:
            progress.add_task("files", total=4, completed=2)
            raise ValueError("no such file")

    with pytest.raises(ValueError, match="no such file"):
        fail()
    assert told(board) == {
        "half": ("cancelled", 2, 4),
        "no end": ("success", 5, None),
        "files": ("failed", 2, 4),
    }
    assert seen(board, "files").error == "ValueError: no such file"


def test_one_that_is_reset_or_grows_goes_on_and_one_that_is_removed_has_ended(board: Board) -> None:
    with shown() as progress:
        one = progress.add_task("again", total=2, completed=2)
        assert told(board)["again"] == ("success", 2, 2)
        progress.reset(one, total=3)
        assert told(board)["again"] == ("running", 0, 3)
        progress.update(one, completed=3)
        progress.update(one, total=5)
        assert told(board)["again"] == ("running", 3, 5)
        progress.remove_task(one)
        assert seen(board, "again").error == "closed at 3 of 5"
        with pytest.raises(KeyError):
            progress.advance(one)


def test_numbers_are_metrics_and_a_changed_description_comes_first_in_the_message(board: Board) -> None:
    with shown() as progress:
        one = progress.add_task("fit", total=2, loss=0.5, name="BTC")
        progress.update(one, description="fit, fold [b]2[/b]", loss=0.25)
        view = seen(board, "fit")
        assert (view.label, view.message, dict(view.metrics)) == ("fit", "fit, fold 2", {"loss": 0.25})


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads that take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_lose_no_count(board: Board, impatient: None) -> None:
    with shown() as progress:
        one = progress.add_task("all", total=None)

        def advance() -> None:
            for _ in range(500):
                progress.advance(one)

        workers = [threading.Thread(target=advance) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert told(board) == {"all": ("success", 2000, None)}


def test_bars_in_a_block_are_parts_of_its_task_and_none_are_made_where_rich_is_off(board: Board) -> None:
    with board.task("job"), shown() as progress, shown(disable=True) as off:
        progress.add_task("part", total=1, completed=1)
        off.advance(off.add_task("nothing"))
    assert set(told(board)) == {"job", "job/part"}


def test_a_forked_copy_counts_nothing(board: Board) -> None:
    with shown() as progress:
        one = progress.add_task("forked", total=4)
        child = os.fork()
        if not child:
            try:
                progress.advance(one)
                progress.stop()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert told(board) == {"forked": ("running", 0, 4)}


def test_switched_off_nothing_is_made(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_DISABLE", "1")
    with shown() as progress:
        progress.advance(progress.add_task("off"))
    monkeypatch.delenv("HEADWAY_DISABLE")
    assert not board.tasks()


def test_uninstall_cancels_what_is_open(board: Board) -> None:
    with shown() as progress:
        one = progress.add_task("open", total=4)
        ours.uninstall()
        progress.advance(one)
    assert told(board) == {"open": ("cancelled", 0, 4)}


def test_without_rich_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "headway.integrations.rich")
    monkeypatch.delitem(sys.modules, "headway.integrations.rich_place")
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(headway.errors.MissingExtra, match=r"pip install 'headway\[rich\]'"):
        importlib.import_module("headway.integrations.rich")
