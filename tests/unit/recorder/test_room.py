"""Slots are kept free ahead of need, as fast as tasks are claimed."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from headway.engine import attached
from headway.engine.board import open_board
from headway.files import archive, database, history
from headway.native.series import Series
from headway.recorder.recorder import Recorder
from headway.recorder.room import Room

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.board import Board

CAPACITY = 64


@pytest.fixture
def full(board_name: str) -> Iterator[Board]:
    """A board of tasks that have ended, whose history somebody writes."""
    board = open_board(board_name, capacity=CAPACITY, record=False)
    board._segment.want_recorder()
    for number in range(CAPACITY):
        board.task(f"{number:02}").succeed()
    yield board
    board.remove(files=True)


def archive_all(board: Board) -> None:
    at = attached.known(board._segment.uuid)
    assert at is not None
    while archive.make_room(at.segment, at.directory, at.copy_meta(), None):
        pass


def test_nothing_leaves_a_full_board_on_which_nobody_claims_a_slot(full: Board) -> None:
    room = Room(full._segment)
    archive_all(full)
    room.look()
    assert len(full) == CAPACITY
    assert room.lasts_until(0.0) == float("inf")


def test_the_tasks_that_ended_first_leave_a_board_on_which_many_are_claimed(full: Board) -> None:
    room = Room(full._segment)
    archive_all(full)
    for number in range(4):
        full.task(f"new {number}")
    room.look()
    assert full._segment.stock == CAPACITY // 8
    assert full._segment.dropped == 0
    assert {view.id for view in full.tasks()} >= {"63", "new 0", "new 3"}
    assert room.lasts_until(0.0) < float("inf")


def test_where_there_is_nothing_to_archive_or_free_the_next_look_at_the_board_is_soon_enough(
    full: Board,
) -> None:
    room = Room(full._segment)
    archive_all(full)
    for number in range(4):
        full.task(f"new {number}")
    room.look()
    for view in full.tasks():
        if view.state == "success":
            full._restart(view.id, "runs")
    with history.Writer(full.directory) as writer:
        assert room.more(writer, full._at.copy_meta(), Series()) == 0
    assert room.lasts_until(0.0) == float("inf")


def test_a_recorder_that_cannot_write_the_history_looks_no_more_often_however_fast_tasks_are_claimed(
    full: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    archive_all(full)
    recorder = Recorder.elected(full)
    try:
        recorder.step()
        with contextlib.closing(sqlite3.connect(full.directory / history.HISTORY, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(4):
                full.task(f"new {number}").succeed()
            recorder._whole_at = 0.0
            recorder.step()
        assert recorder.problem is not None
        assert recorder.due == recorder._whole_at
        recorder._whole_at = 0.0
        recorder.step()
        assert recorder.problem is None
    finally:
        recorder.resign()
