"""How often `headway watch` looks at a board, and how it prints it; its ways through a terminal are in integration."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from headway.cli import watch
from headway.cli.main import main
from headway.engine.board import Board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.views.board_view import BoardView


@pytest.mark.parametrize(
    ("look_s", "arguments", "rest_s"),
    [
        (0.004, [], 0.0),
        (0.15, [], 4 * (0.15 - watch._LIGHT_S)),
        (60.0, [], 5.0),
        (0.15, ["--interval", "0.25"], None),
    ],
)
def test_a_board_that_takes_long_to_look_at_is_looked_at_less_often_unless_an_interval_is_given(
    board: Board,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    look_s: float,
    arguments: list[str],
    rest_s: float | None,
) -> None:
    spent = 0.0
    rests: list[float] = []

    def views(self: Board, interval: float) -> Iterator[BoardView]:
        nonlocal spent
        for _ in range(3):
            spent += look_s
            yield self.snapshot()

    monkeypatch.setattr(Board, "watch", views)
    monkeypatch.setattr(time, "process_time", lambda: spent)
    monkeypatch.setattr(time, "sleep", rests.append)
    assert main(["watch", board.name, "--json", *arguments]) == 0
    assert rests == ([] if rest_s is None else [pytest.approx(rest_s)] * 3)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["name"] for line in lines] == [board.name] * 4


def test_as_json_a_look_is_one_line_that_holds_the_whole_board(
    board: Board, views_made: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    board.task("one", total=3).update(2)
    board.task("two").succeed()
    assert main(["watch", board.name, "--json", "--once"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert {task["id"]: task["count"] for task in told["tasks"]} == {"one": 2, "two": 0}
    assert len(views_made) == 2
    assert told.keys() == board.snapshot().to_dict().keys()
