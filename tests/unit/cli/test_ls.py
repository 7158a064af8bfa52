"""`headway ls --names`: for scripts and for the completion of shells, quick and without a look into the boards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headway.cli.main import main

if TYPE_CHECKING:
    import pytest

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
