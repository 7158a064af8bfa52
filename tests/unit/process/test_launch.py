"""How helper processes are started, and when they are not."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.process import launch

if TYPE_CHECKING:
    from headway.engine.board import Board
    from tests.conftest import RunPython

# What a helper process finds around itself. It is looked for in the package, so that is where its folder goes.
TELL = """
import json, os, resource, sys

def main(name, uuid, *arguments):
    found = {
        "arguments": [name, uuid, *arguments],
        "descriptors": sorted(int(one) for one in os.listdir("/proc/self/fd")),
        "session": os.getsid(0) == os.getpid(),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "path": sys.path,
        "text": os.read(3, 100).decode(),
    }
    with open(arguments[0] + ".part", "w") as file:
        json.dump(found, file)
    os.rename(arguments[0] + ".part", arguments[0])
"""


def test_boards_are_recorded_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, expected in ((None, True), ("1", True), ("0", False), ("", False)):
        with monkeypatch.context() as patch:
            patch.delenv("HEADWAY_RECORD", raising=False)
            if value is not None:
                patch.setenv("HEADWAY_RECORD", value)
            assert launch.wanted() is expected
    monkeypatch.delenv("HEADWAY_RECORD")
    monkeypatch.setenv(launch.GUARD, "1")
    assert not launch.wanted(), "a recorder starts no recorder"


@pytest.mark.parametrize("python", ["", "/usr/bin/blender", "/opt/app/app"])
def test_a_program_that_is_no_python_starts_none(python: str, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(ValueError, match=f"{python or 'this program'} is not a Python that could run a helper process"):
        launch.beside("headway.recorder.recorder_process", board.name, board._segment.uuid)


@pytest.mark.parametrize("name", ["app", "Python"])
def test_a_python_of_another_name_starts_helpers(name: str, tmp_path: Path) -> None:
    """As a link that a program has to its interpreter, and what some systems call theirs."""
    other = tmp_path / name
    other.symlink_to(os.path.realpath(sys.executable))
    assert launch._is_python(str(other))


def test_a_copy_of_the_interpreter_under_another_name_starts_helpers_and_no_other_program_does(tmp_path: Path) -> None:
    other, edited = tmp_path / "app", tmp_path / "edited"
    shutil.copy(os.path.realpath(sys.executable), other)
    shutil.copy(other, edited)
    with edited.open("ab") as file:
        file.write(b"and an application")
    script = "import sys; from headway.process import launch; print(launch._is_python(sys.executable))"
    path = os.pathsep.join(filter(None, sys.path))
    for program, answer in ((other, "True"), (edited, "False")):
        done = subprocess.run(
            [program, "-c", script],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHOME": sys.base_prefix},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == answer, done.stderr


INTERPRETER = Path(sys.base_exec_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0], ids=["first byte", "in the middle", "last byte"])
def test_a_program_of_the_size_and_the_time_of_the_interpreter_is_no_copy_of_it(part: float, tmp_path: Path) -> None:
    """What tells two files apart is their content; it is compared here, as `filecmp` would take more imports."""
    copy, other = tmp_path / "app", tmp_path / "other"
    for program in (copy, other):
        shutil.copy2(INTERPRETER, program)
    content = bytearray(other.read_bytes())
    content[round((len(content) - 1) * part)] ^= 1
    other.write_bytes(content)
    found = INTERPRETER.stat()
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert (launch._is_copy(str(copy)), launch._is_python(str(copy))) == (True, True)
    assert (launch._is_copy(str(other)), launch._is_python(str(other))) == (False, False)


@pytest.mark.parametrize("place", [0, 65_535, 65_536, 131_072, 199_999])
def test_all_of_a_program_is_compared_with_the_interpreter(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any size: some interpreters are a few kilobytes, some are megabytes."""
    interpreter = tmp_path / "bin" / INTERPRETER.name
    interpreter.parent.mkdir()
    content = bytearray(os.urandom(200_000))
    interpreter.write_bytes(content)
    monkeypatch.setattr(sys, "base_exec_prefix", str(tmp_path))
    (tmp_path / "app").write_bytes(content)
    content[place] ^= 1
    (tmp_path / "other").write_bytes(content)
    assert (launch._is_copy(str(tmp_path / "app")), launch._is_copy(str(tmp_path / "other"))) == (True, False)


def test_what_cannot_be_read_is_no_copy_of_the_interpreter(tmp_path: Path) -> None:
    for program in (str(tmp_path), str(tmp_path / "missing"), str(tmp_path / "app\udcff")):
        assert not launch._is_copy(program)


def test_to_look_for_a_copy_of_the_interpreter_imports_nothing(run_python: RunPython, tmp_path: Path) -> None:
    shutil.copy2(INTERPRETER, tmp_path / "app")
    script = """
import sys
from headway.process import launch
before = set(sys.modules)
assert launch._is_python(sys.argv[1])
print(sorted(set(sys.modules) - before), "filecmp" in sys.modules)
"""
    assert run_python(script, str(tmp_path / "app")).stdout == "[] False\n"


def test_a_python_that_cannot_be_started_is_named(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    with pytest.raises(OSError, match=r"/nowhere/python3 could not be started") as raised:
        launch.beside("headway.recorder.recorder_process", board.name, board._segment.uuid)
    assert raised.value.errno == errno.ENOENT


def test_why_there_is_no_recorder_is_said_once(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_RECORD", "1")
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    monkeypatch.setattr(launch, "_warned", False)
    board._segment.want_recorder()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(3):
            launch.ensure(board._segment)
            time.sleep(0)
    assert len(seen) == 1
    assert "the boards of this program have no recorder: /nowhere/python3 could not be started" in str(seen[0].message)


def test_of_the_workers_of_a_board_one_says_that_there_is_no_recorder(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = board._segment
    told = []
    for opens in (False, False, True, False):  # as four processes, each of which may see to a recorder
        monkeypatch.setattr(launch, "_warned", False)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            launch._warn(segment, opens, "no reason")
        told.append(len(seen))
    assert told == [1, 0, 1, 0]


def test_a_helper_gets_what_it_is_handed_and_nothing_else_of_the_program(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    module = Path(launch.__file__).with_name(f"told_{os.getpid()}.py")
    module.write_text(TELL)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("SOME_SETTING", "kept")
    told = tmp_path / "told"
    handed = (board.name, board._segment.uuid, str(told))
    reading, writing = os.pipe()
    os.write(writing, b"hello")
    os.close(writing)
    try:
        launch.beside(f"headway.process.{module.stem}", *handed, descriptors=(reading,))
        deadline = time.monotonic() + 20
        while not told.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.close(reading)
        module.unlink()
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / "told.part").unlink()
    found = json.loads(told.read_text())
    assert found["arguments"] == [board.name, board._segment.uuid, str(told)]
    assert found["text"] == "hello"
    assert set(found["descriptors"]) <= {0, 1, 2, 3, 4}, "3 is handed over, 4 is the listing itself"
    assert found["session"]
    assert found["folder"] == "/"
    assert found["environment"]["SOME_SETTING"] == "kept"
    assert found["environment"][launch.GUARD] == "1"
    assert "PYTHONWARNINGS" not in found["environment"]
    assert str(tmp_path) not in found["path"]
    assert "" not in found["path"]
