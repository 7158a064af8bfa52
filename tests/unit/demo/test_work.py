"""What a worker does with a package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.demo.work import NOTHING, index_file, index_package
from headway.engine.board import open_board

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
