"""Builds of other kinds: each switch of setup.py gives native modules that are built so, load, and work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunPython

ROOT = Path(__file__).resolve().parents[2]
SWITCHES = ("SANITIZE=address", "SANITIZE=thread", "COVERAGE=1", "DEBUG=1", "OLD=1")
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]

USE = """
import os, sys, threading
from pathlib import Path
from headway.native import core, rates, records
from headway.engine.board import open_board

for module in (core, rates, records):
    assert module.__file__.startswith(sys.argv[2]), module.__file__

traced = set()
def trace(frame, event, argument):
    traced.add(os.path.basename(frame.f_code.co_filename))
    return trace

board = open_board(sys.argv[1], capacity=8, result_bytes=64)
try:
    sys.settrace(trace)
    task = board.task("a", total=10)
    sys.settrace(None)

    def work(number):
        for i in range(100):
            task.update()
            task.set(stage=f"s{i % 3}", message="m", metrics={"n": i})
            task.merge_result({str(number): i})
            assert board.snapshot().tasks[0].result is not None
        with board.task(f"of {number}") as mine:
            assert list(mine.track(range(3))) == [0, 1, 2]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pid = os.fork()
    if pid == 0:
        task.update(5)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert task.count == 305
finally:
    board.remove(files=True)
print("task_table.pxi" in traced)
"""


def library(name: str) -> str:
    done = subprocess.run(
        [COMPILER, f"-print-file-name={name}"], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


def told_of(module: Path, *command: str) -> str:
    return subprocess.run([*command, str(module)], capture_output=True, text=True, check=True, timeout=30).stdout


def built(switch: str) -> Path:
    """A folder for PYTHONPATH. Built in a copy of the sources, which stays: what has not changed is not built again."""
    name, value = switch.split("=")
    copy = ROOT / "build" / "switches" / f"{name}-{value}-{sys.implementation.cache_tag}".lower()
    copy.mkdir(parents=True, exist_ok=True)
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / file, copy)
    shutil.copytree(
        ROOT / "src", copy / "src", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    )
    command = [sys.executable, "setup.py", "--quiet", "build", "--build-lib", "library"]
    environment = {**os.environ, name: value, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "library"


@pytest.fixture(scope="module")
def builds() -> dict[str, Path]:
    """All of them, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(SWITCHES, pool.map(built, SWITCHES), strict=True))


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.parametrize(
    ("switch", "preloaded", "sign"),
    [
        ("SANITIZE=address", "libasan.so", "__asan_init"),
        ("SANITIZE=thread", "libtsan.so", "__tsan_init"),
        ("COVERAGE=1", "", ""),
        ("DEBUG=1", "", ""),
    ],
)
def test_a_build_of_another_kind_is_one_and_works(
    switch: str, preloaded: str, sign: str, builds: dict[str, Path], run_python: RunPython, board_name: str
) -> None:
    folder = builds[switch]
    modules = sorted(folder.glob("headway/native/*.so"))
    assert len(modules) == len(list((ROOT / "src" / "headway" / "native").glob("*.pyx")))
    for module in modules:
        assert sign in told_of(module, "nm", "-D")
        assert ".debug_info" in told_of(module, "readelf", "-S", "-W")
    environment = {"PYTHONPATH": str(folder)}
    if preloaded:
        environment |= {"LD_PRELOAD": library(preloaded), "ASAN_OPTIONS": "detect_leaks=0"}
    done = run_python(USE, board_name, str(folder), env=environment, timeout_s=100)
    assert (done.stdout, done.stderr) == (f"{switch == 'COVERAGE=1'}\n", "")


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_a_build_for_older_c_libraries_works_without_the_calls_that_they_lack(
    builds: dict[str, Path], run_python: RunPython, board_name: str
) -> None:
    folder = builds["OLD=1"]
    (core,) = folder.glob("headway/native/core.*.so")
    assert "sem_trywait" in told_of(core, "nm", "-D")
    assert "sem_clockwait" not in told_of(core, "nm", "-D")
    done = run_python(USE, board_name, str(folder), env={"PYTHONPATH": str(folder)}, timeout_s=100)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_an_unknown_switch_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=ROOT,
        env={**os.environ, "SANITIZE": "leaks"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "SANITIZE=leaks is unknown: say SANITIZE=address or SANITIZE=thread" in done.stderr
