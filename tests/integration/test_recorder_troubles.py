"""What a recorder does where something is in its way: it goes on, or ends after a bound and says why; nobody hangs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.engine.board import Board, open_board
from headway.files import archive, database, history, query, retention, snapshot, tidying
from headway.recorder import recorder as module
from headway.recorder.recorder import Recorder
from headway.system import locks, paths
from headway.upkeep import diagnosis, removal
from tests.integration.test_recorder import _recorded, board, eventually, program, recorded, recorders
from tests.unit.conftest import add, ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunPython

__all__ = ["_recorded", "board"]  # fixtures

# --- the directory goes


def remove(directory: Path) -> None:
    shutil.rmtree(directory.parent)


def rename(directory: Path) -> None:
    directory.rename(directory.with_name("elsewhere"))


def replace(directory: Path) -> None:
    directory.rename(directory.with_name("elsewhere"))
    directory.mkdir()


WATCHED = """
import sys, time
from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=8, workers=8)
task = board.task("goes on").adopt()
print(0, flush=True)
for line in sys.stdin:  # a line a second, so that the task looks around between two of them
    task.update()
board.remove(files=True)
"""


@pytest.mark.parametrize("how", [remove, rename, replace])
def test_a_directory_that_goes_is_made_anew_recording_goes_on_and_the_program_is_told_once(
    how: Callable[[Path], None], board_name: str, headway_dir: Path
) -> None:
    directory = headway_dir / board_name
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED, board_name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        eventually((directory / "snapshot.npz").exists)
        (pid,) = recorders(board_name)
        how(directory)

        def counted_again() -> bool:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            time.sleep(0.2)
            return (directory / "snapshot.npz").exists() and (directory / "segment").exists()

        eventually(counted_again)
        until = time.monotonic() + 2 * module.REMADE_S  # for as long as the program could be told
        while time.monotonic() < until:
            counted_again()
        assert recorders(board_name) == [pid]
        assert locks.lock_holder(directory) is not None
        other = open_board(board_name, capacity=8, workers=8)
        with other.task("later") as task:
            task.update()
        eventually(lambda: [one.id for one in history.read(directory)] == ["later"])
        assert (directory.stat().st_mode & 0o777) == 0o700
        other.close()
        _, told = process.communicate(timeout=60)
    assert told.count("was removed while it was in use: it is made anew") == 1, told
    assert not directory.exists()


def test_a_board_that_was_removed_by_headway_does_not_come_back(board: Board) -> None:
    recorded(board)
    board.remove(files=True)
    eventually(lambda: not recorders(board.name))
    assert not board.directory.exists()


def test_another_board_in_the_directory_is_left_alone(board: Board, headway_dir: Path) -> None:
    pid = recorded(board)
    os.kill(pid, signal.SIGSTOP)
    rename(board.directory)
    board.directory.mkdir(mode=0o700)
    (board.directory / "segment").write_text("f" * 32)
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: not recorders(board.name))
    assert board._segment.recorder_errors[1]
    assert not (board.directory / "snapshot.npz").exists()


def test_a_lock_file_that_goes_is_locked_again(board_name: str) -> None:
    board = open_board(board_name, capacity=8, workers=8, record=False)
    recorder = Recorder.elected(board)
    try:
        (board.directory / "recorder.lock").unlink()
        assert locks.lock_holder(board.directory) is None
        assert recorder._look() is None
        assert locks.lock_holder(board.directory) is not None
    finally:
        recorder.resign()
        board.remove(files=True)


# --- no locks

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Is it the lock file of a recorder? All others have locks: else no board could be opened. */
static int refused(int fd, int command) {
    char path[64], file[4096];
    ssize_t size;
    if (command != F_OFD_SETLK && command != F_OFD_GETLK) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    size = readlink(path, file, sizeof file - 1);
    if (size < 0) return 0;
    file[size] = 0;
    return strstr(file, "/recorder.lock") != NULL;
}

#define WRAP(name)                                                                      \
    int name(int fd, int command, ...) {                                                \
        static int (*real)(int, int, ...);                                              \
        va_list list;                                                                   \
        va_start(list, command);                                                        \
        void *argument = va_arg(list, void *);                                          \
        va_end(list);                                                                   \
        if (refused(fd, command)) return errno = ENOLCK, -1;                            \
        if (!real) real = (int (*)(int, int, ...))dlsym(RTLD_NEXT, #name);              \
        return real(fd, command, argument);                                             \
    }
WRAP(fcntl)
WRAP(fcntl64)
"""


@pytest.fixture(scope="session")
def no_locks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that has the system refuse the locks of recorders, as some network file systems do."""
    folder = tmp_path_factory.mktemp("no_locks")
    (folder / "shim.c").write_text(SHIM)
    command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", str(folder / "shim.so"), str(folder / "shim.c")]
    subprocess.run([*command, "-ldl"], check=True)
    return str(folder / "shim.so")


UNLOCKED = """
import sys, time
from headway.engine.board import open_board

board = open_board(sys.argv[1], capacity=8, workers=8)
task = board.task("goes on").adopt()
until = time.monotonic() + 60
while board._segment.recorder_wanted and time.monotonic() < until:
    task.update()
    time.sleep(0.05)
until = time.monotonic() + 3
while time.monotonic() < until:
    task.update()
    time.sleep(0.05)
print(task.count > 0, board._segment.recorder_alive)
"""


def test_a_recorder_without_locks_ends_after_a_bound_with_its_last_words_and_the_program_is_told_once(
    no_locks: str, run_python: RunPython, board_name: str, headway_dir: Path
) -> None:
    done = run_python(UNLOCKED, board_name, env={"LD_PRELOAD": no_locks}, timeout_s=120)
    assert done.stdout == "True False\n"
    assert done.stderr.count("RuntimeWarning: board ") == 1, done.stderr
    assert "No locks available; 'headway doctor' says what to do" in done.stderr
    eventually(lambda: not recorders(board_name))
    assert "it could not be recorded for 1" in (headway_dir / board_name / "recorder.log").read_text()
    told = [found.told for found in diagnosis.diagnose() if found.about == board_name]
    assert any("No locks available" in text for text in told), told


# --- a bound for all


def given_up(recorder: Recorder, failing_s: float, quiet_s: float | None) -> str | None:
    now = time.monotonic()
    recorder._failing_since = now - failing_s
    return recorder._given_up(None if quiet_s is None else now - quiet_s, now)


def test_who_cannot_finish_gives_up_after_a_bound_and_who_may_still_write_goes_on(board_name: str) -> None:
    board = open_board(board_name, capacity=8, workers=8, record=False)
    recorder = Recorder.elected(board)
    try:
        full, never = errors.NoSpace(28, "no room"), OSError(37, "No locks available")
        year, long, short = 365 * 24 * 3600.0, module.GIVE_UP_S + 1, module.GIVE_UP_S - 1
        assert given_up(recorder, year, year) is None  # nothing is wrong
        recorder.problem = full
        assert given_up(recorder, year, None) is None  # it is used, and room may be made
        assert given_up(recorder, year, short) is None
        assert given_up(recorder, short, year) is None
        assert not recorder.gave_up
        assert "no room" in (given_up(recorder, long, long) or "")
        recorder.problem = never
        assert given_up(recorder, module.HOPELESS_S - 1, None) is None
        assert "No locks" in (given_up(recorder, module.HOPELESS_S + 1, None) or "")
        assert recorder.gave_up
    finally:
        recorder.resign()
        board.remove(files=True)


# --- bounded looks


@pytest.mark.parametrize("rows", [23, pytest.param(2003, marks=pytest.mark.slow)])
def test_the_first_look_writes_and_old_rows_go_afterwards_without_the_lock_of_the_directory(
    rows: int, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "STEP_ROWS", 5)
    monkeypatch.setattr(module, "STEP_ROWS", 5)
    board = open_board(board_name, capacity=8, workers=8)
    for pid in eventually(lambda: recorders(board_name)):  # its command line is not there in its first moment
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not recorders(board_name))
    add(board.directory, ended(rows, at=time.time() - 40 * 24 * 3600))
    recorder = Recorder.elected(board)
    try:
        assert recorder._look() is None
        assert snapshot.read(board.directory).uuid == board._segment.uuid
        assert query.count(board.directory, query.Query()) == rows
        with locks.locked(board.directory):
            recorder._tidy()
        assert query.count(board.directory, query.Query()) == rows - 5
        while query.count(board.directory, query.Query()):
            recorder._tidy_at = 0.0
            recorder._tidy()
    finally:
        recorder.resign()
        board.remove(files=True)


def ten_ended(board_name: str, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board of ten tasks that ended, of which a look archives four."""
    monkeypatch.setattr(module, "BATCH", 4)
    monkeypatch.setattr(module, "ARCHIVE_S", 0.0)
    board = open_board(board_name, capacity=32, workers=8, record=False)
    board._segment.want_recorder()
    for number in range(10):
        board.task(f"{number}").succeed()
    return board


def test_a_look_archives_some_tasks_and_the_next_one_goes_on(board_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    board = ten_ended(board_name, monkeypatch)
    recorder = Recorder.elected(board)
    try:
        for seen, behind in ((4, True), (8, True), (10, False), (10, False)):
            assert recorder._look() is None
            assert (query.count(board.directory, query.Query()), recorder._behind) == (seen, behind)
    finally:
        recorder.resign()
        board.remove(files=True)


@pytest.mark.parametrize("by", ["recorder", "retire"])
def test_who_leaves_last_archives_in_parts_and_lets_others_have_the_lock_in_between(
    by: str, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = ten_ended(board_name, monkeypatch)
    seen, cycle = [], Recorder._cycle

    def counted(recorder: Recorder, *, last: bool = False) -> bool:
        done = cycle(recorder, last=last)
        seen.append(query.count(board.directory, query.Query()))
        return done

    monkeypatch.setattr(Recorder, "_cycle", counted)
    if by == "retire":
        assert removal.retire(board)
    else:
        recorder = Recorder.elected(board)
        assert [recorder.finish() for _ in range(3)] == [False, False, True]
        recorder.resign()
    assert seen == [4, 8, 10]
    assert board._segment.retired
    board.remove(files=True)


@pytest.mark.parametrize("by", ["the history", "the directory"])
def test_who_cannot_leave_as_others_have_the_lock_of_the_directory_comes_again_at_once_else_lets_others_have_it(
    by: str, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET_S", 0.0)
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    board = open_board(board_name, capacity=8, workers=8, record=False)
    board._segment.want_recorder()
    task = board.task("one")
    task.succeed()
    done: list[str] = []
    look, finish = Recorder._look, Recorder.finish
    recorder = Recorder.elected(board)
    assert recorder._look() is None  # there is a history
    with contextlib.closing(sqlite3.connect(board.directory / "history.sqlite3", isolation_level=None)) as other:

        def looked(recorder: Recorder) -> str | None:
            done.append("look")
            if len(done) == 6:
                recorder.stop()
            return look(recorder)

        def finished(recorder: Recorder) -> bool:
            done.append("finish")
            if done.count("finish") > 1:
                return finish(recorder)
            if by == "the directory":
                with locks.locked(board.directory):
                    return finish(recorder)
            task.update()  # which is to be archived, too
            other.execute("BEGIN IMMEDIATE")
            return finish(recorder)

        monkeypatch.setattr(Recorder, "_look", looked)
        monkeypatch.setattr(Recorder, "finish", finished)
        told = recorder.run()
    if by == "the directory":
        assert (done, told) == (["look", "finish"] * 2, "nobody uses the board any more")
    else:
        assert (done, told) == (["look", "finish"] + ["look"] * 5, "it was stopped")
    board.remove(files=True)


def test_the_environment_says_how_long_the_history_is_kept(board_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(retention.ROWS, "a few")
    with pytest.raises(errors.InvalidVariable, match=retention.ROWS):
        open_board(board_name)
    monkeypatch.setenv(retention.ROWS, "3")
    board = open_board(board_name, capacity=32, workers=8)
    for number in range(10):
        board.task(f"{number}").succeed()
    eventually(lambda: query.count(board.directory, query.Query()) == 3)
    board.remove(files=True)


# --- long paths


SIZES = (400, 460, 469, 470, 471, 480, 512, 600, 1100, 3900)
MORE_SIZES = sorted({*range(200, 500, 7), *range(461, 480), *range(500, 4000, 97)}.difference(SIZES))


@pytest.mark.parametrize("size", [*SIZES, *(pytest.param(size, marks=pytest.mark.slow) for size in MORE_SIZES)])
def test_a_path_of_any_length_has_a_history_or_is_refused_with_the_limit(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board_name: str
) -> None:
    root = str(tmp_path)
    while (left := size - len(root) - len(board_name) - 1) > 0:
        root += "/" + "d" * max(1, min(left - 1, 100) - (left - 1 == 101))
    monkeypatch.setenv("HEADWAY_DIR", root)
    assert len(root) + len(board_name) + 1 in (size, size + 1)
    longest = len(root) + len(board_name) + 1
    if longest <= paths.DIRECTORY_BYTES_MOST:
        board = open_board(board_name, capacity=8, workers=8, record=False)
        board.task("one").succeed()
        with history.Writer(board.directory) as writer:
            archive.add(board._segment, writer, board._at.copy_meta(), board._segment.finished(8))
        assert [task.id for task in board.history()] == ["one"]
        board.write_snapshot()
        board.remove(files=True)
        return
    with pytest.raises(errors.UnusableDirectory, match=f"a path of {longest} bytes, and the limit is") as told:
        open_board(board_name, record=False)
    assert "set HEADWAY_DIR to a shorter path" in str(told.value)
    assert not any(tmp_path.iterdir())


def test_a_short_link_to_a_long_path_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board_name: str
) -> None:
    """SQLite resolves links."""
    long = tmp_path.joinpath(*["d" * 100] * 5)
    long.mkdir(parents=True, mode=0o700)
    (tmp_path / "short").symlink_to(long)
    monkeypatch.setenv("HEADWAY_DIR", str(tmp_path / "short"))
    with pytest.raises(errors.UnusableDirectory, match="and the limit is"):
        open_board(board_name, record=False)


# --- each run


def test_who_resumes_a_task_leaves_the_run_that_ended_in_the_history(board_name: str) -> None:
    """It may be resumed before a recorder has looked."""
    board = open_board(board_name, capacity=8, workers=8, record=False)
    board._segment.want_recorder()
    for count in (3, 6):
        task = board.task("job", resume=True)
        task.update(count - task.count)
        task.fail(f"at {count}")
    board.task("job", resume=True).succeed()
    assert [(task.count, task.error) for task in history.read(board.directory)] == [(6, "at 6"), (3, "at 3")]
    board.remove(files=True)


RESUMED = """
import os, sys, time
from headway.engine.board import open_board

with open_board(sys.argv[1], capacity=8, workers=8).task("job", total=9, resume=True) as task:
    stop = task.count + 3
    while task.count < 9:
        task.update()
        if task.count == stop < 9:
            print(os.getpid(), flush=True)
            while True:
                time.sleep(60)
print(0, flush=True)
"""


def test_a_task_that_was_killed_twice_and_resumed_at_once_has_three_rows(board_name: str, headway_dir: Path) -> None:
    for _ in range(2):
        with program(RESUMED, board_name) as (process, pid):
            os.kill(pid, signal.SIGKILL)
            process.wait()
    with program(RESUMED, board_name) as (process, _):
        process.wait()
    rows = eventually(lambda: [found for found in [history.read(headway_dir / board_name, id="job")] if len(found) > 2])
    assert [(task.state, task.count, task.resumed_from) for task in rows[0]] == [
        ("success", 9, 6),
        ("lost", 6, 3),
        ("lost", 3, None),
    ]
