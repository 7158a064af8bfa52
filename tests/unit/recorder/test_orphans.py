"""Which boards a recorder takes up that nobody told it of."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headway.engine.board import Board
from headway.files import retention
from headway.native import core
from headway.recorder import orphans
from headway.system import shm

DIES = """
import os, signal, sys
from headway.engine.board import open_board
segment = open_board(sys.argv[1], record=False)._segment
segment.want_recorder()
assert segment.elect()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def orphan(board: Board, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board that wants a recorder, and whose recorder was killed."""
    monkeypatch.setattr(core, "SILENT_SECONDS", 0.0)
    done = subprocess.run([sys.executable, "-c", DIES, board.name], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    return board


def test_a_board_whose_recorder_was_killed_is_found_and_by_one_alone(orphan: Board) -> None:
    (wish,) = orphans.find(orphan.directory.parent)
    assert (wish.name, wish.uuid) == (orphan.name, orphan._segment.uuid)
    assert orphans.find(orphan.directory.parent) == []


def test_nothing_of_its_history_is_deleted(orphan: Board) -> None:
    (wish,) = orphans.find(orphan.directory.parent)
    assert retention.kept(wish.days, wish.rows) == (math.inf, None)


def test_one_of_another_directory_is_not(orphan: Board, tmp_path: Path) -> None:
    assert orphans.find(tmp_path) == []


def test_one_that_is_not_to_be_recorded_is_not(orphan: Board) -> None:
    orphan._segment.want_recorder(False)
    assert orphans.find(orphan.directory.parent) == []


def test_one_whose_recorder_lives_is_not(orphan: Board) -> None:
    assert orphan._segment.elect()
    assert orphans.find(orphan.directory.parent) == []
    orphan._segment.resign()


def test_one_of_which_somebody_was_told_in_vain_is_left_to_its_programs(
    orphan: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "START_SECONDS", 0.0)
    assert orphan._segment.may_start_recorder() == 1
    assert orphans.find(orphan.directory.parent) == []


@pytest.mark.parametrize("content", [b"", b"\xff" * 32, b"0" * 32])
def test_one_whose_directory_names_anything_else_is_passed_over(orphan: Board, content: bytes) -> None:
    assert orphan.directory in shm.directories()  # from then on its directory is known, whatever is in it
    named = orphan.directory / "segment"
    before = named.read_bytes()
    named.write_bytes(content)
    try:
        assert orphans.find(orphan.directory.parent) == []
    finally:
        named.write_bytes(before)
