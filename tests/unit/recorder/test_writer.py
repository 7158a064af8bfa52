"""What a recorder writes: the whole board once, and then what has changed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest

from headway.engine.board import Board, open_board
from headway.files import changes, snapshot
from headway.native import scans
from headway.recorder import writer
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


def forced(recorder: Recorder) -> None:
    """Five seconds have passed."""
    recorder._files._synced_at -= 60


def test_the_whole_is_written_when_what_was_written_more_is_as_much(board: Board, recorder: Recorder) -> None:
    board.task("counts")
    assert recorder._cycle()
    wholes, seen = 0, inode(board, snapshot.SNAPSHOT)
    for number in range(ENDED // 5):
        board.task(f"new {number}").succeed()
        assert recorder._cycle()
        now = inode(board, snapshot.SNAPSHOT)
        wholes, seen = wholes + (now != seen), now
    assert 1 <= wholes <= 8
    assert snapshot.read(board.directory).counts.success == ENDED + ENDED // 5


def test_no_snapshot_gets_old_and_the_next_one_is_due_with_what_is_forced(board: Board, recorder: Recorder) -> None:
    """All that changed since depends on it."""
    task = board.task("counts")
    task.update()
    assert recorder._cycle()
    standing = recorder._files._standing
    assert standing is not None
    assert standing.old_at - time.monotonic() <= 60
    standing.old_at -= 100
    before = inode(board, snapshot.SNAPSHOT)
    task.update()
    assert recorder._cycle()
    assert inode(board, snapshot.SNAPSHOT) == before
    forced(recorder)
    task.update()
    assert recorder._cycle()
    assert inode(board, snapshot.SNAPSHOT) != before


def test_of_a_large_board_no_more_is_written_for_its_age_than_ten_gibibytes_a_day(
    board: Board, recorder: Recorder
) -> None:
    raw = recorder._board._copy()
    for size in (1 << 20, 64 << 20, 1 << 30):
        raw.meta["sequence"] = 1
        standing = writer._Standing(raw, board.directory / snapshot.SNAPSHOT, size, True)
        assert size / (standing.old_at - time.monotonic()) * 86_400 < 4 << 30


def test_that_the_history_has_a_task_is_no_change(board: Board, recorder: Recorder) -> None:
    task = board.task("counts")
    board._segment.want_recorder()  # nobody is started for it, but now it has a history
    for number in range(ENDED // 10):
        board.task(f"new {number}").succeed()
    forced(recorder)
    recorder._write(board._copy(results=False), False)  # and nothing is archived yet
    whole = inode(board, snapshot.SNAPSHOT)
    changed = (board.directory / changes.CHANGES).stat().st_size
    task.update()
    assert recorder._cycle()  # which archives them
    assert scans.unarchived(board._copy().tasks) == []
    task.update()
    assert recorder._cycle()
    assert (board.directory / changes.CHANGES).stat().st_size <= changed + 2048
    assert inode(board, snapshot.SNAPSHOT) == whole


def test_changes_to_a_snapshot_that_somebody_cut_are_of_no_use_and_the_whole_is_written(
    board: Board, recorder: Recorder
) -> None:
    task = board.task("counts")
    assert recorder._cycle()
    with (board.directory / snapshot.SNAPSHOT).open("r+b") as file:
        file.truncate(1000)
    task.update()
    assert recorder._cycle()
    view = snapshot.read(board.directory)
    assert (len(view), view.from_prev) == (ENDED + 1, False)


def test_a_small_board_is_written_whole_and_not_forced_more_often(board_name: str) -> None:
    with open_board(board_name, capacity=8, workers=8, record=False) as board:
        tasks = [board.task(str(number)) for number in range(3)]
        recorder = Recorder.elected(board)
        assert recorder._cycle()
        tasks[0].update()
        assert recorder._cycle()
        for _ in range(20):
            tasks[0].update()
            assert recorder._cycle()
            with np.load(board.directory / snapshot.SNAPSHOT, allow_pickle=False) as arrays:
                assert json.loads(bytes(arrays["meta.json"]))["synced"] is False
        assert not (board.directory / changes.CHANGES).exists()
        recorder.resign()
        board.remove(files=True)


def test_a_folder_in_the_place_of_the_changes_keeps_nothing_from_being_recorded(
    board: Board, recorder: Recorder
) -> None:
    task = board.task("counts")
    task.update()
    assert recorder._cycle()
    (board.directory / changes.CHANGES).unlink()
    (board.directory / changes.CHANGES).mkdir()
    task.update()
    assert not recorder._cycle()
    assert "folder" in str(recorder.problem)
    found = snapshot.read(board.directory).get("counts")
    assert found is not None
    assert found.count == 2
    (board.directory / changes.CHANGES).rmdir()
    task.update()
    assert recorder._cycle()


def test_a_snapshot_of_a_recorder_says_that_it_may_have_changes_and_the_last_one_that_it_has_none(
    board: Board, recorder: Recorder
) -> None:
    assert snapshot.read(board.directory).meta["may_have_changes"] is True
    assert recorder._cycle(last=True)
    assert snapshot.read(board.directory).meta["may_have_changes"] is False


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
    forced(recorder)
    before = inode(board, snapshot.SNAPSHOT)
    assert recorder._cycle()
    assert inode(board, snapshot.SNAPSHOT) != before
    assert files._standing.synced
