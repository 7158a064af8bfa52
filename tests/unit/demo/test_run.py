"""The parts of the demo: which files, what a worker does with one, what is told in the end."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.demo.corpus import FILES_MOST, MODULES_AT_ONCE, packages, standard_library
from headway.demo.report import Killed, Report
from headway.demo.run import Options, _Demo
from headway.demo.work import NOTHING, index_file, index_package
from headway.engine.board import open_board
from headway.terminal.painter import Painter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headway.engine.task import Task

GOOD = '"""Doc."""\n\n\ndef f():\n    return 1\n\n\nclass A:\n    async def g(self): ...\n'
BAD = {
    "syntax.py": b"def f(:\n",
    "encoding.py": b"# coding: no-such-thing\n",
    "bytes.py": b"x = '\xff\xfe'\n",
    "nul.py": b"x = 1\0\n",
    "indent.py": b"if x:\n        a\n    b\n",
    "open.py": b"x = (1,\n",
    "deep.py": b"x = " + b"(" * 5000 + b")" * 5000 + b"\n",
}


@pytest.fixture
def task(board_name: str) -> Iterator[Task]:
    board = open_board(board_name, capacity=8)
    yield board.task("work")
    board.remove(files=True)


def test_the_standard_library_is_a_hundred_packages_or_so() -> None:
    root = standard_library()
    found = packages(root)
    files = [file for package in found for file in package.files]
    assert 50 <= len(found) <= 200
    assert len(files) == len(set(files)) > 500  # Debian leaves out the tests of the library
    assert "json/decoder.py" in files
    assert not [file for file in files if "site-packages" in file]
    assert len({package.id for package in found}) == len(found)
    assert max(len(package.files) for package in found) <= FILES_MOST
    assert [package.bytes for package in found] == sorted((package.bytes for package in found), reverse=True)


def test_every_file_is_in_one_package_and_modules_stand_together(tmp_path: Path) -> None:
    for name in ("small/a.py", "small/deep/b.py", "__pycache__/c.py", ".git/d.py", "notes.txt", "lone.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    for number in range(MODULES_AT_ONCE * 2 + 1):
        (tmp_path / "large" / "sub").mkdir(parents=True, exist_ok=True)
        (tmp_path / "large" / f"m{number:03}.py").write_text("x = 1\n")
    (tmp_path / "large" / "sub" / "e.py").write_text("x = 1\n")
    (tmp_path / "link.py").symlink_to("lone.py")
    found = {package.id: package.files for package in packages(tmp_path)}
    assert found["small"] == ("small/a.py", "small/deep/b.py")
    assert found["lone"] == ("lone.py",)
    assert found["large/sub"] == ("large/sub/e.py",)
    assert set(found) == {"small", "lone", "large/sub", "large/m000..m023", "large/m024..m047", "large/m048"}


def test_file_names_that_no_id_can_be_get_one_of_their_own(tmp_path: Path) -> None:
    names = [b"\xff\xfe", b"x" * 200 + b"1", b"x" * 200 + b"2", "é".encode() * 90]
    for name in names:
        os.mkdir(os.path.join(os.fsencode(tmp_path), name))
        with open(os.path.join(os.fsencode(tmp_path), name, b"a.py"), "w") as file:
            file.write("x = 1\n")
    ids = [package.id for package in packages(tmp_path)]
    assert len(set(ids)) == len(names)
    assert all(1 <= len(id.encode()) <= 80 for id in ids)


def test_a_folder_without_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.HeadwayError, match=r"no \.py file below .*--source"):
        packages(tmp_path)


def test_a_file_is_read_tokenized_parsed_and_compiled(tmp_path: Path, task: Task) -> None:
    path = tmp_path / "good.py"
    path.write_text(GOOD)
    found = index_file(str(path), task)
    assert found["seconds"] > 0
    assert {name: found[name] for name in ("files", "skipped", "lines", "definitions")} == {
        "files": 1,
        "skipped": 0,
        "lines": len(GOOD.splitlines()),
        "definitions": GOOD.count("def ") + GOOD.count("class "),
    }
    assert task.stage == "compile"
    path.write_text("x = 1\n")
    assert index_file(str(path), task)["tokens"] == len(["encoding", "x", "=", "1", "newline", "end"])


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_python_is_skipped(name: str, tmp_path: Path, task: Task) -> None:
    (tmp_path / name).write_bytes(BAD[name])
    found = index_file(str(tmp_path / name), task)
    assert (found["files"], found["skipped"]) == (1, 1)


def test_a_file_that_is_gone_is_skipped(tmp_path: Path, task: Task) -> None:
    assert index_file(str(tmp_path / "gone.py"), task)["skipped"] == 1


def test_a_package_is_taken_up_where_its_result_says(tmp_path: Path, task: Task) -> None:
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).write_text(GOOD)
    task.result = {**NOTHING, "files": 2, "lines": 100}
    index_package(task, index_file, str(tmp_path), ("a.py", "b.py", "c.py"))
    assert (task.count, task.state) == (1, "success")
    assert (task.result["files"], task.result["lines"]) == (3, 109)


def test_the_compiler_warns_nobody(tmp_path: Path, task: Task) -> None:
    (tmp_path / "a.py").write_text("assert (1, 'always true')\nx = '\\d'\n")  # a warning is an error in tests
    index_package(task, index_file, str(tmp_path), ("a.py",))
    assert task.result["skipped"] == 0


@pytest.mark.parametrize(("counted", "on_all"), [(2, 3), (2, 2), (1, 2)], ids=["indexed", "kept", "kept, not counted"])
def test_counts_that_a_killed_worker_left_apart_are_put_right(board_name: str, counted: int, on_all: int) -> None:
    board = open_board(board_name, capacity=8)
    everything = board.task("all")
    told = io.StringIO()
    demo = _Demo(Options(board_name, standard_library(), 1), Painter(told), board, everything)
    demo._tasks = {"a": everything.task("a", total=5), "b": everything.task("b", total=1)}
    pid = os.fork()
    if pid == 0:
        with demo._tasks["a"] as task:
            task.set(stage="parse", message="x.py")
            task.result = {**NOTHING, "files": 2}
            task.update(counted)
            everything.update(on_all)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    demo._carry_on(["a", "b"], {"a": ("x.py",) * 5, "b": ("y.py",)})
    task = demo._tasks["a"]
    assert (task.count, task.state, everything.count) == (2, "running", 2)
    assert demo._tasks["b"].state == "pending"
    assert demo.report.killed == [Killed(pid, "all/a", "parse", "x.py", counted, 5)]
    assert f"worker {pid} was killed at all/a, file {counted + 1} of 5, in stage parse: x.py" in told.getvalue()
    board.remove(files=True)


def test_the_report_adds_up() -> None:
    found = {f"p{number}": {**NOTHING, "files": 2, "lines": 10 * number} for number in range(15)}
    report = Report("demo", "/src", 4, files=30, counted=30, seconds=2.0, packages=found)
    report.killed.append(Killed(77, "all/p3", "parse", "x.py", 1, 2))
    text = str(report)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[1:11]] == [f"p{number}" for number in range(14, 4, -1)]
    assert lines[11].split()[:4] == ["5", "others", "10", "100"]
    assert lines[12].split()[:4] == ["all", "15", "30", "1,050"]
    assert "worker 77 was killed at all/p3, file 2 of 2, in stage parse: x.py" in text
    assert "30 of 30 files indexed, by 4 workers in 2.0 s: 15 a second" in text
    assert report.to_dict()["found"]["lines"] == 1050
    assert sys.getsizeof(text) < 10_000
