"""`headway rm`: several boards at once, and those that nobody has used for long; never one that is in use."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.cli.main import main
from headway.engine.board import Board, open_board
from headway.upkeep import listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., Path]

DAY_S = 86400


@pytest.fixture
def make(board_name: str, headway_dir: Path) -> Make:
    """Makes a board that left a snapshot so many days ago. Returns its directory."""

    def made(suffix: str, days: float = 0.0) -> Path:
        board = open_board(f"{board_name}-{suffix}", capacity=8)
        board.task("one").succeed()
        path = board.write_snapshot()
        board.remove(files=False)
        age(path.parent, days)
        return path.parent

    return made


def age(directory: Path, days: float) -> None:
    """Make all files of a board look as old as that."""
    at = time.time() - days * DAY_S
    for path in directory.iterdir():
        os.utime(path, (at, at))


@pytest.fixture
def live(board_name: str) -> Iterator[Board]:
    board = open_board(f"{board_name}-live", capacity=8)
    yield board
    with contextlib.suppress(FileNotFoundError):
        board.remove(files=True)


def test_several_boards_go_at_once_and_one_that_is_not_there_keeps_no_other(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = make("a"), make("b")
    assert main(["rm", first.name, "no-such-board", second.name]) == 1
    assert not first.exists()
    assert not second.exists()
    told = capsys.readouterr()
    assert "there is no board 'no-such-board'" in told.err
    assert told.out.count("removed file") == 2


def test_older_takes_what_nobody_has_used_for_so_long(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    old, young = make("old", days=31), make("young", days=29)
    assert main(["rm", "--older", "30d", "--json"]) == 0
    removed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in removed] == [str(old / "snapshot.npz")]
    assert not old.exists()
    assert young.exists()


def test_one_file_that_was_written_since_keeps_an_old_board(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    old = make("old", days=31)
    (old / "recorder.lock").touch()
    assert main(["rm", "--older", "30d"]) == 0
    assert old.exists()
    assert capsys.readouterr().out == "no board is that old and unused\n"


def test_older_never_takes_a_board_in_use(live: Board, capsys: pytest.CaptureFixture[str]) -> None:
    age(live.directory, days=400)
    assert main(["rm", "--older", "30d"]) == 0
    assert main(["rm", "--older", "30d", live.name]) == 0
    assert listing.is_live(live.name)
    assert capsys.readouterr().out == "no board is that old and unused\n" * 2


def test_older_goes_by_the_tasks_of_a_board_that_no_recorder_wrote(live: Board) -> None:
    live.task("one").update()
    live.close()  # and nobody uses it
    age(live.directory, days=400)
    assert main(["rm", "--older", "1h"]) == 0
    assert live.directory.exists(), "its task counted a moment ago"
    assert main(["rm", "--older", "0m"]) == 0
    assert not live.directory.exists()


def test_a_dry_run_says_the_same_and_removes_nothing(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    old = make("old", days=31)
    assert main(["rm", "--older", "4w", "--dry-run"]) == 0
    assert capsys.readouterr().out == f"would remove file {old / 'snapshot.npz'}\n"
    assert main(["rm", "--dry-run", old.name]) == 0
    assert (old / "snapshot.npz").exists()


def test_a_dry_run_of_a_board_in_use_refuses_as_the_removal_would(
    live: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    live.task("one").update()
    assert main(["rm", "--dry-run", live.name]) == 1
    assert f"in use by pid {os.getpid()}" in capsys.readouterr().err
    assert main(["rm", "--dry-run", "--force", live.name]) == 0
    assert listing.is_live(live.name)
    assert live.snapshot().tasks[0].count == 1


def test_without_a_name_or_an_age_nothing_is_removed(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    directory = make("a", days=400)
    with pytest.raises(SystemExit) as ended:
        main(["rm", "--dry-run"])
    assert ended.value.code == 2
    assert "name at least one BOARD, or give --older AGE" in capsys.readouterr().err
    assert directory.exists()
