"""What a recorder writes: the whole board once, and then what has changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headway.engine.board import Board, open_board
from headway.files import changes, snapshot
from headway.recorder.recorder import Recorder

ENDED = 200


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    """A board with many tasks that have ended."""
    with open_board(board_name, capacity=256, workers=8, record=False) as board:
        for number in range(ENDED):
            with board.task(f"ended {number}", total=1) as task:
                task.update()
                task.result = {"number": number, "text": "x" * 200}
        yield board
        board.remove(files=True)


@pytest.fixture
def recorder(board: Board) -> Iterator[Recorder]:
    recorder = Recorder.elected(board)
    assert recorder._cycle()
    yield recorder
    recorder.resign()


def inode(board: Board, name: str) -> int:
    return (board.directory / name).stat().st_ino


def test_ended_tasks_are_written_once_while_others_count(board: Board, recorder: Recorder) -> None:
    task = board.task("counts", total=10**6)
    assert recorder._cycle()
    whole, results = inode(board, snapshot.SNAPSHOT), inode(board, snapshot.RESULTS)
    written = 0
    for at in range(1, 21):
        task.update()
        assert recorder._cycle()
        written += (board.directory / changes.CHANGES).stat().st_size
        view = snapshot.read(board.directory)
        found = view.get("counts")
        assert found is not None
        assert (found.count, view.counts.success) == (at, ENDED)
    assert (inode(board, snapshot.SNAPSHOT), inode(board, snapshot.RESULTS)) == (whole, results)
    assert written / 20 < 10_000 < (board.directory / snapshot.SNAPSHOT).stat().st_size / 20


def test_results_and_ends_that_come_are_in_what_is_read(board: Board, recorder: Recorder) -> None:
    results = inode(board, snapshot.RESULTS)
    for number in range(5):
        with board.task(f"new {number}") as task:
            task.merge_result({"number": number})
            assert recorder._cycle()
            task.merge_result({"more": True})
        assert recorder._cycle()
        view = snapshot.read(board.directory)
        assert len(view) == ENDED + number + 1
        for id, wanted in ((f"new {number}", {"number": number, "more": True}), ("new 0", {"number": 0, "more": True})):
            found = view.get(id)
            assert found is not None
            assert (found.state, found.result) == ("success", wanted)
        old = view.get("ended 7")
        assert old is not None
        assert old.result == {"number": 7, "text": "x" * 200}
    assert inode(board, snapshot.RESULTS) == results, "the results of ended tasks were written again"


def test_the_whole_is_written_when_what_was_written_more_is_as_much(board: Board, recorder: Recorder) -> None:
    wholes, seen = 0, inode(board, snapshot.SNAPSHOT)
    task, sizes = board.task("counts"), 0
    for _ in range(300):
        task.update()
        assert recorder._cycle()
        now = inode(board, snapshot.SNAPSHOT)
        if now == seen:
            sizes += (board.directory / changes.CHANGES).stat().st_size
        wholes, seen = wholes + (now != seen), now
    size = (board.directory / snapshot.SNAPSHOT).stat().st_size
    assert wholes == sizes // (4 * size) >= 1
    assert snapshot.read(board.directory).counts.success == ENDED


def test_where_half_of_the_tasks_count_the_whole_is_written(board: Board, recorder: Recorder) -> None:
    tasks = [board.attach(f"ended {number}") for number in range(ENDED // 2 + 10)]
    for task in tasks:
        task.update()
    before = inode(board, snapshot.SNAPSHOT)
    assert recorder._cycle()
    assert inode(board, snapshot.SNAPSHOT) != before


def test_a_snapshot_that_the_program_writes_is_followed_by_the_whole(board: Board, recorder: Recorder) -> None:
    task = board.task("counts")
    for _ in range(3):
        task.update()
        assert recorder._cycle()
    board.write_snapshot()
    written = inode(board, snapshot.SNAPSHOT)
    task.update()
    assert recorder._cycle()
    assert inode(board, snapshot.SNAPSHOT) != written
    view = snapshot.read(board.directory)
    found = view.get("counts")
    assert found is not None
    assert found.count == 4


def test_the_end_is_the_whole(board: Board, recorder: Recorder) -> None:
    task = board.task("counts")
    task.update()
    assert recorder._cycle()
    task.update()
    assert recorder._cycle(last=True)
    for path in board.directory.glob("changes*"):
        path.unlink()
    found = snapshot.read(board.directory).get("counts")
    assert found is not None
    assert found.count == 2


def test_changes_are_forced_to_the_disk_only_where_their_snapshot_was(board: Board, recorder: Recorder) -> None:
    """A power cut may take what was not: changes without their snapshot are of no use."""
    files = recorder._files
    task = board.task("counts")
    assert recorder._cycle()
    assert files._standing is not None
    task.update()
    files._standing.synced = False
    files._synced_at -= 60
    before = inode(board, snapshot.SNAPSHOT)
    assert recorder._cycle()
    assert inode(board, snapshot.SNAPSHOT) != before
    assert files._standing.synced
