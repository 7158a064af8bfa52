"""The program that runs the steps of .ci/run: what it runs, when it stops, what it says, what has a second pass."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
LANES = ROOT / "ci" / "lanes.py"
IS_ROOT = os.geteuid() == 0

FLAKY = """
import pathlib

def test_fails_first():
    marker = pathlib.Path(__file__).with_suffix(".marker")
    seen = marker.exists()
    marker.touch()
    assert seen, "not yet"

def test_passes():
    pass
"""
FAILS = 'def test_fails():\n    print("the output of the test")\n    assert not "found"\n'
PASSES = "def test_passes():\n    pass\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty project whose ci/test runs pytest."""
    folder = tmp_path / "tree"
    (folder / "ci").mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    script = folder / "ci" / "test"
    script.write_text(f'#!/bin/sh\nPYTEST_DISABLE_PLUGIN_AUTOLOAD=1 exec {sys.executable} -m pytest -q "$@"\n')
    script.chmod(0o755)
    return folder


def run(tree: Path, steps: str, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(LANES), *names],
        input=steps,
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def write(tree: Path, file: str, text: str) -> None:
    (tree / file).parent.mkdir(parents=True, exist_ok=True)
    (tree / file).write_text(text)


def test_steps_run_in_order_and_are_shown_with_their_output_and_time(tree: Path) -> None:
    done = run(tree, "one: echo first said\n# a comment\ntwo: sh -c 'echo second \\\n said' # another\n")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines.index("first said") < lines.index("second said")
    assert "=== two: passed, 0 s" in lines
    assert "       0 s  two" in lines
    assert "All steps passed, in" in lines[-1]


def test_the_steps_that_are_named_run_alone(tree: Path) -> None:
    done = run(tree, "one: echo first said\n[a]\ntwo: echo second said\n[b]\nthree: false\n", "two")
    assert done.returncode == 0
    assert "second said" in done.stdout
    assert "first said" not in done.stdout


def test_a_step_that_fails_is_the_last_and_told_with_its_output(tree: Path) -> None:
    done = run(tree, "one: sh -c 'echo why it fails >&2; exit 3'\ntwo: touch reached\n[lane]\nthree: touch reached\n")
    assert done.returncode == 1
    assert "why it fails" in done.stdout
    assert "one FAILED: exit code 3. What it printed stands above, and in build/ci/one.log." in done.stdout
    assert not (tree / "reached").exists()
    assert (tree / "build" / "ci" / "one.log").read_text() == "why it fails\n"


def test_a_lane_that_fails_lets_the_other_go_on(tree: Path) -> None:
    done = run(tree, "[a]\nbad: false\nafter: touch reached\n[b]\ngood: sleep 0.2\nlast: echo the other lane\n")
    assert done.returncode == 1
    assert "the other lane" in done.stdout
    assert not (tree / "reached").exists()


def test_a_command_that_is_not_there_fails_by_name(tree: Path) -> None:
    done = run(tree, "one: ci/nothing\n")
    assert done.returncode == 1
    assert "one FAILED: could not be started: " in done.stdout
    assert "ci/nothing" in done.stdout


def test_a_step_that_is_killed_is_told_with_the_signal(tree: Path) -> None:
    done = run(tree, "one: sh -c 'kill -SEGV $$'\n")
    assert done.returncode == 1
    assert "one FAILED: killed by SIGSEGV" in done.stdout


@pytest.mark.parametrize(
    ("steps", "names", "said"),
    [
        ("one: true\nno step\n", (), "neither `name: command` nor `[lane]`: no step"),
        ("one: true\n", ("two",), "no step is called two: there are one"),
        ("a b: true\na-b: true\n", (), "two steps would write build/ci/a-b.log"),
    ],
)
def test_a_list_or_a_name_that_is_wrong_is_refused(tree: Path, steps: str, names: tuple[str, ...], said: str) -> None:
    done = run(tree, steps, *names)
    assert done.returncode == 1
    assert said in done.stderr


def test_lanes_go_side_by_side_where_each_has_a_shared_memory_of_its_own(tree: Path) -> None:
    if IS_ROOT:  # each waits for the other
        meet = "sh -c 'stat -c %d /dev/shm >{0}; until [ -s {1} ]; do sleep 0.01; done'"
    else:
        meet = "sh -c 'stat -c %d /dev/shm >{0}'"
    done = run(tree, f"[a]\none: {meet.format('one', 'two')}\n[b]\ntwo: {meet.format('two', 'one')}\n")
    assert done.returncode == 0, done.stdout
    devices = {(tree / name).read_text() for name in ("one", "two")} | {f"{os.stat('/dev/shm').st_dev}\n"}
    assert len(devices) == (3 if IS_ROOT else 1)


TGKILL = 234 if os.uname().machine == "x86_64" else 131  # the number of the system call; the C library has no name


def ignoring_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)


@pytest.mark.parametrize("before", [None, ignoring_interrupts], ids=["in the foreground", "in the background"])
def test_interrupts_have_their_default_action_in_a_step(tree: Path, before: Callable[[], None] | None) -> None:
    look = "import signal; print([signal.getsignal(n) is not signal.SIG_IGN for n in (signal.SIGINT, signal.SIGQUIT)])"
    done = subprocess.run(
        [sys.executable, str(LANES)],
        input=f"one: {sys.executable} -c '{look}'\n",
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        preexec_fn=before,
    )
    assert "[True, True]" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_run_ends_its_steps_and_shows_what_they_printed(tree: Path, number: signal.Signals) -> None:
    steps = "[a]\none: sh -c 'echo $$ >pid; echo so far; exec sleep 1000'\n[b]\ntwo: sleep 1000\n"
    process = subprocess.Popen(
        [sys.executable, str(LANES)], cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(steps)
        process.stdin.close()
        process.stdin = None
        while not ((tree / "pid").exists() and "so far" in (tree / "build" / "ci" / "one.log").read_text()):
            assert process.poll() is None
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "so far" in said
    assert "=== one: ended before it was done" in said
    assert not Path("/proc", (tree / "pid").read_text().strip()).exists()


def test_an_interrupt_that_another_thread_was_given_ends_the_run_too(tree: Path) -> None:
    """The kernel may give a signal of the process to any thread; Python answers it in the main one, once that wakes."""
    steps = "[a]\none: sh -c 'echo so far; exec sleep 1000'\n[b]\ntwo: sleep 1000\n"
    process = subprocess.Popen(
        [sys.executable, str(LANES)], cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdin is not None
            process.stdin.write(steps)
            process.stdin.close()
            process.stdin = None
            tasks = Path(f"/proc/{process.pid}/task")
            while len(threads := sorted(int(entry.name) for entry in tasks.iterdir())) < (3 if IS_ROOT else 2):
                assert process.poll() is None
            time.sleep(0.5)  # the main thread waits by then; if it does not yet, the test is easier, not red
            other = next(thread for thread in threads if thread != process.pid)
            assert ctypes.CDLL(None).syscall(TGKILL, process.pid, other, signal.SIGINT) == 0
            said, _ = process.communicate(timeout=60)
        finally:
            process.terminate()
    assert process.returncode == 130
    assert "Interrupted after" in said


# --- second passes


def test_what_passes_only_the_second_time_is_counted_named_and_kept(tree: Path) -> None:
    write(tree, "tests/test_flaky.py", FLAKY)
    done = run(tree, "test: ci/test tests\n")
    assert done.returncode == 0, done.stdout
    end = done.stdout.partition("Steps:")[2]
    told = (
        "1 passed only the second time:\n"
        "  tests/test_flaky.py::test_fails_first (test)\n"
        "      AssertionError: not yet\n"
    )
    assert told in end
    assert told in (tree / "build" / "ci" / "second-passes.txt").read_text()
    assert "1 failed, 1 passed" in done.stdout  # the closing lines of both passes
    assert done.stdout.count("\n1 passed in ") == 1


def test_a_run_without_second_passes_is_kept_too(tree: Path) -> None:
    write(tree, "tests/test_a.py", PASSES)
    for _ in range(2):
        assert run(tree, "test: ci/test tests\n").returncode == 0
    assert (tree / "build" / "ci" / "second-passes.txt").read_text().count("No test needed a second pass.") == 2


def test_what_fails_twice_fails_with_its_output(tree: Path) -> None:
    write(tree, "tests/test_a.py", FAILS)
    done = run(tree, "test: ci/test tests\nafter: touch reached\n")
    assert done.returncode == 1
    assert "the output of the test" in done.stdout
    assert "test FAILED: exit code 1 in the second pass, too." in done.stdout
    assert "No test needed a second pass." in done.stdout
    assert not (tree / "reached").exists()


@pytest.mark.parametrize(
    "file",
    [
        "tests/faults/test_crashes.py",
        "tests/models/test_latch.py",
        "tests/unit/recorder/test_mirror.py",
        "tests/unit/system/test_locks.py",
        "tests/integration/test_recorder.py",
        "tests/unit/native/test_core.py",
    ],
)
def test_tests_of_faults_models_locks_and_recorder_have_no_second_pass(tree: Path, file: str) -> None:
    write(tree, file, FLAKY)
    write(tree, "tests/test_other.py", FLAKY)
    done = run(tree, "test: ci/test tests\n")
    assert done.returncode == 1
    assert f"test FAILED: exit code 1; there is no second pass in {file}." in done.stdout


def test_a_run_that_left_something_behind_has_no_second_pass(tree: Path) -> None:
    write(tree, "tests/test_flaky.py", FLAKY)
    write(
        tree,
        "tests/conftest.py",
        "import pytest\n@pytest.hookimpl\ndef pytest_sessionfinish(session):\n    session.exitstatus = 10\n",
    )
    done = run(tree, "test: ci/test tests\n")
    assert done.returncode == 1
    assert "test FAILED: exit code 10." in done.stdout


def test_a_test_that_leaves_shared_memory_behind_ends_the_run_with_the_code_of_leaks(tree: Path) -> None:
    (tree / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tree / "tests")
    left = (
        "import os\n\ndef test_leaves():\n    open(f'/dev/shm/headway-{os.getuid()}-t-{os.getpid()}-x', 'w').close()\n"
    )
    write(tree, "tests/test_leaves.py", left)
    done = run(tree, "test: ci/test tests\n")
    assert done.returncode == 1
    assert "left in /dev/shm: " in done.stdout
    assert "test FAILED: exit code 10." in done.stdout


# --- times


def test_the_files_of_tests_are_listed_with_their_times_slowest_first(tree: Path) -> None:
    write(tree, "tests/test_quick.py", PASSES)
    write(tree, "tests/test_slow.py", "import time\n\ndef test_a():\n    time.sleep(0.5)\n\ndef test_b():\n    pass\n")
    done = run(tree, "test: ci/test tests\n")
    lines = done.stdout.partition("Test files, slowest first:\n")[2].splitlines()
    seconds, *words = lines[0].split()
    assert float(seconds) >= 0.5
    assert words == ["s", "2", "tests", "tests/test_slow.py", "(test)"]
    assert lines[1].split()[2:] == ["1", "tests", "tests/test_quick.py", "(test)"]
