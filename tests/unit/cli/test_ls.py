"""`headway ls`: which boards are shown, in which order, and how little is read for that."""

from __future__ import annotations

import gc
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.cli import ls
from headway.cli.main import main
from headway.files import snapshot
from headway.views.board_view import BoardView
from tests.unit.conftest import build_raw

if TYPE_CHECKING:
    from headway.engine.board import Board


def test_names_are_those_of_boards_whatever_is_in_them(
    board: Board, headway_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, file in (("damaged", "snapshot.npz"), ("past", "history.sqlite3"), ("other", "notes.txt")):
        (headway_dir / name).mkdir()
        (headway_dir / name / file).write_text("nonsense")
    (headway_dir / "not a name").mkdir()
    (headway_dir / "not a name" / "segment").touch()
    assert main(["ls", "--names"]) == 0
    assert capsys.readouterr().out.splitlines() == sorted(["damaged", "past", board.name])


def leave(directory: Path, tasks: int, age: float) -> None:
    """The snapshot of a board that ended so many seconds ago."""
    directory.mkdir(parents=True)
    raw = build_raw(tasks)
    path = snapshot.write(raw._replace(meta={**raw.meta, "name": directory.name}), directory)
    os.utime(path, (time.time() - age,) * 2)


def lines_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["ls", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_boards_in_use_come_first_then_the_newest_and_the_others_are_counted(
    board: Board, headway_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ls, "SHOWN", 3)
    for name, age in (("old", 500), ("a-new", 10), ("oldest", 900), ("b-new", 5)):
        leave(headway_dir / name, 3, age)
    os.utime(board.directory / "segment", (1, 1))  # it is in use all the same
    told = lines_of(capsys)
    assert [line.split()[0] for line in told[1:4]] == [board.name, "b-new", "a-new"]
    assert told[4] == "and 2 more, older ones: 'headway ls --all' shows them"
    told = lines_of(capsys, "--all")
    assert [line.split()[0] for line in told[1:]] == [board.name, "b-new", "a-new", "old", "oldest"]


def test_of_a_snapshot_only_the_head_is_read(
    headway_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        leave(headway_dir / f"board-{number}", 100, 60)
    monkeypatch.setattr(snapshot, "read", lambda *_, **__: pytest.fail("a snapshot was read whole"))
    assert all("snapshot" in line and " 100 " in line for line in lines_of(capsys)[1:])


def test_as_json_one_board_is_in_memory_at_a_time(
    headway_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, there = snapshot.read, []

    def watched(directory: Path) -> BoardView:
        there.append(sum(type(one) is BoardView for one in gc.get_objects()))
        return read(directory)

    monkeypatch.setattr(snapshot, "read", watched)
    for number in range(5):
        leave(headway_dir / f"board-{number}", 2, 60)
    before = sum(type(one) is BoardView for one in gc.get_objects())
    found = json.loads("\n".join(lines_of(capsys, "--json")))
    assert [board["name"] for board in found] == [f"board-{number}" for number in range(5)]
    assert [len(board["tasks"]) for board in found] == [2] * 5
    assert max(there) <= before + 1
