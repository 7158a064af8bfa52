"""The commands on real boards of other processes, as a person or a program calls them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import headway.files.history
import headway.files.snapshot
from headway.engine.board import Board, open_board
from headway.native.records import RECORD_BYTES, task_fields
from headway.upkeep import listing, removal
from tests.commands import ODD, odd_board

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.commands import Headway
    from tests.conftest import RunPython


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    with odd_board(board_name) as made:
        yield made


def test_ls_tells_the_boards_and_their_tasks(call: Headway, board: Board) -> None:
    (line,) = [line for line in call("ls").stdout.splitlines() if board.name in line]
    assert line.split()[1:6] == ["live", "1", "0", "0", "1"]  # none has succeeded
    assert line.endswith("1 failed")
    (found,) = json.loads(call("ls", "--json").stdout)
    assert (found["name"], found["state"], found["workers_alive"]) == (board.name, "live", 1)
    assert [(task["id"], task["count"], task["total"]) for task in found["tasks"]] == [
        (ODD, 2100, 5000),
        ("broken", 0, None),
    ]


def test_an_output_in_ascii_is_no_obstacle(call: Headway, board: Board) -> None:
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    for arguments in (("ls",), ("show", board.name), ("show", board.name, ODD), ("watch", board.name, "--once")):
        assert call(*arguments, env=env).stdout.isascii()


def test_the_only_board_need_not_be_named(call: Headway, board: Board) -> None:
    assert call("show").stdout.startswith(f"{board.name} ")
    other = open_board(f"{board.name}-b", capacity=8)
    with contextlib.closing(other):
        finished = call("show", check=False)
        assert finished.returncode == 1
        assert f"there are 2 boards: name one of {board.name}, {other.name}" in finished.stderr
        assert call("show", env={"HEADWAY_BOARD": other.name}).stdout.startswith(f"{other.name} ")
        other.remove(files=True)


def test_export_writes_json(call: Headway, board: Board, tmp_path: Path) -> None:
    found = json.loads(call("export", board.name).stdout)
    assert {task["id"]: task["count"] for task in found["tasks"]} == {ODD: 2100, "broken": 0}
    call("export", board.name, "-o", str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text())["tasks"][0]["result"]["auc"] == 0.91


def test_export_writes_what_numpy_and_headway_read(call: Headway, board: Board, tmp_path: Path) -> None:
    call("export", board.name, "-o", str(tmp_path / "out.npz"))
    assert [path.name for path in tmp_path.glob("out*")] == ["out.npz"]
    assert not list(tmp_path.glob(".headway-*"))
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert sorted(arrays["tasks"]["count"]) == [0, 2100]
    view = headway.files.snapshot.read(tmp_path / "out.npz")
    assert view.tasks[0].id == ODD
    assert call("export", board.name, "--format", "npz").stdout.strip() == str(board.directory / "snapshot.npz")
    assert headway.files.snapshot.read(board.directory).tasks[0].count == 2100


def test_export_writes_a_task_a_line(call: Headway, board: Board, tmp_path: Path) -> None:
    for lines in (
        call("export", board.name, "--format", "ndjson").stdout.splitlines(),
        exported(call, board, tmp_path / "out.ndjson").read_text().splitlines(),
        exported(call, board, tmp_path / "out.jsonl").read_text().splitlines(),
    ):
        found = [json.loads(line) for line in lines]
        assert [(task["board"], task["id"], task["count"]) for task in found] == [
            (board.name, ODD, 2100),
            (board.name, "broken", 0),
        ]
        assert found[0]["result"] == {"auc": 0.91, "note": "é\x1b"}


def test_export_writes_csv_that_reads_as_it_was(call: Headway, board: Board, tmp_path: Path) -> None:
    board.attach(ODD).message = 'a "quoted", long\nmessage'
    for text in (
        call("export", board.name, "--format", "csv", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}).stdout,
        exported(call, board, tmp_path / "out.csv").read_text(),
    ):
        odd, broken = csv.DictReader(io.StringIO(text, newline=""))
        assert (odd["id"], odd["count"], odd["total"], odd["fraction"]) == (ODD, "2100", "5000", "0.42")
        assert odd["message"] == 'a "quoted", long\nmessage'
        assert json.loads(odd["metrics"]) == {"loss": 0.5}
        assert json.loads(odd["result"])["auc"] == 0.91
        assert (broken["error"], broken["total"], broken["result"]) == ("ValueError: no such bar", "", "")


def exported(call: Headway, board: Board, path: Path) -> Path:
    call("export", board.name, "-o", str(path))
    return path


def archive(board: Board) -> int:
    """Put what has ended into the history, as the recorder does. Returns how many tasks that were."""
    raw = board.snapshot().raw
    count = len(raw.tasks) // RECORD_BYTES["tasks"]
    ended = [number for number in range(count) if task_fields(raw.tasks, number)["ended"] is not None]
    with headway.files.history.Writer(board.directory) as writer:
        return writer.add(raw, ended)


def test_rm_takes_the_history_along_unless_files_are_kept(call: Headway, board: Board) -> None:
    archive(board)
    call("rm", board.name, "--force", "--keep-files")
    assert json.loads(call("history", board.name, "--json").stdout)[0]["id"] == "broken"
    removed = json.loads(call("rm", board.name, "--json").stdout)
    assert str(board.directory / "history.sqlite3") in [one["name"] for one in removed]
    assert not board.directory.exists()


def test_export_to_where_nothing_can_be_written_is_one_sentence(call: Headway, board: Board, tmp_path: Path) -> None:
    for place, why in ((tmp_path, "is a directory"), (tmp_path / "no" / "such.json", "No such file or directory")):
        finished = call("export", board.name, "-o", str(place), check=False)
        assert finished.returncode == 1
        assert why in finished.stderr
        assert finished.stderr.count("\n") == 1


def test_export_into_a_pipe_or_through_a_link_leaves_both_in_place(call: Headway, board: Board, tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "link.json", tmp_path / "file.json"
    os.mkfifo(pipe)
    file.write_text("old")
    link.symlink_to(file)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        try:
            call("export", board.name, "-o", str(pipe))
            assert json.loads(reader.communicate(timeout=20)[0])["name"] == board.name
        finally:
            reader.kill()
    assert pipe.is_fifo()
    call("export", board.name, "-o", str(link))
    assert link.is_symlink()
    assert json.loads(file.read_text())["name"] == board.name


def test_rm_asks_for_force_where_a_board_is_in_use(call: Headway, board: Board) -> None:
    finished = call("rm", board.name, check=False)
    assert finished.returncode == 1
    assert f"in use by pid {os.getpid()}" in finished.stderr
    assert "removed segment" in call("rm", board.name, "--force").stdout
    assert listing.find(board.name) is None


def test_gc_tells_what_it_removes(call: Headway, board: Board) -> None:
    assert "there is nothing to remove" in call("gc", board.name).stdout
    board.close()  # the last one leaves, without unlinking
    assert "would remove board" in call("gc", board.name, "--dry-run").stdout
    (removed,) = json.loads(call("gc", board.name, "--json").stdout)
    assert (removed["kind"], removed["name"]) == ("board", board.name)
    assert "2,100/5,000 bar" in call("show", board.name).stdout
    removal.remove(board.name)


def test_a_reader_that_has_had_enough_is_no_error(board: Board) -> None:
    for number in range(14):
        board.task(f"task-{number}", label="x" * 60)
    command = [sys.executable, "-m", "headway", "watch", board.name, "--json", "--interval", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.wait(20) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_obstacle(closed: str, board: Board) -> None:
    for arguments, status in (
        (("ls",), 0),
        (("show", board.name), 0),
        (("watch", board.name, "--once"), 0),
        (("no",), 2),
    ):
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-X", "dev", "-m", "headway", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, "Traceback" in done.stderr, "Warning" in done.stderr) == (status, False, False)
        assert bool(done.stdout) == (">&-" not in closed.split() and status == 0)


def test_a_home_that_cannot_be_written_is_no_obstacle(call: Headway, board_name: str, tmp_path: Path) -> None:
    """Then the files are in one place for each user below the temporary directory, and every command looks there."""
    place = tmp_path / "with a space"
    place.mkdir()
    env = {"HOME": "/proc/self/no-home", "TMPDIR": str(place), "HEADWAY_DIR": None, "XDG_STATE_HOME": None}
    source = str(Path(headway.files.snapshot.__file__).parent)
    told = call("demo", "--board", board_name, "--source", source, env=env).stdout
    (path,) = place.rglob("snapshot.npz")
    assert str(path) in told
    assert [found["name"] for found in json.loads(call("ls", "--json", env=env).stdout)] == [board_name]
    assert "succeeded" in call("show", board_name, "all", env=env).stdout
    call("rm", board_name, env=env)
    assert not list(place.rglob("*.npz"))


def test_an_output_that_is_full_is_one_sentence(board: Board) -> None:
    for arguments in (("ls",), ("export", board.name)):
        with open("/dev/full", "w") as full:
            command = [sys.executable, "-m", "headway", *arguments]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        assert done.returncode == 1
        assert done.stderr == "headway: No space left on device\n"


def test_without_shared_memory_the_reason_is_told(run_python: RunPython) -> None:
    script = """
import sys
sys.platform = "darwin"
from headway.cli.main import main
sys.exit(main(["ls"]))
"""
    finished = run_python(script, check=False)
    assert finished.returncode == 1
    assert "this is darwin" in finished.stderr
