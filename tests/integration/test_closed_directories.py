"""What this user may not read is not taken for empty: each view names it, and shows the rest."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from headway.engine.board import open_board
from headway.files import history
from headway.tasks.states import STATES
from tests.integration.dashboard import Mirror, Server, eventually
from tests.unit.conftest import build_raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Finished, RunPython
    from tests.unit.conftest import Arrays

# Root without any capability is held to the modes of its own files, as everybody is.
LIKE_ANYBODY = "import ctypes; ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())"


@pytest.fixture
def command(run_python: RunPython) -> Callable[..., Finished]:
    def command(*arguments: str) -> Finished:
        return run_python(
            f"import sys; {LIKE_ANYBODY}\nfrom headway.cli.main import main\nsys.exit(main({list(arguments)!r}))",
            check=False,
        )

    return command


@pytest.fixture
def boards(headway_dir: Path, board_name: str) -> Iterator[list[str]]:
    """Two boards that have only files left; all modes are given back at the end."""
    names = [f"{board_name}-a", f"{board_name}-b"]
    for name in names:
        board = open_board(name, capacity=4, workers=4)
        board.task("one", total=2).succeed()
        board.write_snapshot()
        board.remove(files=False)
    yield names
    for path in (headway_dir, *(headway_dir / name for name in names)):
        with contextlib.suppress(NotADirectoryError):
            os.chmod(path, 0o700)


@pytest.fixture
def server(headway_dir: Path, boards: list[str]) -> Iterator[Server]:
    made = Server(before=LIKE_ANYBODY)
    yield made
    made.end()
    assert made.errors == ""


def test_a_board_whose_directory_is_closed_is_listed_with_the_reason_beside_the_others(
    headway_dir: Path, boards: list[str], command: Callable[..., Finished]
) -> None:
    closed, other = boards
    os.chmod(headway_dir / closed, 0)
    assert command("ls", "--names").stdout.split() == boards
    listed: list[dict[str, Any]] = json.loads(command("ls", "--json").stdout)
    assert [(one["name"], one["state"]) for one in listed] == [(closed, "damaged"), (other, "snapshot")]
    assert "cannot be entered" in listed[0]["error"]
    shown = command("show", closed)
    assert shown.returncode == 1
    assert "cannot be entered" in shown.stderr
    assert command("show", other).returncode == 0
    assert "are: " in command("show", "nosuch").stderr
    assert f"chmod u+rwx '{headway_dir / closed}'" in listed[0]["error"]
    assert "remove" not in listed[0]["error"]  # nothing is wrong with it
    assert f"chmod u+rwx '{headway_dir / closed}'" in command("history", closed).stderr
    assert command("gc").returncode == 0
    tidied = command("gc", closed)
    assert tidied.returncode == 1
    assert tidied.stdout == ""
    assert f"{headway_dir / closed} cannot be entered" in tidied.stderr
    told = command("doctor").stdout
    assert f"{headway_dir / closed} cannot be entered" in told
    assert f"chmod u+rwx '{headway_dir / closed}'" in told
    assert f"rm '{headway_dir / closed}" not in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a board to another user")
def test_a_board_of_another_user_is_told_as_such_by_every_command(
    headway_dir: Path, boards: list[str], command: Callable[..., Finished]
) -> None:
    foreign, other = boards
    os.chown(headway_dir / foreign, 54321, -1)
    told = f"{headway_dir / foreign} belongs to user 54321"
    listed: list[dict[str, Any]] = json.loads(command("ls", "--json").stdout)
    assert [(one["name"], one["state"]) for one in listed] == [(foreign, "damaged"), (other, "snapshot")]
    assert told in listed[0]["error"]
    for arguments in (("show", foreign), ("history", foreign), ("gc", foreign), ("rm", foreign)):
        done = command(*arguments)
        assert done.returncode == 1, arguments
        assert told in done.stderr
        assert done.stdout == ""
    assert command("gc", other).returncode == 0


def test_a_history_that_may_not_be_read_is_told_as_such(
    headway_dir: Path, boards: list[str], command: Callable[..., Finished]
) -> None:
    with history.Writer(headway_dir / boards[0]) as writer:
        writer.add(build_raw(3, edit=_ended), range(3))
    path = headway_dir / boards[0] / history.HISTORY
    path.chmod(0)
    done = command("history", boards[0])
    assert done.returncode == 1
    assert "no permission to read it" in done.stderr
    assert "write" not in done.stderr
    assert "chmod u+rw" in done.stderr


def _ended(arrays: Arrays) -> None:
    arrays["tasks"]["state"] = STATES.index("success")
    arrays["tasks"]["ended_ns"] = arrays["tasks"]["created_ns"] + 10**9


@pytest.mark.parametrize("kind", ["closed", "only to be entered", "file"])
def test_a_directory_for_boards_that_cannot_be_read_is_named_not_taken_for_empty(
    headway_dir: Path, boards: list[str], command: Callable[..., Finished], kind: str
) -> None:
    _spoil(headway_dir, kind)
    for arguments in (("ls",), ("ls", "--names"), ("show", "nosuch"), ("gc", "--dry-run")):
        done = command(*arguments)
        assert done.returncode == 1, arguments
        assert done.stdout == ""
        assert str(headway_dir) in done.stderr
        assert "set HEADWAY_DIR" in done.stderr
    done = command("doctor")
    assert done.returncode == 1
    assert "set HEADWAY_DIR" in done.stdout
    assert "Traceback" not in done.stderr


def _spoil(directory: Path, kind: str) -> None:
    if kind == "file":
        directory.rename(directory.with_name("aside"))
        directory.write_text("no directory")
    else:
        os.chmod(directory, 0o000 if kind == "closed" else 0o300)


def test_the_server_tells_of_a_board_that_it_may_not_read_and_shows_it_when_it_may(
    headway_dir: Path, boards: list[str], server: Server
) -> None:
    closed, other = boards

    def errors_of() -> dict[str, Any]:
        return {one["name"]: one["error"] for one in server.get("/api/boards").json["boards"]}

    assert errors_of() == {closed: None, other: None}
    os.chmod(headway_dir / closed, 0)
    told = errors_of()
    assert told[other] is None
    assert told[closed]["code"] == "unreadable"
    assert told[closed]["detail"].endswith(": Permission denied")
    assert str(headway_dir / closed) in told[closed]["detail"]
    for path in ("", "/history", "/tasks/one"):
        answer = server.get(f"/api/boards/{closed}{path}")
        assert (answer.status, answer.json["code"]) == (503, "unreadable"), path
        assert "Permission denied" in answer.json["detail"]
    os.chmod(headway_dir / closed, 0o700)
    eventually(lambda: errors_of() == {closed: None, other: None})


def test_the_server_names_a_history_that_it_may_not_read(headway_dir: Path, boards: list[str], server: Server) -> None:
    file = headway_dir / boards[0] / history.HISTORY
    file.write_bytes(b"")
    os.chmod(file, 0)
    answer = server.get(f"/api/boards/{boards[0]}/history")
    assert (answer.status, answer.json["code"]) == (503, "unreadable")
    assert str(file) in answer.json["detail"]
    assert "ermission" in answer.json["detail"]
    assert "JSON" not in answer.json["detail"]
    assert server.get(f"/api/boards/{boards[1]}/history").status == 200


@pytest.mark.parametrize("kind", ["closed", "only to be entered", "file"])
def test_the_server_tells_that_it_cannot_list_the_boards_until_it_can(
    headway_dir: Path, boards: list[str], server: Server, kind: str
) -> None:
    mirror = Mirror()
    with server.stream() as stream:
        stream.until(mirror, lambda mirror: set(mirror.boards) == set(boards))
        assert mirror.unlisted is None
        _spoil(headway_dir, kind)
        stream.until(mirror, lambda mirror: mirror.unlisted is not None)
        told = server.get("/api/boards").json["error"]
        assert told["code"] == "unreadable"
        assert str(headway_dir) in told["detail"]
        assert mirror.unlisted == told
        assert server.get("/api/boards/nosuch").status == 503
        if kind == "file":
            headway_dir.unlink()
            headway_dir.with_name("aside").rename(headway_dir)
        os.chmod(headway_dir, 0o700)
        stream.until(mirror, lambda mirror: mirror.unlisted is None and set(mirror.boards) == set(boards))
