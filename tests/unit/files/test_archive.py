"""Tasks that ended are put into the history once, and marked so in their slots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.files import archive, history

if TYPE_CHECKING:
    from pathlib import Path

    from headway.engine.board import Board


def archived(board: Board, directory: Path) -> list[str]:
    segment = board._segment
    with history.Writer(directory) as writer:
        archive.add(segment, writer, board.snapshot().meta, segment.finished(16))
    return [task.id for task in history.read(directory)]


def test_tasks_are_marked_when_they_are_in_the_history_and_not_added_again(board: Board, tmp_path: Path) -> None:
    for id in ("one", "two"):
        board.task(id).succeed()
    board.task("open").update()
    assert sorted(archived(board, tmp_path)) == ["one", "two"]
    assert board._segment.finished(16) == []
    assert sorted(archived(board, tmp_path)) == ["one", "two"]


def test_a_task_that_is_written_after_its_end_is_archived_once_more(board: Board, tmp_path: Path) -> None:
    task = board.task("one")
    task.succeed()
    archived(board, tmp_path)
    task.result = {"late": True}
    archived(board, tmp_path)
    (found,) = history.read(tmp_path)
    assert found.result == {"late": True}


def test_no_tasks_cost_no_look_at_the_board(board: Board, tmp_path: Path) -> None:
    board.close()
    with history.Writer(tmp_path) as writer:
        assert archive.add(board._segment, writer, {}, []) == 0


def test_room_is_made_for_one_place_or_for_a_batch(board: Board, tmp_path: Path) -> None:
    for id in ("one", "two", "three"):
        board.task(id).succeed()
    segment, meta = board._segment, board.snapshot().meta
    assert archive.make_room(segment, tmp_path, meta, segment.finished(1)[0]) == 1
    assert archive.make_room(segment, tmp_path, meta, None) == 2


def test_no_room_is_made_where_the_history_cannot_be_written(board: Board, tmp_path: Path) -> None:
    board.task("one").succeed()
    (tmp_path / "file").touch()
    assert archive.make_room(board._segment, tmp_path / "file", board.snapshot().meta, None) is None
    assert len(board._segment.finished(16)) == 1
