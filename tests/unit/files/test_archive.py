"""Tasks that ended are put into the history once, and marked so in their slots."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Any

import pytest

from headway import errors
from headway.files import archive, database, history
from tests.unit.native.handles import STRIPES, file_of, hw_add, in_child, slot_offset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from headway.engine.board import Board
    from headway.engine.task import Task
    from headway.native.core import Segment


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


# --- two archivers of one task, and who opens its counters again


class Interrupted:
    """A segment as one archiver sees it: something happens after each of its steps, and within a copy, once begun."""

    def __init__(self, segment: Segment, meanwhile: Callable[[], object]) -> None:
        self._segment, self._meanwhile = segment, meanwhile

    def __getattr__(self, name: str) -> Any:
        done = getattr(self._segment, name)

        def step(*arguments: Any) -> Any:
            answer = done(*(self._one_by_one(one) if isinstance(one, (list, dict)) else one for one in arguments))
            self._meanwhile()
            return answer

        return step

    def _one_by_one(self, places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        for place in places:
            self._meanwhile()
            yield place


def freed(board: Board, directory: Path, task: Task) -> int:
    """Archive and free a task as a claim does that needs its slot. The count that its row has then."""
    segment = board._segment
    for _ in range(4):
        if segment.free_archived([task._where]):
            (row,) = history.read(directory)
            return row.count
        archived(board, directory)
    pytest.fail("it is not freed")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a history that somebody writes."""
    monkeypatch.setattr(database, "BUSY_S", 0.01)


def archived_meanwhile(board: Board, directory: Path) -> None:
    """By another archiver, whose history may be taken just now."""
    with contextlib.suppress(errors.LockTimeout):
        archived(board, directory)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("counts", [(0, 1), (1, 0), (0, 1, 0, -1), (1, 0, -1), (1, 0, -1, 0)])
@pytest.mark.parametrize("at", range(1, 7))
def test_of_two_who_archive_a_task_the_later_copy_has_the_last_word(
    board: Board, tmp_path: Path, at: int, counts: tuple[int, ...]
) -> None:
    """Wherever the one is interrupted, a straggler counts, and the other one archives the task (0)."""
    task = board.task("one")
    task.update(10)
    native = task.native()
    task.succeed()
    segment, left = board._segment, at

    def meanwhile() -> None:
        nonlocal left
        left -= 1
        if left:
            return
        for n in counts:
            if n:
                assert hw_add(native, n) == 0
            else:
                archived_meanwhile(board, tmp_path)

    with history.Writer(tmp_path) as writer:
        interrupted: Any = Interrupted(segment, meanwhile)
        with contextlib.suppress(errors.LockTimeout):  # should the other one have it in hand
            archive.add(interrupted, writer, board.snapshot().meta, [task._where])
    assert left <= 0  # there are so many steps
    assert freed(board, tmp_path, task) == 10 + sum(counts)


SEALED, STRIPES_OFFSET, STRIPE, TAG_SHIFT = 96, 128, 128, 48  # of headway_layout.h


def count_on(board: Board, task: Task) -> None:
    """Count one as a handle of C does that begins to count and does not come to write the status: hw_bind, hw_add."""
    slot, generation = task._where
    base = slot_offset(board._segment, slot)
    with file_of(board._segment) as memory:
        for at in range(base + STRIPES_OFFSET, base + STRIPES_OFFSET + STRIPES * STRIPE, STRIPE):
            count = struct.unpack_from("<Q", memory, at)[0] & (1 << TAG_SHIFT) - 1
            count += count > 0  # the stripe that is in use
            struct.pack_into("<Q", memory, at, (generation >> 1 & 0xFFFF) << TAG_SHIFT | count)
        struct.pack_into("<Q", memory, base + SEALED, 0)


def test_a_lost_task_that_is_opened_again_has_its_last_count_in_the_history(board: Board, tmp_path: Path) -> None:
    """Its counters were closed when it was copied, and are open when it is copied again."""
    in_child(lambda: board.task("one").update(10))
    board.reap()
    task = board.attach("one")
    archived(board, tmp_path)
    count_on(board, task)
    assert board._segment.free_archived([task._where]) == 0  # its counters are closed now
    archived(board, tmp_path)
    count_on(board, task)
    archived(board, tmp_path)
    (row,) = history.read(tmp_path)
    assert (row.state, row.count) == ("lost", 12)
    assert freed(board, tmp_path, task) == 12


class Yesterday:
    """A segment, copied by a clock that is a day late."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._segment, name)

    def copy_slots(self, places: Iterable[tuple[int, int]]) -> Any:
        taken_ns, *arrays = self._segment.copy_slots(places)
        return taken_ns - 86_400 * 10**9, *arrays


def test_a_wall_clock_that_is_set_back_between_two_copies_keeps_no_older_count(board: Board, tmp_path: Path) -> None:
    task = board.task("one")
    task.update(10)
    native = task.native()
    task.succeed()
    archived(board, tmp_path)
    hw_add(native, 1)
    yesterday: Any = Yesterday(board._segment)
    with history.Writer(tmp_path) as writer:
        archive.add(yesterday, writer, board.snapshot().meta, [task._where])
    assert freed(board, tmp_path, task) == 11


def test_what_another_one_archived_meanwhile_counts_as_archived(board: Board, tmp_path: Path) -> None:
    """A claim that is told of none takes the history for one that cannot be written, and drops a task."""
    task = board.task("one")
    task.succeed()
    steps = iter(range(99))

    def meanwhile() -> None:
        if next(steps) == 1:  # it has looked which tasks there are
            archived(board, tmp_path)

    interrupted: Any = Interrupted(board._segment, meanwhile)
    with history.Writer(tmp_path) as writer:
        assert archive.add(interrupted, writer, board.snapshot().meta, [task._where]) == 1
    assert board._segment.free_archived([task._where]) == 1


# --- what others may do meanwhile


class Meanwhile:
    """A segment as one archiver sees it: something happens once, when it has copied."""

    def __init__(self, segment: Segment, meanwhile: Callable[[], object]) -> None:
        self._segment, self._meanwhile = segment, iter([meanwhile])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._segment, name)

    def copy_slots(self, places: Iterable[tuple[int, int]]) -> Any:
        copied = self._segment.copy_slots(places)
        for meanwhile in self._meanwhile:
            meanwhile()
        return copied


class Killed:
    """A segment whose archiver is killed before it marks anything."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._segment, name)

    def mark_archived(self, *_: int) -> bool:
        return False


@pytest.mark.usefixtures("impatient")
def test_who_has_copied_a_task_keeps_nobody_from_the_history(board: Board, tmp_path: Path) -> None:
    """It may be stopped there for ever: nobody waits for it, nor drops a task because of it."""
    for id in ("one", "two"):
        board.task(id).succeed()
    segment = board._segment
    done: list[list[str]] = []
    interrupted: Any = Meanwhile(segment, lambda: done.append(archived(board, tmp_path)))
    with history.Writer(tmp_path) as writer:
        assert archive.add(interrupted, writer, board.snapshot().meta, segment.finished(16)) == 2
    assert [sorted(ids) for ids in done] == [["one", "two"]]
    assert segment.finished(16) == []


@pytest.mark.parametrize("counts", [(1,), (-1,), (1, -1)])
def test_a_row_is_never_replaced_by_that_of_an_earlier_copy(
    board: Board, tmp_path: Path, counts: tuple[int, ...]
) -> None:
    """Also if who inserted it was killed before it marked the task."""
    task = board.task("one")
    task.update(10)
    native = task.native()
    task.succeed()
    killed: Any = Killed(board._segment)
    seen: list[int] = []

    def meanwhile() -> None:
        for n in counts:
            hw_add(native, n)
        with history.Writer(tmp_path) as writer:
            archive.add(killed, writer, board.snapshot().meta, [task._where])
        task.result = {"late": True}
        with history.Writer(tmp_path) as writer:
            archive.add(killed, writer, board.snapshot().meta, [task._where])
        assert [row.result for row in history.read(tmp_path)] == [{"late": True}]

    class Seen(history.Writer):
        def add_begun(self, *arguments: Any) -> Any:
            answer = super().add_begun(*arguments)
            seen.extend(row.count for row in history.read(tmp_path) if row.result == {"late": True})
            return answer

    interrupted: Any = Meanwhile(board._segment, meanwhile)
    with Seen(tmp_path) as writer:
        assert archive.add(interrupted, writer, board.snapshot().meta, [task._where]) == 1
    assert seen == [10 + sum(counts)] * 2  # overtaken, it changed nothing; then it copied once more
    assert board._segment.free_archived([task._where]) == 1


def test_what_was_written_since_the_copy_is_archived_with_the_next_one(board: Board, tmp_path: Path) -> None:
    task = board.task("one")
    task.succeed()
    interrupted: Any = Meanwhile(board._segment, lambda: setattr(task, "result", {"late": True}))
    with history.Writer(tmp_path) as writer:
        archive.add(interrupted, writer, board.snapshot().meta, [task._where])
    assert board._segment.finished(16) == [task._where]
    assert board._segment.free_archived([task._where]) == 0
    archived(board, tmp_path)
    assert [row.result for row in history.read(tmp_path)] == [{"late": True}]
    assert board._segment.free_archived([task._where]) == 1


def test_a_slot_that_was_given_away_since_the_copy_has_its_last_row_in_the_history(
    board: Board, tmp_path: Path
) -> None:
    task = board.task("one")
    task.update(10)
    native = task.native()
    task.succeed()

    def meanwhile() -> None:
        hw_add(native, 1)
        assert freed(board, tmp_path, task) == 11

    interrupted: Any = Meanwhile(board._segment, meanwhile)
    with history.Writer(tmp_path) as writer:
        archive.add(interrupted, writer, board.snapshot().meta, [task._where])
    assert [row.count for row in history.read(tmp_path)] == [11]


def test_who_is_overtaken_for_too_long_leaves_the_rest_for_the_next_time(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All copies together have one bound: a recorder keeps others from the directory meanwhile."""
    monkeypatch.setattr(archive, "ADD_S", 0.0)
    task = board.task("one")
    task.succeed()
    killed: Any = Killed(board._segment)
    copies = 0

    def overtake() -> None:
        nonlocal copies
        copies += 1
        with history.Writer(tmp_path) as writer:
            archive.add(killed, writer, board.snapshot().meta, [task._where])

    class Overtaken(Meanwhile):
        def copy_slots(self, places: Iterable[tuple[int, int]]) -> Any:
            copied = self._segment.copy_slots(places)
            overtake()
            return copied

    overtaken: Any = Overtaken(board._segment, overtake)
    with history.Writer(tmp_path) as writer:
        assert archive.add(overtaken, writer, board.snapshot().meta, [task._where]) == 1
    assert copies == 1
    assert board._segment.finished(16) == [task._where]
