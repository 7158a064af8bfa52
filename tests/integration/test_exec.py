"""`headway exec`: a command of any kind behaves as by itself, and is a task that it may tell its progress."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import headway
from tests.integration.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headway.engine.board import Board
    from headway.views.task_view import TaskView

EXEC = (sys.executable, "-m", "headway", "exec")
WAIT_S = 60.0
THREADS = 3 << 31  # the two signals that the C library keeps for itself, and ignores in what posix_spawn starts
# What a process has from the one that started it, but for the variables that tell it of its task.
INHERITED = r"""
grep -E "^(Sig(Blk|Ign|Cgt)|Umask|Cpus_allowed_list)" /proc/self/status; ulimit -a; pwd
cut -d " " -f 5-7 /proc/self/stat
printf "<%s>" "$0" "$@"; env | grep -vE "^(HEADWAY_(FD|TASK)|_)=" | sort; stat -L -c %i /dev/fd/0 /dev/fd/1 /dev/fd/2
"""
# Tells of each signal that it gets, and ends when it is told to.
HANDLES = r"""
import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, _: os.write(1, f"{signal.Signals(number).name}\n".encode()))
os.write(1, b"on\n")
while os.read(0, 100):
    pass
os.write(1, b"off\n")
"""


@pytest.fixture
def board(board_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """The board of the commands, watched by this process."""
    monkeypatch.setenv("HEADWAY_BOARD", board_name)
    with headway.open(board_name, capacity=32) as board:
        yield board
        board.remove()


def execute(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command by `headway exec`, in a process group of its own."""
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **options}
    return subprocess.run([*EXEC, *arguments], timeout=WAIT_S, check=False, process_group=0, **given)


def shell(script: str, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return execute(*options, "--", "sh", "-c", script, **more)


def only(board: Board) -> TaskView:
    (task,) = board.tasks()
    return task


def until(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def started(*command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on, in a process group of its own, which is gone at the end."""
    given: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, **options}
    with subprocess.Popen(command, process_group=0, **given) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


# --- what it tells


def test_what_a_command_tells_is_shown_as_it_goes_on(board: Board) -> None:
    script = 'echo "12/500 half" >&$HEADWAY_FD; read go; echo +3 >&$HEADWAY_FD; echo stage two >&$HEADWAY_FD; read go'
    with started(*EXEC, "--label", "a script", "--id", "one", "--unit", "file", "--", "sh", "-c", script) as process:
        assert process.stdin is not None
        until(lambda: board.tasks() and only(board).count == 12)
        task = only(board)
        assert (task.id, task.label, task.unit, task.state) == ("one", "a script", "file", "running")
        assert (task.total, task.message, task.owner_pid) == (500, "half", process.pid)
        print("go", file=process.stdin, flush=True)
        until(lambda: only(board).stage == "two")
        assert only(board).count == 15
        print("go", file=process.stdin, flush=True)
        assert process.wait(WAIT_S) == 0
    assert (only(board).state, only(board).count, only(board).error) == ("success", 15, "")


def test_without_options_the_task_is_called_like_the_command(board: Board) -> None:
    assert shell("exit 0").returncode == 0
    assert (only(board).id, only(board).label, only(board).unit, only(board).state) == ("sh", "", "it", "success")


def test_without_a_board_named_it_is_called_like_the_command(headway_dir: Path) -> None:
    assert execute("--total", "8", "--", "true").returncode == 0
    (task,) = headway.read("true").tasks
    assert (task.id, task.state, task.total) == ("true", "success", 8)


def test_the_last_line_needs_no_end(board: Board) -> None:
    assert shell("printf 7/9 >&$HEADWAY_FD").returncode == 0
    assert (only(board).count, only(board).total) == (7, 9)


def test_what_it_tells_last_counts_however_late_it_is_read(board: Board) -> None:
    with started(*EXEC, "--", "sh", "-c", "kill -STOP $PPID; echo 9/9 >&$HEADWAY_FD") as process:
        until(lambda: sorted(states_of(process.pid)) == ["T", "Z"])
        process.send_signal(signal.SIGCONT)
        assert process.wait(WAIT_S) == 0
    assert (only(board).count, only(board).total) == (9, 9)


HOSTILE = r"""
import os, random
fd = int(os.environ["HEADWAY_FD"])
numbers = b"1e9\n12.5\n-7\n999999999999999999999\ntotal 99999999999999999999\n"
noise = b"\n" + random.Random(1).randbytes(1_000_000)
LAST = b"6/9\n" + b"\0" * 100_000
for piece in (b"5/9\n", b"x" * 5_000_000, noise, b"\n" + b"9" * 1_000_000, b"\n+1\n" * 50_000, numbers, LAST):
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view):]
print("done")
"""


def test_nothing_that_is_written_there_stops_the_writer_or_fails(board: Board) -> None:
    done = execute("--", sys.executable, "-c", HOSTILE)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
    assert (only(board).count, only(board).total, only(board).state) == (6, 9, "success")


# --- how it ends


@pytest.mark.parametrize("status", [1, 3, 255])
def test_the_exit_status_is_the_commands(board: Board, status: int) -> None:
    assert shell(f"exit {status}").returncode == status
    assert (only(board).state, only(board).error) == ("failed", f"exit code {status}")


@pytest.mark.parametrize(
    ("name", "status", "state"),
    [
        ("KILL", 137, "failed"),
        ("SEGV", 139, "failed"),
        ("TERM", -15, "failed"),
        ("HUP", -1, "failed"),
        ("INT", -2, "cancelled"),
    ],
)
def test_a_signal_that_ends_the_command_is_told_as_shells_do(board: Board, name: str, status: int, state: str) -> None:
    done = shell(f"ulimit -c 0; kill -{name} $$")
    assert (done.returncode, done.stderr) == (status, "")
    assert (only(board).state, only(board).error) == (state, f"killed by SIG{name}")


@pytest.mark.parametrize(
    ("given", "status", "why"),
    [
        ("no-such-command", 127, "there is no command 'no-such-command' in PATH"),
        ("./missing", 127, "there is no command './missing': check"),
        ("./plain", 126, "'./plain' cannot be run: it is not executable: chmod +x ./plain"),
        ("./folder", 126, "'./folder' cannot be run: it is a folder"),
        ("./orphan", 126, "'./orphan' cannot be run: the program that its first line names is missing"),
    ],
)
@pytest.mark.parametrize("disabled", ["", "1"])
def test_what_cannot_be_run_is_one_sentence_and_the_status_of_shells(
    board: Board, tmp_path: Path, given: str, status: int, why: str, disabled: str
) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "orphan").write_text("#!/no/such/shell\n")
    (tmp_path / "orphan").chmod(0o755)
    done = execute("--", given, cwd=tmp_path, env={**os.environ, "HEADWAY_DISABLE": disabled})
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(f"headway: {why}")
    assert done.stderr.count("\n") == 1
    if not disabled:
        assert only(board).state == "failed"
        assert why in only(board).error


def test_a_script_without_a_first_line_is_run_by_the_shell(board: Board, tmp_path: Path) -> None:
    (tmp_path / "script").write_text('echo "$1 from $0"\necho 3/3 >&$HEADWAY_FD\n')
    (tmp_path / "script").chmod(0o755)
    assert execute("--", "./script", "hello", cwd=tmp_path).stdout == "hello from ./script\n"
    assert only(board).count == 3


def test_a_killed_wrapper_leaves_the_command_alone_and_a_lost_task(board: Board, tmp_path: Path) -> None:
    with started(*EXEC, "--", "sh", "-c", f"echo 4/9 >&$HEADWAY_FD; read go; touch {tmp_path}/done") as process:
        assert process.stdin is not None
        until(lambda: board.tasks() and only(board).count == 4)
        process.kill()
        process.wait()
        until(lambda: only(board).state == "lost")
        print("go", file=process.stdin, flush=True)
        until((tmp_path / "done").exists)


# --- as by itself


def test_it_inherits_what_it_would_by_itself(board: Board, tmp_path: Path) -> None:
    command = ("bash", "-c", INHERITED, "--", "-x", "--help", "", "--")
    told = []
    for start in (command, (*EXEC, "--", *command), (*EXEC, *command)):
        with (tmp_path / "in").open("w+") as stdin, (tmp_path / "out").open("w+") as stdout:
            subprocess.run(start, stdin=stdin, stdout=stdout, stderr=stdout, timeout=WAIT_S, check=True)
        text = (tmp_path / "out").read_text()
        told.append(re.sub(r"(?<=SigIgn:\t)\w+", lambda found: f"{int(found[0], 16) & ~THREADS:x}", text))
    assert told[0].count("\n") > 20
    assert told == [told[0]] * 3


@pytest.mark.parametrize("disabled", ["", "1"])
def test_it_does_not_get_the_locale_that_python_sets_for_itself(board: Board, disabled: str) -> None:
    env = {name: value for name, value in os.environ.items() if name != "LANG" and not name.startswith("LC_")}
    assert shell('echo "${LC_CTYPE-none}"', env={**env, "HEADWAY_DISABLE": disabled}).stdout == "none\n"


@pytest.mark.parametrize("name", ["HUP", "INT", "TERM", "USR1"])
def test_a_signal_that_was_sent_to_it_alone_is_passed_on(board: Board, name: str) -> None:
    with started(*EXEC, "--", sys.executable, "-c", HANDLES) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.stdout.readline() == f"SIG{name}\n"
        process.stdin.close()
        assert process.stdout.read() == "off\n"
        assert process.wait(WAIT_S) == 0
    assert only(board).state == "success"


def states_of(group: int) -> list[str]:
    """The states of the processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of) == group:
                found.append(state)
    return found


def test_both_stop_and_go_on_together(board: Board) -> None:
    with started(*EXEC, "--", sys.executable, "-c", HANDLES) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        os.killpg(process.pid, signal.SIGTSTP)
        until(lambda: states_of(process.pid) == ["T", "T"])
        os.killpg(process.pid, signal.SIGCONT)
        process.stdin.close()
        assert process.stdout.read() == "off\n"
        assert process.wait(WAIT_S) == 0


def test_descriptors_that_it_was_given_are_the_commands(board: Board) -> None:
    reader, writer = os.pipe()
    try:
        assert execute("bash", "-c", f"echo through >&{writer}", pass_fds=(writer,)).returncode == 0
        assert os.read(reader, 100) == b"through\n"
    finally:
        os.close(writer)
        os.close(reader)


MAKEFILE = """
all: a b
a b:
\t+@$(EXEC) --id $@ -- $(MAKE) -f inner $@
"""
INNER = """
a b: %: %-1 %-2
%-1:
\t@echo $@; echo 1/2 >&$$HEADWAY_FD
%-2:
\t@echo $@; echo +1 >&$$HEADWAY_FD
"""


def test_the_jobserver_of_make_passes_through(board: Board, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "inner").write_text(INNER)
    done = execute("--", "make", "-j3", "--no-print-directory", f"EXEC={' '.join(EXEC)}", cwd=tmp_path)
    assert done.stderr == ""  # else make says that there is no jobserver
    assert sorted(done.stdout.split()) == ["a-1", "a-2", "b-1", "b-2"]
    assert {task.id: task.state for task in board} == dict.fromkeys(("make", "make/a", "make/b"), "success")


# --- what it prints, read along


def both(lines: int) -> str:
    return f'for n in $(seq {lines}); do echo "out $n/{lines}"; echo "err $n" >&2; done'


PRINTS = """
import os, random, sys
source = random.Random(2)
for at in range(300):
    os.write(source.choice((1, 2)), source.randbytes(source.randrange(20_000)))
os.write(1, b"\\r 62%")
"""


def test_what_is_read_along_is_the_same_byte_for_byte(board: Board, tmp_path: Path) -> None:
    written = []
    for start in ((), (*EXEC, "--parse", "percent", "--")):
        with (tmp_path / "out").open("wb") as stdout, (tmp_path / "err").open("wb") as stderr:
            command = [*start, sys.executable, "-c", PRINTS]
            subprocess.run(command, stdout=stdout, stderr=stderr, timeout=WAIT_S, check=True)
        written.append(((tmp_path / "out").read_bytes(), (tmp_path / "err").read_bytes()))
    assert len(written[0][0]) > 1_000_000
    assert written[0] == written[1]
    assert (only(board).count, only(board).total, only(board).unit) == (62, 100, "%")


@pytest.mark.parametrize("kind", ["percent", "rsync", "curl"])
def test_the_order_of_what_goes_to_one_place_stays(board: Board, kind: str) -> None:
    done = shell(both(50), "--parse", kind, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, capture_output=False)
    assert done.stdout == "".join(f"out {n}/50\nerr {n}\n" for n in range(1, 51))


@pytest.mark.parametrize("options", [(), ("--no-parse",), ("--parse", "none"), ("--parse", "dd")])
def test_a_stream_that_is_not_read_is_the_commands_own(board: Board, tmp_path: Path, options: tuple[str, ...]) -> None:
    with (tmp_path / "out").open("w") as stdout:
        shell(
            "echo 45% 1/2; stat -L -c %i /dev/fd/1",
            *options,
            stdout=stdout,
            stderr=subprocess.PIPE,
            capture_output=False,
        )
        inode = os.fstat(stdout.fileno()).st_ino
    assert (tmp_path / "out").read_text() == f"45% 1/2\n{inode}\n"
    assert (only(board).count, only(board).total) == (0, None)


def test_a_real_tool_is_as_far_as_it_prints(board: Board, tmp_path: Path) -> None:
    done = execute(
        "--parse", "auto", "--", "dd", "if=/dev/zero", f"of={tmp_path}/big", "bs=1M", "count=3", "status=progress"
    )
    assert done.returncode == 0
    assert "3145728 bytes" in done.stderr
    assert (only(board).id, only(board).count, only(board).unit) == ("dd", 3 << 20, "B")


def test_a_kind_is_heard_on_the_descriptor_too(board: Board) -> None:
    assert shell("printf 'out_time_us=4000000\ntotal 9\n' >&$HEADWAY_FD", "--parse", "ffmpeg").returncode == 0
    assert (only(board).count, only(board).total, only(board).unit) == (4, 9, "s")


def test_who_reads_no_more_ends_the_command_as_in_any_pipe(board: Board) -> None:
    script = '"$@" --parse percent -- yes 2>&1 | head -n 1; echo "${PIPESTATUS[0]}"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *EXEC], capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    assert done.stdout == "y\n141\n"
    assert (only(board).state, only(board).error) == ("failed", "killed by SIGPIPE")


@pytest.mark.parametrize("options", [(), ("--parse", "percent")])
def test_what_it_leaves_in_the_background_writes_on(board: Board, tmp_path: Path, options: tuple[str, ...]) -> None:
    later = "read go; echo 9/9 >&$HEADWAY_FD; echo later; echo 9/9 >&$HEADWAY_FD; touch done"
    script = f"exec 5<&0; ({later}) <&5 & echo 1/9 >&$HEADWAY_FD; echo now; exit 3"
    with started(*EXEC, *options, "--", "sh", "-c", script, cwd=tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.wait(WAIT_S) == 3
        assert process.stdout.readline() == "now\n"
        assert (only(board).state, only(board).count) == ("failed", 1)
        print("go", file=process.stdin, flush=True)
        assert process.stdout.read() == "later\n"
        until((tmp_path / "done").exists)
        until(lambda: not states_of(process.pid))
    assert only(board).count == 1


SLOW = """
import os, threading
os.set_blocking(1, True)
threading.Thread(target=os.write, args=(1, b"x" * 1_000_000)).start()
for at in range(1, 20_001):
    os.write(int(os.environ["HEADWAY_FD"]), b"%d/20000\\n" % at)
"""


def test_a_stream_that_nobody_reads_just_now_keeps_no_line_waiting(board: Board) -> None:
    with started(*EXEC, "--parse", "percent", "--", sys.executable, "-c", SLOW) as process:
        assert process.stdout is not None
        until(lambda: board.tasks() and only(board).count == 20_000)
        assert only(board).state == "running"
        assert process.stdout.read() == "x" * 1_000_000
        assert process.wait(WAIT_S) == 0


# --- on a terminal


def on_terminal(*arguments: str) -> Screen:
    return Screen(Path("-m"), "headway", "exec", *arguments)


def test_a_bar_stands_below_what_is_printed_once_something_is_told(board: Board) -> None:
    script = (
        "for n in 1 2 3; do echo line $n; done; read go; echo 3/9 of them >&$HEADWAY_FD; read go; printf 'a half'; "
        "echo; seq 40; echo 9/9 >&$HEADWAY_FD; stty size <&2"
    )
    with on_terminal("--label", "copying", "--", "sh", "-c", script) as shown:
        shown.until(lambda: "line 3" in shown.said())
        until(board.tasks)
        assert not shown.bars()
        shown.type("\n")
        shown.until(shown.bars)
        assert "copying" in shown.bars()[0]
        assert "3/9" in shown.bars()[0]
        shown.type("\n")
        assert shown.end() == 0
        lines = shown.said()
    assert lines[:3] == ["line 1", "line 2", "line 3"]
    assert lines[3:-1] == ["a half", *map(str, range(1, 41)), "24 80"]
    assert "copying" in lines[-1]
    assert "9/9" in lines[-1]


def test_parts_that_run_stand_below_its_bar(board: Board) -> None:
    inner = "exec --id inner -- sh -c 'echo 3/4 >&$HEADWAY_FD; read go'"
    script = f'echo 1/2 >&$HEADWAY_FD; "$0" -m headway {inner}'
    with on_terminal("--id", "outer", "--", "sh", "-c", script, sys.executable) as shown:
        shown.until(lambda: [bar.split()[0] for bar in shown.bars()] == ["outer", "inner"])
        shown.type("\n")
        assert shown.end() == 0


@pytest.mark.parametrize("options", [(), ("--parse", "percent")])
def test_a_command_that_draws_for_itself_is_left_alone(board: Board, options: tuple[str, ...]) -> None:
    script = (
        "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && stty size <&2; for n in 1 2 3; do printf '\\r%d0%% done' $n; done; echo"
    )
    with on_terminal(*options, "--", "sh", "-c", script) as shown:
        assert shown.end() == 0
        assert shown.written == b"24 80\r\n\r10% done\r20% done\r30% done\r\n"
    assert only(board).count == (30 if options else 0)


@pytest.mark.parametrize("options", [(), ("--parse", "percent")])
def test_ctrl_c_reaches_the_command_once_and_it_decides(board: Board, options: tuple[str, ...]) -> None:
    with on_terminal(*options, "--", sys.executable, "-c", HANDLES) as shown:
        shown.until(lambda: "on" in shown.said())
        shown.type("\x03")
        shown.until(lambda: any("SIGINT" in line for line in shown.said()))
        shown.type("\x04")
        assert shown.end() == 0
        assert sum("SIGINT" in line for line in shown.said()) == 1
    assert only(board).state == "success"


def test_ctrl_c_that_ends_the_command_ends_all(board: Board) -> None:
    with on_terminal("--", "sh", "-c", "echo on; sleep 100") as shown:
        shown.until(lambda: "on" in shown.said())
        shown.type("\x03")
        assert shown.end() == 254  # what stands for the shell: -2, modulo 256
    assert (only(board).state, only(board).error) == ("cancelled", "killed by SIGINT")


# --- within others


RUNS = """
import subprocess, sys
from tqdm import tqdm
command = [sys.executable, "-m", "headway", "exec", "--id", "part", "--", "sh", "-c", "echo 1/1 >&$HEADWAY_FD"]
with tqdm(total=2, desc="steps") as bar:
    for name in tqdm(["a", "b"], desc="files"):
        subprocess.run(command, check=True)
    bar.update(2)
    subprocess.run(" ".join(["exec", sys.executable, *command[1:5], name, "--", "true"]), shell=True, check=True)
"""


def test_under_headway_run_it_is_a_part_of_what_the_program_has_in_hand(board: Board, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(RUNS)
    command = (sys.executable, "-m", "headway", "run", str(tmp_path / "program.py"))
    subprocess.run(command, stderr=subprocess.DEVNULL, timeout=WAIT_S, check=True)
    found = {task.id: (task.state, task.count) for task in board}
    assert found == {
        "steps": ("success", 2),
        "steps/files": ("success", 2),
        "steps/files/part": ("success", 1),
        "steps/b": ("success", 0),
    }


def test_what_headway_does_in_its_programs_is_a_part_of_it(board: Board, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import headway\nfor _ in headway.track(range(3), 'loop'): pass\n")
    bars = "from tqdm import tqdm\nfor _ in tqdm(range(4), desc='bar'): pass\n"
    (tmp_path / "bars.py").write_text(bars)
    script = '"$0" program.py && "$0" -m headway run bars.py && "$0" -m headway exec --id inner -- sh -c "exit 4"'
    env = {**os.environ, "HEADWAY_BARS": "0"}
    assert execute("--id", "all", "--", "sh", "-c", script, sys.executable, cwd=tmp_path, env=env).returncode == 4
    found = {task.id: (task.state, task.count) for task in board}
    assert found == {
        "all": ("failed", 0),
        "all/loop": ("success", 3),
        "all/bar": ("success", 4),
        "all/inner": ("failed", 0),
    }


# --- as the page says


def blocks(kind: str) -> list[str]:
    """The examples of one kind that docs/exec.md has."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "exec.md").read_text()
    return re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)


def test_the_script_of_the_page_tells_its_progress_and_runs_by_itself(board: Board, tmp_path: Path) -> None:
    (loop,) = (block for block in blocks("sh") if block.startswith("for "))
    (guard,) = (block for block in blocks("sh") if block.startswith("[ "))
    for start in ((), (*EXEC, "--")):
        for number in range(1, 10):
            (tmp_path / f"file-{number}").touch()
            (tmp_path / f"file-{number}.gz").unlink(missing_ok=True)
        subprocess.run([*start, "sh", "-ec", guard + loop], cwd=tmp_path, timeout=WAIT_S, check=True)
        assert len(list(tmp_path.glob("*.gz"))) == 9
    assert (only(board).count, only(board).total, only(board).message) == (9, 9, "file-9")


def test_the_makefile_of_the_page_has_a_part_for_each_file(board: Board, tmp_path: Path) -> None:
    (rule,) = blocks("make")
    (tmp_path / "Makefile").write_text(f"all: a.o b.o\n{rule}".replace("headway exec", " ".join(EXEC)))
    for name in ("a.c", "b.c"):
        (tmp_path / name).write_text("int unused;\n")
    done = execute("--", "make", "-j8", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert {task.id: task.state for task in board} == dict.fromkeys(("make", "make/a.o", "make/b.o"), "success")


# --- without a board


@pytest.mark.parametrize("why", ["switched off", "no place", "a file in its place", "a wrong name"])
def test_without_a_board_the_command_runs_all_the_same(tmp_path: Path, why: str) -> None:
    (tmp_path / "file").touch()
    env = {
        "switched off": {"HEADWAY_DISABLE": "1"},
        "no place": {"HEADWAY_DIR": "/proc/no/place"},
        "a file in its place": {"HEADWAY_DIR": str(tmp_path / "file")},
        "a wrong name": {"HEADWAY_BOARD": "a b"},
    }[why]
    script = "echo 1/2 >&$HEADWAY_FD && head -c 1000000 /dev/zero >&$HEADWAY_FD && echo ran; exit 5"
    done = shell(script, env={**os.environ, **env})
    assert (done.stdout, done.returncode) == ("ran\n", 5)
    assert done.stderr.count("\n") == (why != "switched off")
    assert why == "switched off" or done.stderr.startswith("headway: sh runs, and nobody sees its progress: ")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--",), "which command? name one"),
        ((), "which command? name one"),
        (("--total", "x", "--", "true"), "'x' is not a whole number"),
        (("--total", "-1", "--", "true"), "'-1' is not a whole number"),
        (("--board", "a b", "--", "true"), "board name 'a b' is not legal"),
        (("--id", "", "--", "true"), "task id is empty"),
        (("--parse", "rsink", "--", "true"), "nothing is known of 'rsink': did you mean 'rsync'?"),
        (("--parse", "wget", "--", "true"), "nothing is known of 'wget': use one of auto, ffmpeg"),
        (("--nope", "--", "true"), "--nope"),
    ],
)
def test_wrong_usage_is_status_2(arguments: tuple[str, ...], why: str) -> None:
    done = execute(*arguments)
    assert done.returncode == 2
    assert why in done.stderr
    assert done.stderr.startswith("usage: headway exec [option ...] [--] COMMAND [ARGUMENT ...]")
