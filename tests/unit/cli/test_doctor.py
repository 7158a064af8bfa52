"""`headway doctor`: how findings are printed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from headway.cli.main import main
from headway.engine.board import open_board
from headway.system import shm
from headway.upkeep import removal

if TYPE_CHECKING:
    from pathlib import Path


def test_a_remedy_that_several_findings_share_is_printed_once(
    headway_dir: Path, board_name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(removal, "GRACE_S", -60.0)
    objects = [shm.SHM / f"headway-{os.geteuid()}-{board_name}-{number}-{'f' * 32}" for number in range(3)]
    try:
        for path in objects:
            path.touch()
        main(["doctor"])
    finally:
        for path in objects:
            path.unlink()
    said = capsys.readouterr().out.splitlines()
    told = [at for at, line in enumerate(said) if f"{board_name}-" in line]
    assert told == list(range(told[0], told[0] + 3)), "no remedy between them"
    assert "-> headway gc" in next(line for line in said[told[-1] :] if "->" in line)


@pytest.mark.parametrize("command", ["show", "history", "export", "report", "watch", "top", "rm", "gc", "record"])
def test_a_mistyped_name_of_a_board_leads_to_the_right_one(
    command: str, board_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_board(board_name, capacity=8, record=False) as board:
        board.task("work")
        assert main([command, f"{board_name}x"]) == 1
        assert f"did you mean {board_name!r}" in capsys.readouterr().err
        board.remove(files=True)
