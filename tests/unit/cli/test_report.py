"""'headway report', as a person calls it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from headway.cli.main import main
from headway.files import history
from headway.upkeep import removal

if TYPE_CHECKING:
    from pathlib import Path

    from headway.engine.board import Board


class Tags(HTMLParser):
    """Every tag, its attributes and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_command_writes_live_boards_and_their_history(board: Board, tmp_path: Path) -> None:
    board.task("over", total=3).succeed()
    with history.Writer(board.directory) as writer:
        writer.add(board._copy(), [0])
    board.task("on <b>", total=3).update()
    place = tmp_path / "report.html"
    assert main(["report", board.name, "-o", str(place)]) == 0
    text = Tags(place.read_text()).text
    assert "2 tasks" in text
    assert "on <b>" in text
    board.write_snapshot()
    board.close()
    removal.remove(board.name, files=False, force=True)
    assert main(["report", board.name, "-o", str(place)]) == 0
    assert "over" in place.read_text()


def test_an_impossible_number_of_hours_is_refused(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["report", board.name, "--hours", "-1"])
    assert "'-1' is not a number of hours" in capsys.readouterr().err
