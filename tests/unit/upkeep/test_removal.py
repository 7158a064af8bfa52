"""What may be removed when, and what stays."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.engine import segments
from headway.engine.board import Board
from headway.files import history, snapshot
from headway.upkeep import listing, removal

if TYPE_CHECKING:
    from tests.unit.upkeep.conftest import StartWorker

SHM = Path("/dev/shm")


def state(name: str) -> str | None:
    info = listing.find(name)
    return None if info is None else info.state


def test_gc_leaves_a_board_alone_that_somebody_has_open(board: Board) -> None:
    assert removal.gc([board.name]) == []
    board.task("x").update()
    assert removal.gc([board.name]) == []
    assert board.snapshot().tasks[0].count == 1


def test_gc_keeps_the_last_state_of_what_it_removes(abandoned: str) -> None:
    (removed,) = removal.gc([abandoned])
    assert (removed.kind, removed.name, removed.error) == ("board", abandoned, None)
    assert not list(SHM.glob(f"*-{abandoned}-*"))
    info = listing.find(abandoned)
    assert info is not None
    assert info.view is not None
    (task,) = info.view.tasks
    assert (task.state, task.count, task.stage, task.message) == ("lost", 40, "parse", "decoder.py")


def test_a_dry_run_removes_nothing_and_says_the_same(abandoned: str) -> None:
    would = removal.gc([abandoned], dry_run=True)
    assert state(abandoned) == "unused"
    assert removal.gc([abandoned]) == would
    assert removal.gc([abandoned]) == []


def test_gc_says_what_it_could_not_remove(abandoned: str, headway_dir: Path) -> None:
    (headway_dir / abandoned / "snapshot.npz").mkdir()  # nothing can be renamed to there
    (kept,) = removal.gc([abandoned])
    assert kept.error
    assert state(abandoned) == "unused"
    (headway_dir / abandoned / "snapshot.npz").rmdir()


def test_gc_removes_old_objects_that_nothing_refers_to(abandoned: str, headway_dir: Path) -> None:
    (headway_dir / abandoned / "segment").unlink()
    (segment,) = SHM.glob(f"headway-*-{abandoned}-*")
    assert removal.gc([abandoned]) == []  # it may be under construction
    long_ago = time.time() - 3600
    for path in (segment, SHM / f"sem.{segment.name}"):
        os.utime(path, (long_ago, long_ago))
    assert [one.kind for one in removal.gc([abandoned])] == ["segment"]
    assert not list(SHM.glob(f"*{segment.name}"))


def test_gc_removes_damaged_objects_and_lonely_semaphores(board_name: str) -> None:
    name = segments.object_name(board_name, "0" * 32)
    long_ago = time.time() - 3600
    made = (SHM / name[1:], SHM / f"sem.{name[1:]}".replace("0" * 32, "1" * 32))
    for path in made:
        path.write_bytes(b"?" * 100)
        path.chmod(0o600)
        os.utime(path, (long_ago, long_ago))
    assert {one.kind for one in removal.gc([board_name])} == {"segment", "semaphore"}
    assert not any(path.exists() for path in made)


def test_gc_removes_what_a_killed_creator_left(board: Board) -> None:
    left = board.directory / ".segment.1234.abcdef01"
    left.touch()
    assert [one.name for one in removal.gc([board.name])] == [str(left)]
    assert not left.exists()


def test_a_board_in_use_is_not_removed_and_the_pids_are_told(board_name: str, worker: StartWorker) -> None:
    with worker(board_name) as process:
        with pytest.raises(errors.HeadwayError, match=rf"in use by pid {process.pid}: end that process first"):
            removal.remove(board_name)
        assert state(board_name) == "live"
        assert [one.kind for one in removal.remove(board_name, force=True)] == ["segment"]
    assert state(board_name) is None


def test_removing_tells_what_went(abandoned: str, headway_dir: Path) -> None:
    watched = listing.attach(abandoned)
    assert watched is not None
    with contextlib.closing(watched):
        watched.write_snapshot()
        watched.write_snapshot()
    for name in ("recorder.lock", "recorder.log"):
        (headway_dir / abandoned / name).touch()
    removed = removal.remove(abandoned)
    assert [one.kind for one in removed] == ["segment", "file", "file"]
    assert {Path(one.name).name for one in removed[1:]} == {snapshot.SNAPSHOT, snapshot.PREVIOUS}
    assert all(one.bytes > 0 for one in removed)
    assert not (headway_dir / abandoned).exists()


def test_files_can_be_kept(abandoned: str) -> None:
    removal.gc([abandoned])
    assert removal.remove(abandoned, files=False) == []
    assert state(abandoned) == "snapshot"


def test_what_lies_in_the_directory_and_is_not_ours_stays(abandoned: str, headway_dir: Path) -> None:
    notes = headway_dir / abandoned / "notes.txt"
    notes.write_text("mine")
    removal.remove(abandoned)
    assert notes.read_text() == "mine"


def test_a_damaged_board_is_removed_only_by_force(abandoned: str) -> None:
    (segment,) = SHM.glob(f"headway-*-{abandoned}-*")
    os.truncate(segment, 100)
    with pytest.raises(errors.CorruptBoard):
        removal.remove(abandoned)
    removal.remove(abandoned, force=True)
    assert not segment.exists()


def test_an_unknown_board_is_named_with_those_there_are(board: Board) -> None:
    with pytest.raises(errors.UnknownBoard, match=rf"no board 'nope'.*: {board.name}"):
        removal.remove("nope")


def test_gc_removes_what_a_creator_of_a_history_left_who_was_killed(board: Board) -> None:
    left = board.directory / ".history.0123456789abcdef.tmp"
    left.write_bytes(b"half")
    (told,) = removal.gc([board.name], dry_run=True)
    assert (told.kind, told.name, told.bytes) == ("file", str(left), 4)
    assert left.exists()
    removal.gc([board.name])
    assert not left.exists()


def test_a_board_takes_its_history_along_when_its_files_are_removed(board: Board) -> None:
    board.task("work").succeed()
    raw = board.snapshot().raw
    with history.Writer(board.directory) as writer:
        writer.add(raw, [0])
    board.remove(files=False)
    assert [task.id for task in history.read(board.directory)] == ["work"]
    board.remove(files=True)
    assert not board.directory.exists()


def test_gc_leaves_boards_of_other_directories_alone_unless_it_is_asked(
    abandoned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_DIR", str(tmp_path / "another"))
    assert removal.gc([abandoned]) == []
    assert [(one.kind, one.name) for one in removal.gc([abandoned], everywhere=True)] == [("board", abandoned)]


def test_gc_leaves_a_board_alone_whose_directory_was_moved_as_it_cannot_keep_its_last_state_there(
    abandoned: str, headway_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = headway_dir.rename(tmp_path / "moved")
    monkeypatch.setenv("HEADWAY_DIR", str(moved))
    (segment,) = SHM.glob(f"headway-*-{abandoned}-*")
    os.utime(segment, (0, time.time() - 3600))
    assert removal.gc([abandoned]) == []
    assert segment.exists()
