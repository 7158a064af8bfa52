"""A process killed at every instruction of the native calls. The calls stand in crash_instructions.py, a program.

It also has to find what is planted: builds of the native module with mistakes that somebody could make.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Finished, RunPython

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGE = ROOT / "src" / "headway"
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
Edit = tuple[str, str, str]


def killed_everywhere(run_python: RunPython, *words: str, path: str = str(ROOT), check: bool = True) -> Finished:
    script = HERE / "crash_instructions.py"
    return run_python(script, *words, env={"PYTHONPATH": path}, timeout_s=120, check=check)


@pytest.mark.parametrize("call", ["update", "a status", "free", "lock and unlock"])
def test_a_kill_at_any_instruction_leaves_a_board_as_before_or_after(call: str, run_python: RunPython) -> None:
    said = json.loads(killed_everywhere(run_python, call).stdout)
    assert said["tried"] > 100
    assert said["failed"] == 0


MISTAKES: dict[str, tuple[str, tuple[str, ...], tuple[Edit, ...]]] = {
    "a count is written in two steps": (
        "update",
        (),
        (
            (
                "include/headway.h",
                "int answer = hw_count(task->stripe, task->tag, n);",
                "hw_count(task->stripe, task->tag, n + 5);\n    int answer = hw_count(task->stripe, task->tag, -5);",
            ),
        ),
    ),
    "a record is written where it is read": (
        "a status",
        (),
        (
            (
                "_native/slots.h",
                "    hw_latch_flip(&control->status_seq);\n    hw_apply(copy0",
                "    hw_apply(copy0",
            ),
            (
                "_native/slots.h",
                "    hw_latch_flip(&control->status_seq);\n    hw_apply(copy1",
                "    hw_apply(copy1",
            ),
        ),
    ),
    "who mends a record shows it before it is whole": (
        "a status",
        ("--long",),
        (
            (
                "include/headway.h",
                "        hw_store_words(copy0, copy1, bytes);\n        hw_latch_flip(seq);",
                "        hw_latch_flip(seq);\n        hw_store_words(copy0, copy1, bytes);",
            ),
        ),
    ),
    "a dead holder's lock is not followed by a repair": (
        "claim",
        (),
        (("_native/lock.h", "            if (seen) hw_repair(board);\n", ""),),
    ),
    "a task is published before it is whole": (
        "claim",
        (),
        (
            (
                "_native/slots.h",
                "    hw_store(&board->header->next_serial, serial);\n",
                "    hw_store(&board->header->next_serial, serial);\n    hw_store(&control->generation, generation);\n",
            ),
        ),
    ),
    "the old task is freed before the new one is published": (
        "claim of an id that has ended",
        (),
        (
            (
                "_native/slots.h",
                "        hw_fill(board, i, identity, first, hash);\n",
                "if (replaced) hw_free_locked(board, old), replaced = NULL; hw_fill(board, i, identity, first, hash);",
            ),
        ),
    ),
}


@pytest.fixture(scope="module")
def c_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native module as C, which is the same whatever the headers are."""
    path = tmp_path_factory.mktemp("c") / "_core.c"
    command = [sys.executable, "-m", "cython", "-3", "-I", "src", "-o", str(path), str(PACKAGE / "_core.pyx")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=100)
    return path


def build(folder: Path, c_code: Path, edits: tuple[Edit, ...]) -> Path:
    """A folder for PYTHONPATH: the package, its native module compiled with the headers as edited."""
    package = folder / "headway"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("_core.*.so", "static", "__pycache__"))
    for file, old, new in edits:
        path = package / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has {text.count(old)} times: {old}"
        path.write_text(text.replace(old, new))
    paths = [sysconfig.get_path("include"), str(package / "include"), str(package / "_native")]
    module = package / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    flags = ["-std=c11", "-w", "-O1", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-D_GNU_SOURCE=1"]
    command = [COMPILER, *flags, *(f"-I{path}" for path in paths), str(c_code), "-o", str(module)]
    subprocess.run(command, check=True, timeout=100)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_kill_at_every_instruction_finds(mistake: str, run_python: RunPython, c_code: Path, tmp_path: Path) -> None:
    call, options, edits = MISTAKES[mistake]
    path = os.pathsep.join((str(build(tmp_path, c_code, edits)), str(ROOT)))
    done = killed_everywhere(run_python, call, *options, path=path, check=False)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["failed"] > 0
