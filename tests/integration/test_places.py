"""Programs in other containers and under other names of the host: they are told apart, and find each other."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headway.engine.board import open_board
from headway.upkeep import removal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunPython

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")

CONTAINER = ("unshare", "--mount", "--uts", "sh", "-c", 'mount -t tmpfs tmpfs /dev/shm && hostname "$0" && exec "$@"')
OPEN = """
import sys
import headway
try:
    board = headway.open(sys.argv[1], capacity=4, record=False)
except headway.errors.BoardElsewhere as error:
    print(error, flush=True)
else:
    print("opened", flush=True)
    sys.stdin.read()
    board.close()
"""


def in_container(host: str, *arguments: str) -> subprocess.Popen[str]:
    """Run a Python program in a /dev/shm of its own, on a host of this name."""
    return subprocess.Popen(
        [*CONTAINER, host, sys.executable, "-c", *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_of_containers_with_one_directory_the_second_is_refused_also_without_a_recorder(board_name: str) -> None:
    with in_container("first", OPEN, board_name) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "opened\n"
        with in_container("second", OPEN, board_name) as second:
            said, _ = second.communicate(timeout=60)
        assert f"board {board_name!r} is in use by pid" in said
        assert "on first" in said
        first.communicate(timeout=60)
    with in_container("third", OPEN, board_name) as third:  # nobody uses it any more
        assert third.communicate(timeout=60)[0] == "opened\n"


BOUND = ("unshare", "--mount", "sh", "-c", 'mkdir "$0" && mount --bind "$0" /dev/shm && exec "$@"')


def test_containers_whose_shared_memory_lies_in_folders_of_one_disk_are_told_apart(
    board_name: str, tmp_path: Path
) -> None:
    def program(folder: str) -> subprocess.Popen[str]:
        command = [*BOUND, str(tmp_path / folder), sys.executable, "-c", OPEN, board_name]
        return subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    with program("one") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "opened\n"
        with program("two") as second:
            assert f"board {board_name!r} is in use by pid" in second.communicate(timeout=60)[0]
        first.communicate(timeout=60)


RENAMED = """
import os, subprocess, sys
import headway
name = sys.argv[1]
board = headway.open(name, capacity=4, record=False)
board.task("t").update(3)
subprocess.run(["hostname", "elsewhere"], check=True)
assert headway.open(name, capacity=4) is board, "the process keeps the place that it found"
other = "import headway, sys; print([task.count for task in headway.open(sys.argv[1], record=False).tasks()])"
assert subprocess.check_output([sys.executable, "-c", other, name]) == b"[3]\\n"
shown = subprocess.check_output([sys.executable, "-m", "headway", "show", name], text=True)
assert "live from shared memory" in shown, shown
assert name in subprocess.check_output([sys.executable, "-m", "headway", "ls"], text=True)
board.remove()
assert not os.path.exists(board.directory)
"""


def test_a_board_in_use_is_found_under_the_hosts_next_name(board_name: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("HEADWAY_DIR", "XDG_STATE_HOME")}
    done = subprocess.run(
        ["unshare", "--uts", sys.executable, "-c", RENAMED, board_name],
        env=environment | {"HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


WITHOUT_PIDFD = """
import os, sys
del os.pidfd_open
import headway
with headway.open(sys.argv[1], capacity=4, record=False) as board:
    with board.live(), board.task("counted", total=2) as task:
        task.update(2)
    for _ in headway.track(range(2), "looped", board=board):
        pass
    board.remove()
"""


def test_live_bars_need_no_descriptor_of_a_process(board_name: str, run_python: RunPython) -> None:
    done = run_python(WITHOUT_PIDFD, board_name)
    assert "no live bars" not in done.stderr
    assert board_name in done.stderr
    assert "looped" in done.stderr


def test_a_handle_of_another_host_names_it(board_name: str, run_python: RunPython, tmp_path: Path) -> None:
    """As in a worker of a cluster, to which the task was sent."""
    board = open_board(board_name, capacity=4, record=False)
    task = board.task("a")
    handle = tmp_path / "handle"
    handle.write_bytes(pickle.dumps(task))
    use = (
        "import pickle, sys, warnings, headway\n"
        "task = pickle.load(open(sys.argv[1], 'rb'))\n"
        "warnings.showwarning = lambda warning, *_: print(warning)\n"
        "task.update(2)\n"
        "assert task.set(stage='x') and task.stage == 'x' and task.count == 2\n"
    )
    with in_container("elsewhere", use, str(handle)) as other:
        said, _ = other.communicate(timeout=60)
    assert f"board {board_name!r} of this handle lives on host {os.uname().nodename!r}, and this is 'elsewhere'" in said
    run_python(use + "assert task.stage == 'x'", str(handle))
    board.remove()


FILES_ONLY = """
import subprocess, sys
name = sys.argv[1]
for words in ("ls", "show NAME", "history NAME", "export NAME", "watch NAME --once", "doctor", "gc"):
    words = words.replace("NAME", name).split()
    done = subprocess.run([sys.executable, "-m", "headway", *words], capture_output=True, text=True)
    print(words[0], done.returncode, "shm" in done.stderr)
"""


def test_commands_that_read_files_do_without_shared_memory(board_name: str) -> None:
    board = open_board(board_name, capacity=4, record=False)
    board.task("a").succeed()
    board.write_snapshot()
    board.remove(files=False)
    in_place = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"', "sh"]
    done = subprocess.run(
        [*in_place, sys.executable, "-c", FILES_ONLY, board_name],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    told = [line.split() for line in done.stdout.splitlines()]
    assert [words[0] for words in told if words[1:] != ["0", "False"]] == ["doctor"], "which says what is missing"
    removal.remove(board_name)


OFF = """
import os, sys
import headway, headway.api, headway.standin.board, headway.bars.track, headway.views.board_view, headway.system.paths
import headway.standin.task, headway.views.task_view, json
touched = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        touched.append((event, arguments))
    if event in ("os.mkdir", "os.rename", "os.remove", "os.link", "os.chmod", "os.utime", "os.truncate", "os.fork",
                 "subprocess.Popen", "os.posix_spawn", "os.exec", "fcntl.flock", "fcntl.fcntl", "tempfile.mkstemp",
                 "socket.__new__", "mmap.__new__"):
        touched.append((event, arguments))
sys.addaudithook(hook)
board = headway.open()
with board.task("a", total=4) as task:
    for _ in headway.track(range(4)):
        task.update()
    task.result = {"x": 1}
with board.live():
    board.snapshot(), board.history(), board.reap(), board.write_snapshot(), board.directory, len(board)
board.remove()
assert not touched, touched
print("nothing touched", headway.current().id)
"""


@pytest.mark.parametrize(
    "given",
    [{"HEADWAY_DIR": "/proc/1/none"}, {"HEADWAY_DIR": "relative"}, {"HEADWAY_DIR": None, "HOME": "/nowhere"}],
)
@pytest.mark.parametrize("board", [None, "../illegal"])
def test_switched_off_it_touches_nothing_and_never_fails(
    given: dict[str, str | None], board: str | None, run_python: RunPython
) -> None:
    environment = {"HEADWAY_DISABLE": "1", "HEADWAY_BOARD": board, "PYTHONDONTWRITEBYTECODE": "1", **given}
    done = run_python(OFF, env=environment)
    assert done.stdout == "nothing touched \n"
    assert done.stderr == ""


SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
one = interpreters.create()
run = getattr(interpreters, "exec", None) or interpreters.run_string
work = "import headway\\nprint('counted', sum(headway.track(range(5), label='sub', board=NAME)), flush=True)"
failed = run(one, work.replace("NAME", repr(sys.argv[1])))
assert not failed, failed
interpreters.destroy(one)
print("went on")
"""


def test_a_loop_in_a_subinterpreter_counts(board_name: str, run_python: RunPython) -> None:
    done = run_python(SUBINTERPRETER, board_name)
    assert done.stdout.split() == ["counted", "10", "went", "on"]
    assert done.stderr.count("Warning: ") <= 1
    run_python("import headway, sys; headway.open(sys.argv[1], record=False).remove()", board_name)


UNSEEN = """
import glob, multiprocessing, os, sys
import headway

def work(task):
    with task:
        for n in task.track([1, 2, 3]):
            task.set(message="from a worker", metrics={"loss": 1.0}, count=n)
        task.stage, task.message, task.total = "s", "m", 5
        with task.task("part", total=2) as part:
            part.update(2)
            part.stage = "fit"
        task.result = {"a": 1}
        assert task.merge_result({"b": 2})["b"] == 2
        assert headway.current().id == "t"
        assert (task.state, task.stage, task.message, task.total) == ("running", "s", "m", 5)
        assert task.view().count == task.count > 0
        assert (task.metrics, task.result, task.parent) == ({"loss": 1.0}, {"a": 1, "b": 2}, None)
        assert list(headway.track(range(3), "loop")) == [0, 1, 2]
    assert not task.succeed("done")
    print("worked", flush=True)

if __name__ == "__main__":
    board = headway.open(sys.argv[1], capacity=8, record=False)
    task = board.task("t")
    for path in glob.glob(f"/dev/shm/*{sys.argv[1]}*"):
        os.unlink(path)
    for method in ("spawn", "forkserver", "fork"):
        worker = multiprocessing.get_context(method).Process(target=work, args=(task,))
        worker.start()
        worker.join()
        print(method, worker.exitcode, flush=True)
    board.remove()
"""


def test_a_worker_goes_on_when_the_boards_segment_was_deleted_and_warns_once(board_name: str, tmp_path: Path) -> None:
    """As systemd does (RemoveIPC) at the end of the user's last session, while a program runs on."""
    script = tmp_path / "unseen.py"
    script.write_text(UNSEEN)
    done = subprocess.run(
        [sys.executable, str(script), board_name], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["worked", "spawn 0", "worked", "forkserver 0", "worked", "fork 0"], done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("nobody sees what this process counts and writes on task") == 2, (
        "the forked worker has the board from its parent"
    )
