"""Which board a command means, and where its state is from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.cli import _source
from headway.files import snapshot

if TYPE_CHECKING:
    from headway.engine.board import Board


def leave(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).mkdir(parents=True)
        (directory / name / "snapshot.npz").touch()


def test_the_environment_names_the_board_before_anything_else(
    board: Board, headway_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_BOARD", "other")
    assert _source.choose() == "other"
    monkeypatch.setenv("HEADWAY_BOARD", "a b")
    with pytest.raises(errors.HeadwayError, match="HEADWAY_BOARD is wrong: board name 'a b' is not legal"):
        _source.choose()


def test_the_only_board_and_the_only_live_one_need_no_name(board: Board, headway_dir: Path) -> None:
    assert _source.choose() == board.name
    leave(headway_dir, "past", "older")
    assert _source.choose() == board.name


def test_of_several_boards_one_has_to_be_named(headway_dir: Path) -> None:
    with pytest.raises(errors.UnknownBoard, match="there is no board: start a program that opens one"):
        _source.choose()
    leave(headway_dir, "a", "b")
    with pytest.raises(errors.UnknownBoard, match="there are 2 boards: name one of a, b"):
        _source.choose()


def test_a_state_says_where_it_is_from(board: Board) -> None:
    board.task("one").update()
    live = _source.find(board.name)
    assert (live.state, live.path, live.told()) == ("live", None, "live from shared memory")
    assert live.parts()["source"] == "live"
    path = board.write_snapshot()
    filed = _source.find(str(path))
    assert (filed.state, filed.path) == ("snapshot", path)
    assert filed.told().startswith("from the snapshot of ")
    assert filed.told().endswith(f"old: {path}")


def test_a_snapshot_of_a_recorder_that_was_copied_without_its_changes_says_so(board: Board, tmp_path: Path) -> None:
    board.task("one").update()
    raw = board.snapshot().raw
    raw.meta[snapshot.MAY_HAVE_CHANGES] = True
    path = snapshot.write(raw, tmp_path)
    assert (
        _source.find(str(path))
        .told()
        .endswith(f"{path}; what changed soon after stood in changes.npz, which is not beside it")
    )
    (tmp_path / "changes.npz").write_bytes(b"")
    assert _source.find(str(path)).told().endswith(f"old: {path}")


def test_a_board_that_its_processes_have_left_is_unused(board: Board) -> None:
    board.task("one").succeed()
    board.close()
    found = _source.find(board.name)
    assert (found.state, found.view.tasks[0].state) == ("unused", "success")
    assert "no process uses the board any more" in found.told()
