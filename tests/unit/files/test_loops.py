"""Boards that nobody named: which they are, and for how long they stay."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import headway
from headway import errors
from headway.bars import loop
from headway.engine import board as engine
from headway.files import loops
from headway.files.directory import LOOPS, last_sign_of_life
from headway.recorder import old_loops
from headway.system import paths
from headway.upkeep import removal

DAY_S = 86400.0


def finished(name: str, *, days_ago: float = 8.0, named: str | None = None, opened: bool = False) -> Path:
    """The directory of a board whose loops are over since then. named: its name in `track`; opened: by open(), too."""
    board = loop._opened(named)
    assert board.name == name
    if opened:
        assert headway.open(name, record=False) is board
    board.task("work", total=1).succeed()
    del loop._boards[board._segment.uuid]
    board.write_snapshot()
    directory = board.directory
    board.remove(files=False)
    before = time.time() - days_ago * DAY_S
    for path in directory.iterdir():
        os.utime(path, (before, before))
    return directory


@pytest.fixture
def name(board_name: str, monkeypatch: pytest.MonkeyPatch, headway_dir: Path) -> str:
    """What `track` calls a board here if nobody does."""
    monkeypatch.setenv("HEADWAY_RECORD", "0")
    monkeypatch.delenv("HEADWAY_BOARD", raising=False)
    monkeypatch.delenv(loops.VARIABLE, raising=False)
    monkeypatch.setattr("sys.argv", [f"{board_name}.py"])
    return board_name


def test_the_board_of_finished_loops_goes_a_week_after_its_last_use(name: str) -> None:
    directory = finished(name, days_ago=6.9)
    old_loops.tidy(directory.parent)
    assert last_sign_of_life(directory) is not None
    directory = finished(name, days_ago=7.1)
    assert loops.goes_at(directory, 7.0) == pytest.approx(time.time() - 0.1 * DAY_S, abs=60)
    old_loops.tidy(directory.parent)
    assert not directory.exists()


def test_gc_removes_it_and_says_why(name: str) -> None:
    directory = finished(name)
    (would,) = removal.gc([name], dry_run=True)
    assert directory.exists()
    assert [would] == removal.gc([name])
    assert not directory.exists()
    assert would.bytes > 0
    assert "nobody named it" in would.reason


@pytest.mark.parametrize("how", ["track", "open", "environment", "open later"])
def test_a_board_that_somebody_named_stays(how: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "environment":
        monkeypatch.setenv("HEADWAY_BOARD", name)
    if how == "open":
        headway.open(name, record=False).close()
    directory = finished(name, named=name if how == "track" else None, opened=how == "open later")
    assert not (directory / LOOPS).exists()
    old_loops.tidy(directory.parent)
    assert removal.gc([name]) == []
    assert last_sign_of_life(directory) is not None


def test_a_board_in_shared_memory_stays_however_old_its_files_are(name: str) -> None:
    directory = finished(name)
    board = loop._opened(None)
    del loop._boards[board._segment.uuid]
    for path in directory.iterdir():
        os.utime(path, (0, 0))
    assert old_loops.remove_due(directory, 7.0) is False
    assert board.task("again").id == "again"
    board.remove(files=True)


def test_what_a_reboot_ended_goes_too(name: str) -> None:
    directory = finished(name)
    (directory / "segment").write_text("0" * 32)
    os.utime(directory / "segment", (0, 0))
    assert old_loops.remove_due(directory, 7.0)
    assert not directory.exists()


@pytest.mark.parametrize(("text", "days"), [("", 7.0), ("0", None), ("30", 30.0), ("0.5", 0.5)])
def test_the_days_can_be_chosen_and_0_means_for_ever(text: str, days: float | None) -> None:
    assert loops.kept_days({loops.VARIABLE: text}) == days


@pytest.mark.parametrize("text", ["a week", "-1", "nan"])
def test_a_number_of_days_that_is_none_is_refused_and_removes_nothing(
    text: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = finished(name)
    monkeypatch.setenv(loops.VARIABLE, text)
    with pytest.raises(errors.InvalidVariable, match=f"HEADWAY_LOOP_DAYS='{text}' is not a number of days"):
        loops.kept_days()
    old_loops.tidy(directory.parent)
    assert directory.exists()


def test_a_recorder_removes_a_bounded_number_at_its_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_loops, "REMOVED_MOST", 2)
    root = paths.roots()[0]
    for number in range(3):
        made = root / f"{name}-{number}"
        made.mkdir(parents=True, exist_ok=True)
        for file in (LOOPS, "recorder.lock"):
            (made / file).touch()
            os.utime(made / file, (0, 0))
    old_loops.tidy(root)
    assert len(list(root.glob(f"{name}-*"))) == 1
    old_loops.tidy(root)
    assert not list(root.glob(f"{name}-*"))
    assert not engine._boards.get((root / name, name))
