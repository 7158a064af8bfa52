"""What `import headway` offers, what it costs, and what other languages see of it."""

from __future__ import annotations

import inspect
import json
import pydoc
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import headway
from headway import errors
from headway.files import snapshot

if TYPE_CHECKING:
    from headway.engine.board import Board
    from tests.conftest import RunPython


# --- names


def test_names_come_when_they_are_first_used(run_python: RunPython) -> None:
    script = """
import json, sys
import headway

def loaded():
    return sorted(name for name in sys.modules if name.partition(".")[0] in ("headway", "posix_ipc", "numpy"))

steps = [loaded()]
headway.current().update()
steps.append(loaded())
headway.HeadwayError
steps.append(loaded())
headway.Task
steps.append(loaded())
print(json.dumps(steps))
"""
    alone, current, error, task = json.loads(run_python(script).stdout)
    assert alone == ["headway"]
    assert not {"headway.native.core", "headway.engine.board", "headway.standin.board", "posix_ipc", "numpy"} & set(
        current
    )
    assert "headway.errors" in error
    assert "headway.native.core" not in error
    assert "headway.native.core" in task
    assert "numpy" not in task


def test_everything_public_is_listed() -> None:
    assert {*headway.__all__, "errors", "__version__"} <= set(dir(headway))
    assert "open" in headway.__all__
    assert all(name.startswith("_") or getattr(headway, name) is not None for name in dir(headway))


def test_errors_are_reached_from_a_bare_import(run_python: RunPython) -> None:
    script = """
import headway
try:
    headway.read("no-such-board")
except headway.errors.UnknownBoard as error:
    print(type(error).__module__, isinstance(error, headway.HeadwayError))
"""
    assert run_python(script).stdout == "headway.errors True\n"


def test_the_ten_lines_of_the_docstring_run(run_python: RunPython, board_name: str) -> None:
    assert headway.__doc__ is not None
    lines = [line[4:] for line in headway.__doc__.splitlines() if line.startswith("    ")]
    assert 8 <= len(lines) <= 10
    program = "\n".join(lines).replace('"nightly"', f'"{board_name}"')
    finished = run_python(f"{program}\n    headway.open('{board_name}').remove(files=True)\n")
    assert (finished.stdout, finished.stderr) == ("332833500\n", "")


def test_help_shows_the_public_names_with_their_signatures_and_nothing_of_the_module_itself() -> None:
    shown = pydoc.plain(pydoc.render_doc(headway))
    functions = shown.partition("\nFUNCTIONS\n")[2].partition("\nDATA\n")[0]
    listed = re.findall(r"^    (\w+)\((.*)\) ->", functions, re.MULTILINE)
    assert [name for name, _ in listed] == [
        "current",
        "get_include",
        "open",
        "process_map",
        "read",
        "thread_map",
        "track",
    ]
    parameters = dict(listed)
    assert "capacity: 'int | None' = None" in parameters["open"]
    assert "iterable" in parameters["track"]
    classes = re.findall(r"^    class (\w+)", shown, re.MULTILINE)
    assert sorted(classes) == ["Board", "BoardView", "HeadwayError", "Task", "TaskView", "WorkerView"]
    assert "__getattr__" not in shown.partition("\nCLASSES\n")[0] + functions
    assert "__dir__" not in functions


@pytest.mark.parametrize("name", [name for name in headway.__all__ if inspect.isclass(getattr(headway, name))])
def test_a_public_class_says_where_users_find_it(name: str) -> None:
    home = "headway.errors" if name == "HeadwayError" else "headway"
    assert getattr(headway, name).__module__ == home


def test_signatures_can_be_looked_at() -> None:
    names = ["iterable", "label", "total", "unit", "leave", "disable", "board"]
    assert list(inspect.signature(headway.track).parameters) == names
    assert inspect.signature(headway.open).parameters["capacity"].default is None
    assert list(inspect.signature(headway.Task.update).parameters) == ["self", "n"]
    assert list(inspect.signature(headway.Task.set).parameters) == [
        *("self", "stage", "message", "total", "metrics", "count")
    ]


def test_an_open_board_is_the_engines(board: Board) -> None:
    assert headway.open(board.name) is board
    assert type(board) is headway.Board
    assert type(board.task("one")) is headway.Task
    assert type(board.get("one")) is headway.TaskView
    assert type(board.snapshot()) is headway.BoardView
    assert type(board.snapshot().workers[0]) is headway.WorkerView
    with pytest.raises(headway.HeadwayError):
        board.attach("two")


# --- files


def test_a_board_is_read_by_name_from_files_alone(board: Board, headway_dir: Path) -> None:
    with board.task("one", total=3) as task:
        task.update(3)
        task.result = {"auc": 0.5}
    path = board.write_snapshot()
    name = board.name
    board.remove(files=False)
    for where in (name, str(path), path, path.parent, f"{path.parent}/"):
        view = headway.read(where)
        assert view.name == name
        assert view.path == path
        assert [(one.id, one.state, one.count, one.result) for one in view.tasks] == [
            ("one", "success", 3, {"auc": 0.5})
        ]
    snapshot.remove(headway_dir / name)
    with pytest.raises(errors.UnknownBoard, match="no snapshot"):
        headway.read(name)


def test_a_file_in_this_folder_is_told_from_a_name_by_its_ending(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(board.write_snapshot(), tmp_path / "kept.npz")
    monkeypatch.chdir(tmp_path)
    assert headway.read("kept.npz").name == board.name
    with pytest.raises(errors.UnknownBoard):
        headway.read("kept")


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("no-such-board", errors.UnknownBoard),
        ("no/such/folder", errors.UnknownBoard),
        ("none.npz", errors.UnknownBoard),
        ("", ValueError),
        (".hidden", ValueError),
        ("x" * 65, ValueError),
    ],
    ids=str,
)
def test_what_is_not_there_is_a_typed_error_that_names_it(where: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        headway.read(where)
    assert where in str(caught.value)


def test_a_damaged_file_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 but nothing else")
    with pytest.raises(errors.DamagedSnapshot, match=r"bad\.npz"):
        headway.read(tmp_path / "bad.npz")


# --- C and Cython


def test_the_header_is_where_get_include_says() -> None:
    assert Path(headway.get_include(), "headway.h").is_file()


KERNEL = """
from headway cimport HW_OK, hw_add, hw_task


def count(size_t address, long times):
    cdef hw_task *task = <hw_task *>address
    cdef long done = 0
    with nogil:
        while done < times and hw_add(task, 1) == HW_OK:
            done += 1
    return done
"""
BUILD = """
import headway
from Cython.Build import cythonize
from setuptools import Extension, setup

kernel = Extension("kernel", ["kernel.pyx"], include_dirs=[headway.get_include()])
setup(ext_modules=cythonize([kernel], language_level=3), script_args=["--quiet", "build_ext", "--inplace"])
"""


def test_cython_code_counts_without_the_gil(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kernel.pyx").write_text(KERNEL)
    built = subprocess.run([sys.executable, "-c", BUILD], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    import kernel  # type: ignore[import-not-found]

    task = board.task("one")
    native = task.native()
    assert kernel.count(native.address, 1000) == 1000
    assert task.count == 1000
    assert kernel.count(headway.current().native().address, 1000) == 0
