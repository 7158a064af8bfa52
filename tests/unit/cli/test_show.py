"""'headway show', as a person calls it."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from headway.cli import show
from headway.cli.main import main
from headway.engine.board import Board, open_board
from headway.files import snapshot
from headway.upkeep import removal
from tests.commands import ODD, odd_board
from tests.unit.conftest import NOW, SECOND, build_raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.commands import Headway
    from tests.unit.conftest import Arrays


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    with odd_board(board_name) as made:
        yield made


def test_show_tells_tasks_workers_and_where_they_are_from(call: Headway, board: Board) -> None:
    told = call("show", board.name).stdout
    assert "2,100/5,000 bar" in told
    assert "ValueError: no such bar" in told
    assert str(os.getpid()) in told
    assert told.splitlines()[-1] == "live from shared memory"
    assert "\x1b" not in told


def test_show_tells_all_about_one_task(call: Headway, board: Board) -> None:
    told = call("show", board.name, ODD).stdout
    for expected in (r"\x1b[31mred\x07", "running", "2,100/5,000 bar, 42%", "fold 3/5", "loss = 0.5", '"auc": 0.91'):
        assert expected in told
    assert "\x1b" not in told
    task = json.loads(call("show", board.name, ODD, "--json").stdout)
    assert (task["id"], task["count"], task["source"], task["result"]["note"]) == (ODD, 2100, "live", "é\x1b")


def test_an_unknown_task_is_named_with_its_like(call: Headway, board: Board) -> None:
    finished = call("show", board.name, "brokem", check=False)
    assert finished.returncode == 1
    assert finished.stderr == f"headway: board '{board.name}' has no task 'brokem'; did you mean 'broken'?\n"


def test_a_board_that_is_gone_is_shown_from_its_snapshot(call: Headway, board: Board) -> None:
    path = board.write_snapshot()
    board.remove(files=False)
    told = call("show", board.name).stdout
    assert "2,100/5,000 bar" in told
    assert re.search(rf"{os.getpid()} .* was alive ", told)
    assert told.splitlines()[-1].startswith("from the snapshot of ")
    assert told.splitlines()[-1].endswith(str(path))
    assert json.loads(call("show", board.name, "--json").stdout)["source"] == "snapshot"
    assert json.loads(call("ls", "--json").stdout)[0]["state"] == "snapshot"
    assert "2,100/5,000 bar" in call("show", str(path)).stdout
    removal.remove(board.name)


def test_a_damaged_snapshot_is_one_sentence(call: Headway, board: Board) -> None:
    path = board.write_snapshot()
    board.remove(files=False)
    path.write_bytes(b"PK nonsense")
    finished = call("show", board.name, check=False)
    assert finished.returncode == 1
    assert str(path) in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert "damaged" in call("ls").stdout
    removal.remove(board.name)


def test_of_many_tasks_those_that_need_a_look_are_shown_and_the_others_counted(
    board_name: str,
    views_made: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(show, "SHOWN", 5)
    board = open_board(board_name, capacity=1024, record=False)
    try:
        for number in range(600):
            board.task(f"t{number}").succeed()
        board.task("wrong").fail("ValueError: no prices")
        board.task("busy").update(3)
        assert main(["show", board_name]) == 0
        told = capsys.readouterr().out.splitlines()
        assert {"wrong", "busy"} <= {line.split()[0] for line in told[1:6]}  # one of them has a second line
        assert told[6] == "… and 598 more (598 succeeded)"
        assert told[7].startswith("--all shows every task")
        assert len(views_made) < 10
        assert main(["show", board_name, "--all"]) == 0
        assert len(re.findall(r"^t\d+ ", capsys.readouterr().out, re.MULTILINE)) == 600
    finally:
        board.remove()


def test_of_many_workers_the_dead_ones_are_shown_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show, "WORKERS_SHOWN", 1)
    path = snapshot.write(build_raw(3), tmp_path)
    assert main(["show", str(path)]) == 0
    told = capsys.readouterr().out
    assert re.search(r"701 +Worker-1 +lost", told)
    assert "Worker-0" not in told
    assert "and 1 more workers; --all shows them" in told


def test_among_many_tasks_a_name_like_the_unknown_one_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show, "COMPARED", 20)
    path = snapshot.write(build_raw(300), tmp_path)
    assert main(["show", str(path), "task-15x"]) == 1
    assert "did you mean 'task-15" in capsys.readouterr().err


def test_show_tells_of_each_worker_what_it_has_in_hand(call: Headway, headway_dir: Path) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["shares"]["item"][1], arrays["shares"]["item_ns"][1] = b"\x1b[31mETH", (NOW - 9) * SECOND

    folder = headway_dir / "nightly"
    folder.mkdir(parents=True)
    path = snapshot.write(build_raw(1, edit=edit), folder)
    heads, works, died = call("show", str(path)).stdout.splitlines()[-5:-2]
    assert heads.split() == ["PID", "WORKER", "STATE", "COUNTED", "IN", "HAND", "TASKS"]
    assert "item 0 for 5.0 s" in works
    assert r"\x1b[31mETH for 9.0 s" in died
    by_pid = {worker["pid"]: worker for worker in json.loads(call("show", str(path), "--json").stdout)["workers"]}
    assert (by_pid[700]["item"], by_pid[700]["item_seconds"]) == ("item 0", 5.0)
    assert (by_pid[701]["item"], by_pid[701]["item_seconds"]) == ("\x1b[31mETH", 9.0)


def test_show_has_no_column_for_items_where_nobody_has_one(call: Headway, headway_dir: Path) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["shares"]["item"], arrays["shares"]["item_ns"] = b"", 0

    folder = headway_dir / "nightly"
    folder.mkdir(parents=True)
    told = call("show", str(snapshot.write(build_raw(1, edit=edit), folder))).stdout
    assert "IN HAND" not in told
    assert "TASKS" in told
