"""`headway demo`: a real pool on real files, watched from other processes, with and without a kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headway.demo.corpus import standard_library
from headway.engine.board import open_board
from headway.upkeep import listing, removal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunPython

EMAIL = standard_library() / "email"  # 29 files
WAIT_S = 30.0


def files_of(folder: Path) -> int:
    return len(list(folder.rglob("*.py")))


@contextlib.contextmanager
def demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demo in the background; the whole group is killed in the end."""
    command = [sys.executable, "-W", "always", "-m", "headway", "demo", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def listed(run_python: RunPython, name: str) -> dict[str, Any] | None:
    """What another process sees: `headway ls --json`."""
    boards = json.loads(run_python(Path("headway"), "ls", "--json", options=("-m",)).stdout)
    return next((board for board in boards if board["name"] == name), None)


def counted(board: dict[str, Any] | None) -> int:
    return 0 if board is None else sum(task["count"] for task in board["tasks"] if task["id"] == "all")


def await_count(run_python: RunPython, name: str, more_than: int) -> int:
    deadline = time.monotonic() + WAIT_S
    while (count := counted(listed(run_python, name))) <= more_than:
        assert time.monotonic() < deadline, f"the count stays at {count}"
    return count


def test_every_file_is_counted_once(run_python: RunPython, board_name: str) -> None:
    finished = run_python(
        Path("headway"),
        "demo",
        "--board",
        board_name,
        "--source",
        str(EMAIL),
        "--json",
        "--workers",
        "3",
        options=("-m",),
    )
    report = json.loads(finished.stdout)
    assert report["counted"] == report["files"] == report["found"]["files"] == files_of(EMAIL)
    assert report["found"]["lines"] == sum(len(path.read_bytes().splitlines()) for path in EMAIL.rglob("*.py"))
    assert report["found"]["definitions"] > 100
    assert report["killed"] == []
    assert "Warning" not in finished.stderr
    assert f"headway watch {board_name}" in finished.stderr
    info = listing.find(board_name)
    assert info is not None
    assert (info.state, str(info.directory / "snapshot.npz")) == ("snapshot", report["snapshot"])
    assert info.view is not None
    assert {task.state for task in info.view.tasks} == {"success"}


def test_what_it_says_to_try_next_works(run_python: RunPython, board_name: str) -> None:
    finished = run_python(Path("headway"), "demo", "--board", board_name, "--source", str(EMAIL), options=("-m",))
    head, _, rest = finished.stdout.partition("try:\n")
    assert f"{files_of(EMAIL)} of {files_of(EMAIL)} files indexed" in head
    commands = [line.strip() for line in rest.splitlines()]
    assert len(commands) == 4
    for command in commands[:3]:
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=WAIT_S, check=True)
        assert board_name in done.stdout or "success" in done.stdout


def test_another_process_sees_the_count_rise(run_python: RunPython, board_name: str) -> None:
    with demo("--board", board_name, "--source", str(EMAIL), "--repeat", "100", "--workers", "2") as process:
        first = await_count(run_python, board_name, 0)
        second = await_count(run_python, board_name, first)
        assert 0 < first < second <= 100 * files_of(EMAIL)
        board = listed(run_python, board_name)
        assert board is not None
        assert (board["state"], board["workers_alive"]) == ("live", 3)
        running = [task for task in board["tasks"] if task["state"] == "running" and task["parent"]]
        assert running
        assert {task["stage"] for task in running} <= {"read", "tokenize", "parse", "compile"}
        process.terminate()
        assert process.wait(WAIT_S) == 128 + signal.SIGTERM
    info = listing.find(board_name)
    assert info is not None
    assert info.view is not None
    assert info.state == "snapshot"
    assert {task.state for task in info.view.tasks} <= {"cancelled", "failed", "success"}
    assert not any(worker.alive for worker in info.view.workers if worker.pid != process.pid)


@pytest.mark.slow
def test_a_killed_worker_is_named_and_nothing_is_lost(run_python: RunPython, board_name: str) -> None:
    # Files enough that the killed one is surely in the middle of its package.
    arguments = (
        "--board",
        board_name,
        "--source",
        str(EMAIL),
        "--repeat",
        "20",
        "--kill-one",
        "--workers",
        "3",
        "--json",
    )
    finished = run_python(Path("headway"), "demo", *arguments, options=("-m",))
    report = json.loads(finished.stdout)
    assert report["counted"] == report["files"] == report["found"]["files"] == 20 * files_of(EMAIL)
    assert report["found"]["lines"] == 20 * sum(len(path.read_bytes().splitlines()) for path in EMAIL.rglob("*.py"))
    assert report["pools"] == 2
    (killed,) = report["killed"]
    assert killed["task"].startswith("all/")
    assert killed["stage"] in ("read", "tokenize", "parse", "compile")
    assert (EMAIL / killed["message"]).is_file()
    assert 0 < killed["count"] < killed["total"]
    assert f"worker {killed['pid']} was killed at {killed['task']}, file {killed['count'] + 1:,} of" in finished.stderr
    assert "Warning" not in finished.stderr
    info = listing.find(board_name)
    assert info is not None
    assert info.view is not None
    task = info.view.get(killed["task"])
    assert task is not None
    assert (task.state, task.count) == ("success", killed["total"])
    assert task.resumed_from is not None
    assert abs(task.resumed_from - killed["count"]) <= 1


def test_workers_do_not_outlive_a_killed_demo(board_name: str) -> None:
    with demo("--board", board_name, "--source", str(EMAIL), "--repeat", "100", "--workers", "2") as process:
        deadline = time.monotonic() + WAIT_S
        while (info := listing.find(board_name)) is None or info.view is None or len(info.view.workers) < 3:
            assert time.monotonic() < deadline, "the workers did not begin"
            time.sleep(0.05)
        process.kill()
        process.wait()
        while listing.find(board_name).state == "live":  # type: ignore[union-attr]
            assert time.monotonic() < deadline, "the workers live on"
            time.sleep(0.02)
    # The next run takes the place of what was left.
    with demo("--board", board_name, "--source", str(EMAIL), "--json") as process:
        assert json.loads(process.communicate(timeout=WAIT_S)[0])["counted"] == files_of(EMAIL)


def test_the_board_of_somebody_else_is_left_alone(run_python: RunPython, board_name: str) -> None:
    board = open_board(board_name, capacity=8)
    board.task("mine").update(3)
    arguments = ("demo", "--board", board_name, "--source", str(EMAIL))
    refused = run_python(Path("headway"), *arguments, options=("-m",), check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"headway: board '{board_name}' is in use by pid {os.getpid()}: ")
    board.write_snapshot()
    board.close()
    refused = run_python(Path("headway"), *arguments, options=("-m",), check=False)
    assert refused.returncode == 1
    assert "was not made by the demo: choose another name with --board" in refused.stderr
    info = listing.find(board_name)
    assert info is not None
    assert info.view is not None
    assert info.view.get("mine") is not None
    removal.remove(board_name)


def test_a_demo_that_is_switched_off_says_so(run_python: RunPython) -> None:
    finished = run_python(Path("headway"), "demo", options=("-m",), env={"HEADWAY_DISABLE": "1"}, check=False)
    assert finished.returncode == 1
    assert "HEADWAY_DISABLE is set" in finished.stderr


def test_a_demo_whose_reader_has_gone_keeps_its_last_state_and_leaves_no_board(board_name: str) -> None:
    with demo("--board", board_name, "--source", str(EMAIL), "--repeat", "100", "--workers", "2") as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.close()
        assert process.wait(WAIT_S) == 141
    info = listing.find(board_name)
    assert info is not None
    assert info.state == "snapshot"


def test_ctrl_c_ends_a_demo_one_of_whose_workers_is_stopped(run_python: RunPython, board_name: str) -> None:
    with demo("--board", board_name, "--source", str(EMAIL), "--repeat", "100", "--workers", "2") as process:
        await_count(run_python, board_name, 0)
        board = listing.attach(board_name)
        assert board is not None
        with contextlib.closing(board):
            stopped = next(worker.pid for worker in board.snapshot().workers if worker.pid != process.pid)
        os.kill(stopped, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 130
