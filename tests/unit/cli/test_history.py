"""'headway history', as a person calls it."""

from __future__ import annotations

import csv
import json
import time
from typing import TYPE_CHECKING

import pytest

import headway.files.history
import headway.files.snapshot
from headway.engine.board import Board
from headway.native.records import RECORD_BYTES, task_fields
from tests.commands import ODD, odd_board
from tests.unit.conftest import LOST, SECOND, add, ended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.commands import Headway
    from tests.unit.conftest import Arrays


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    with odd_board(board_name) as made:
        yield made


def archive(board: Board) -> int:
    """Put what has ended into the history, as the recorder does. Returns how many tasks that were."""
    raw = board.snapshot().raw
    count = len(raw.tasks) // RECORD_BYTES["tasks"]
    ended = [number for number in range(count) if task_fields(raw.tasks, number)["ended"] is not None]
    with headway.files.history.Writer(board.directory) as writer:
        return writer.add(raw, ended)


def test_history_tells_what_has_ended_the_newest_first(call: Headway, board: Board) -> None:
    board.task("all", total=7, unit="bar").update(7)
    board.attach("all").succeed()
    assert archive(board) == 2
    told = call("history", board.name).stdout
    heads, newest, oldest, _, last = told.splitlines()
    assert heads.split() == ["ENDED", "STATE", "COUNT", "TOOK", "TASK"]
    assert newest.split()[2:5] == ["succeeded", "7/7", "bar"]
    assert oldest.split()[2:] == ["failed", "0", "it", "broken", "ValueError:", "no", "such", "bar"]
    assert last == f"2 tasks ended within the last 24 h: {board.directory / 'history.sqlite3'}"
    assert ODD not in told  # it goes on


def test_history_can_be_asked_for_less_and_in_other_forms(call: Headway, board: Board) -> None:
    board.attach(ODD).succeed()
    archive(board)

    def ids(*arguments: str) -> list[str]:
        return [task["id"] for task in json.loads(call("history", board.name, "--json", *arguments).stdout)]

    assert ids() == [ODD, "broken"]
    assert ids("--hours", "inf", "--limit", "1") == [ODD]
    assert ids("--state", "failed") == ["broken"]
    assert ids("--task", ODD) == [ODD]
    assert ids("--task", "nope") == []
    (line, _) = call("history", board.name, "--format", "ndjson").stdout.splitlines()
    task = json.loads(line)
    assert (task["board"], task["state"], task["result"]["auc"], task["uuid"]) == (
        board.name,
        "success",
        0.91,
        board.snapshot().uuid,
    )
    (row,) = csv.DictReader(call("history", board.name, "--format", "csv", "--limit", "1").stdout.splitlines())
    assert (row["id"], row["state"], row["count"]) == (ODD, "success", "2100")
    told = call("history", board.name, "--task", "nope").stdout
    assert told == f"no such task ended within the last 24 h: {board.directory / 'history.sqlite3'}\n"
    assert "\x1b" not in call("history", board.name).stdout


def test_a_table_has_the_newest_fifty_and_says_how_many_more_there_are(call: Headway, board: Board) -> None:
    for number in range(60):
        task = board.task(f"part {number:02d}")
        task.update()
        task.succeed()
        if number % 5 == 4:
            archive(board)
    *_, more, last = call("history", board.name, "--search", "PART").stdout.splitlines()
    assert more == "and 10 more; --limit 60 shows all"
    assert last.startswith("60 tasks ended within the last 24 h: ")
    told = call("history", board.name, "--search", "part", "--limit", "60").stdout
    assert len(told.splitlines()) == 1 + 60 + 2
    assert "more" not in told
    assert len(json.loads(call("history", board.name, "--search", "part", "--json").stdout)) == 60


def test_a_damaged_history_is_one_sentence(call: Headway, board: Board) -> None:
    archive(board)
    (board.directory / "history.sqlite3").write_text("nonsense")
    finished = call("history", board.name, check=False)
    assert finished.returncode == 1
    assert "history.sqlite3 is not what was written" in finished.stderr
    assert finished.stderr.count("\n") == 1
    finished = call("history", board.name, "--check", check=False)
    assert finished.returncode == 1
    assert "It is now history.damaged-" in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert call("history", board.name, "--check").stdout == f"{board.directory} has no history yet\n"
    archive(board)
    assert call("history", board.name, "--check").stdout.endswith("history.sqlite3 is whole\n")


def test_a_lost_task_is_told_with_what_each_of_its_dead_workers_had_in_hand(
    call: Headway, headway_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(arrays: Arrays) -> None:
        shares = arrays["shares"]
        shares["alive"], shares["pid"] = 0, [4242, 701]
        shares["item"], shares["item_ns"] = [b"BTC-1h", b"\x1b[31mETH"], int((at - 12) * SECOND)

    monkeypatch.setenv("COLUMNS", "240")
    at = time.time()
    directory = headway_dir / "nightly"
    directory.mkdir(parents=True)
    add(directory, ended(1, at=at, taken=at, state=LOST, edit=edit))
    told = call("history", "nightly").stdout
    assert r"pid 4242 died with BTC-1h in hand for 12 s, and pid 701 (\x1b[31mETH), in stage fit at 20/100 bar" in told
    (task,) = json.loads(call("history", "nightly", "--json").stdout)
    assert [(share["pid"], share["item"]) for share in task["workers_lost"]] == [(4242, "BTC-1h"), (701, "\x1b[31mETH")]
