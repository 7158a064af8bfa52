"""`headway doctor` names what is wrong, with what mends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from headway.engine import segments
from headway.engine.board import Board, open_board
from headway.files import snapshot
from headway.system import shm
from headway.upkeep import diagnosis


def headway(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headway", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL, env=env
    )


def findings(about: str) -> list[dict[str, Any]]:
    """What doctor says about a board."""
    told = headway("doctor", "--json")
    assert not told.stderr
    return [one for one in json.loads(told.stdout) if one["about"] == about]


def finding(about: str, words: str) -> dict[str, Any]:
    (found,) = [one for one in findings(about) if words in one["told"]]
    return found


@pytest.fixture
def board(board_name: str) -> Any:
    board = open_board(board_name, capacity=8, workers=8)
    yield board
    if not board._segment.closed:
        board.remove(files=True)


def test_a_sound_board_gives_no_finding(board: Board) -> None:
    board.write_snapshot()
    assert findings(board.name) == []
    assert [one["level"] for one in findings("shared memory") if f"{shm.SHM} has" in one["told"]] != []


@pytest.mark.parametrize(
    ("written", "said"), [("", True), ("[Login]\n#RemoveIPC=no\n", True), ("[Login]\nRemoveIPC=no\n", False)]
)
def test_a_systemd_that_removes_boards_at_logout_is_named_with_its_remedy(
    written: str, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logind.conf").write_text(written)
    monkeypatch.setattr(diagnosis, "SYSTEMD", tmp_path)
    monkeypatch.setattr(diagnosis, "LOGIND", (str(tmp_path / "logind.conf"),))
    monkeypatch.setattr(diagnosis, "SYSTEM_UIDS", 0)
    found = [one for one in diagnosis.diagnose() if one.about == "logout"]
    assert ["RemoveIPC=no" in one.remedy and "RemoveIPC=yes" in one.told for one in found] == [True] * said


def test_a_file_system_without_locks_is_an_error(board: Board) -> None:
    denied = (
        "import errno, runpy, sys\n"
        "from tests.faults.places import deny\n"
        "deny((('flock', errno.ENOLCK),))\n"
        "sys.argv = ['headway', 'doctor', '--json']\n"
        "runpy.run_module('headway', run_name='__main__')\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", denied],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (found,) = [one for one in json.loads(told.stdout) if one["about"] == board.name and "lock" in one["told"].lower()]
    assert (found["level"], found["remedy"]) == ("error", "set HEADWAY_DIR to another file system")
    assert str(board.directory) in found["told"]
    assert told.returncode == 1


def test_a_damaged_snapshot_is_an_error_and_so_is_the_exit_status(board: Board) -> None:
    path = board.write_snapshot()
    path.write_bytes(b"nothing of the kind")
    found = finding(board.name, "snapshot.npz")
    assert found["level"] == "error"
    assert found["remedy"] == f"rm '{path}'"
    told = headway("doctor")
    assert told.returncode == 1
    assert str(path) in told.stdout


def test_a_damaged_history_is_an_error_that_its_remedy_mends(board: Board) -> None:
    path = board.directory / "history.sqlite3"
    path.write_bytes(b"nothing of the kind")
    found = finding(board.name, "history.sqlite3")
    assert (found["level"], found["remedy"]) == ("error", f"headway history {board.name} --check")
    assert headway(*found["remedy"].split()[1:]).returncode == 1
    assert not path.exists()
    assert finding(board.name, "were set aside")["level"] == "warning"


def test_a_board_that_nobody_uses_is_named_with_its_remedy(board: Board) -> None:
    board.task("one").succeed()
    board._segment.leave()
    assert finding(board.name, "no process uses it")["remedy"] == f"headway gc {board.name}"
    assert headway("gc", board.name).returncode == 0
    assert findings(board.name) == []
    assert snapshot.read(board.directory).counts["success"] == 1


def test_a_board_without_the_recorder_it_should_have_is_named(board: Board) -> None:
    board._segment.want_recorder()
    assert finding(board.name, "no recorder")["remedy"] == f"headway record {board.name}"


def test_a_stopped_recorder_is_named(board: Board, board_name: str) -> None:
    with subprocess.Popen([sys.executable, "-m", "headway", "record", board_name], stdout=subprocess.PIPE) as recorder:
        try:
            until = time.monotonic() + 30
            while not board._segment.sequence:
                assert time.monotonic() < until
                time.sleep(0.01)
            os.kill(recorder.pid, signal.SIGSTOP)
            # Nobody waits twenty seconds for it here: its last sign of life is set back.
            with (shm.SHM / segments.object_name(board_name, board._segment.uuid)[1:]).open("r+b") as file:
                file.seek(528)
                old = time.monotonic_ns() - 60 * 10**9
                file.write(old.to_bytes(8, sys.byteorder))
            found = finding(board_name, "silent")
            assert str(recorder.pid) in found["told"]
            assert f"kill -CONT {recorder.pid}" in found["remedy"]
        finally:
            os.kill(recorder.pid, signal.SIGCONT)
            recorder.terminate()
            recorder.wait()


def test_errors_of_the_recorder_are_named(board: Board) -> None:
    board._segment.note(28)  # ENOSPC
    found = finding(board.name, "No space left")
    assert found["level"] == "error"
    assert str(board.directory) in found["remedy"]


def test_a_recorder_that_failed_is_named_with_its_last_words(board: Board) -> None:
    (board.directory / "recorder.log").write_text("2026-01-01 00:00:00 pid 1\nTraceback\nValueError: nonsense\n")
    assert "ValueError: nonsense" in finding(board.name, "ended with an error")["told"]


def test_a_segment_that_is_no_board_is_an_error(board: Board) -> None:
    path = shm.SHM / segments.object_name(board.name, board._segment.uuid)[1:]
    board.close()
    os.truncate(path, 4096)
    found = finding(board.name, "segment")
    assert found["level"] == "error"
    assert headway(*found["remedy"].split()[1:]).returncode == 0
    assert findings(board.name) == []


def test_strays_are_named(headway_dir: Path, board_name: str) -> None:
    stray = shm.SHM / f"headway-{os.geteuid()}-{board_name}-{'0' * 32}"
    stray.write_bytes(b"")
    os.utime(stray, (1, 1))
    assert finding("shared memory", board_name)["remedy"] == "headway gc"
    headway("gc", board_name)
    assert not stray.exists()


def test_switches_that_keep_boards_from_being_recorded_are_named() -> None:
    assert "HEADWAY_RECORD=0" in headway("doctor").stdout
    assert "HEADWAY_DISABLE" in headway("doctor", env={**os.environ, "HEADWAY_DISABLE": "1"}).stdout


def test_a_module_in_the_way_of_the_old_import_path_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert findings("analysis") == []
    module = tmp_path / "file_based_progress_tracker.py"
    module.write_text("")
    found = finding("analysis", str(module))
    assert (found["level"], found["remedy"]) == ("warning", f"move it away: mv '{module}' '{module}.old'")


def test_a_directory_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_DIR", "/dev/null/x")
    found = finding("directory", "/dev/null/x cannot be written")
    assert found["level"] == "error"
    assert "HEADWAY_DIR" in found["remedy"]
