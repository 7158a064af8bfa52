"""What becomes of a board whose recording fails in the process that serves it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from headway.native import core
from headway.process.address import Wish
from headway.recorder.served import Served

if TYPE_CHECKING:
    from headway.engine.board import Board

PATIENCE_S = 30.0


def _no_clock() -> float:
    raise RuntimeError("no clock of this thread")


def test_a_board_whose_recording_failed_is_not_handed_to_the_same_process_again(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(core, "START_SECONDS", 0.05)
    segment = board._segment
    segment.want_recorder()
    served = Served(Wish(board.name, segment.uuid))
    with monkeypatch.context() as patch:
        patch.setattr(time, "thread_time", _no_clock)
        assert served.do() is None
    assert not segment.recorder_alive
    until = time.monotonic() + PATIENCE_S
    while not (how := segment.may_start_recorder()):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert how == 2, "it was in vain: one for this board alone is next"


def test_a_board_that_another_process_records_is_left_to_it(board: Board) -> None:
    segment = board._segment
    assert segment.elect()
    segment.want_recorder()
    assert Served(Wish(board.name, segment.uuid)).do() is None
    assert segment.recorder == segment.incarnation
    segment.resign()
