"""One loop, one bar: whatever the loop goes through, the program goes on, and afterwards it can be told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import headway
from headway import errors
from headway.engine.board import open_board

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headway.engine.board import Board
    from headway.views.board_view import BoardView
    from tests.conftest import RunPython


@pytest.fixture(autouse=True)
def own_board(monkeypatch: pytest.MonkeyPatch, board_name: str) -> str:
    """Loops of a test go to a board of its own."""
    monkeypatch.setenv("HEADWAY_BOARD", board_name)
    return board_name


def states(view: BoardView) -> dict[str, tuple[str, int]]:
    return {task.id: (task.state, task.count) for task in view.tasks}


# --- in one program


def test_hello_world(run_python: RunPython, headway_dir: Path) -> None:
    script = """
import headway
total = 0
for number in headway.track(range(300), unit="number"):
    total += number
print(total)
"""
    done = run_python(script, env={"HEADWAY_BOARD": None})
    assert done.stdout == "44850\n"
    first, last = done.stderr.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d track: 0% 0/300 number", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d track: succeeded 100% 300/300 number in \d.*", last)
    (directory,) = headway_dir.iterdir()
    assert directory.name.startswith("script_")
    view = headway.read(directory.name)  # its last state is told when it is over
    (task,) = view.tasks
    assert (task.id, task.state, task.count, task.total, task.unit) == ("track", "success", 300, 300, "number")


def test_no_thread_no_child_and_no_word_but_of_its_begin_and_end(run_python: RunPython) -> None:
    script = """
import os, sys
import headway
for _ in headway.track(range(3)):
    assert len(os.listdir("/proc/self/task")) == 1
    pid = os.fork()  # from Python 3.12 on it warns where there are threads
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child")
"""
    done = run_python(script, options=("-W", "error", "-X", "dev"))
    assert done.stdout == "no child\n"
    assert len(done.stderr.splitlines()) == 2


def test_loops_in_a_row_are_the_same_task_again(run_python: RunPython, own_board: str) -> None:
    script = """
import headway
for count in (3, 2):
    for _ in headway.track(range(count)):
        pass
for _ in headway.track(iter("abcd"), label="letters", unit="letter"):
    pass
"""
    done = run_python(script)
    assert [line.split(" ", 1)[1].split(" in ")[0] for line in done.stderr.splitlines()] == [
        "track: 0% 0/3 it",
        "track: succeeded 100% 3/3 it",
        "track: 0% 0/2 it",
        "track: succeeded 100% 2/2 it",
        "letters: 0 letter",
        "letters: succeeded 4 letter",
    ]
    assert states(headway.read(own_board)) == {"track": ("success", 2), "letters": ("success", 4)}


def test_the_same_program_again_starts_anew(run_python: RunPython, own_board: str) -> None:
    script = "import headway, sys\nfor _ in headway.track(range(int(sys.argv[1]))): pass"
    for count in ("3", "5"):
        run_python(script, count)
        assert states(headway.read(own_board)) == {"track": ("success", int(count))}


WAITING = """
import sys
import headway
for number in headway.track(range(3)):
    if number == 1:
        print(headway.current().id, flush=True)
        sys.stdin.readline()
"""


def start(script: str, **kwargs: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def test_the_same_program_twice_at_once_has_two_tasks_on_one_board(own_board: str, headway_dir: Path) -> None:
    programs = [start(WAITING) for _ in range(3)]
    try:
        ids = {program.stdout.readline().strip() for program in programs if program.stdout}
        assert ids == {"track", "track-2", "track-3"}
        with open_board(own_board) as board:
            assert states(board.snapshot()) == dict.fromkeys(ids, ("running", 1))
        for program in programs[:2]:
            program.communicate("go on\n", timeout=30)
        assert list(Path("/dev/shm").glob(f"headway-*-{own_board}-*")), "the third one still uses the board"
        programs[2].communicate("go on\n", timeout=30)
    finally:
        for program in programs:
            program.kill()
            program.communicate()
    assert states(headway.read(own_board)) == dict.fromkeys(ids, ("success", 3))
    assert not list(Path("/dev/shm").glob(f"*headway-*-{own_board}-*"))


def test_after_a_kill_the_next_run_goes_on_with_the_board(own_board: str, run_python: RunPython) -> None:
    program = start(WAITING)
    assert program.stdout is not None
    assert program.stdout.readline() == "track\n"
    program.kill()
    program.communicate()
    run_python("import headway\nfor _ in headway.track(range(2), label='other'): pass")
    assert states(headway.read(own_board)) == {"track": ("lost", 1), "other": ("success", 2)}


def test_a_board_that_is_open_already_stays(run_python: RunPython, own_board: str) -> None:
    script = """
import headway
board = headway.open()
for _ in headway.track(range(3)):
    pass
assert board.get("track").state == "success"
"""
    run_python(script)
    assert list(Path("/dev/shm").glob(f"headway-*-{own_board}-*"))
    with open_board(own_board) as board:
        assert states(board.snapshot()) == {"track": ("success", 3)}
        board.remove(files=True)


def test_the_board_may_be_chosen(board: Board, run_python: RunPython) -> None:
    list(headway.track("abc", board=board))
    assert states(board.snapshot()) == {"track": ("success", 3)}
    script = "import headway, sys\nlist(headway.track('abcd', board=sys.argv[1], label='of another'))"
    run_python(script, board.name, env={"HEADWAY_BOARD": None})
    assert states(board.snapshot())["of another"] == ("success", 4)
    with pytest.raises(ValueError, match="'a/b'"):
        headway.track("abc", board="a/b")


@pytest.mark.parametrize("arguments", [{"label": 5}, {"unit": None}, {"total": "x"}], ids=str)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], board: Board) -> None:
    with pytest.raises(TypeError):
        headway.track("abc", board=board, **arguments)
    with pytest.raises(TypeError, match=r"5 is not iterable: for so many steps say range\(5\)"):
        headway.track(5, board=board)  # type: ignore[call-overload]
    assert headway.current().id == ""
    assert not board.tasks("running")


@pytest.mark.parametrize(
    ("label", "id"),
    [
        ("squares", "squares"),
        ("", "track"),
        ("a\0b", "a b"),
        ("x" * 300, "x" * 89),
        ("é" * 300, "é" * 44),
        ("🦊/..", "🦊/.."),
        ("\ud800", "?"),
    ],
    ids=ascii,
)
def test_the_id_is_the_label_made_legal(label: str, id: str, board: Board) -> None:
    first, second = headway.track("a", label=label, board=board), headway.track("b", label=label, board=board)
    assert [view.id for view in board.tasks()] == [id, f"{id}-2"]
    assert list(first) + list(second) == ["a", "b"]


# --- loops in loops


def test_a_loop_in_a_loop_is_a_part_of_it(board: Board) -> None:
    for epoch in headway.track(range(2), label="epochs", board=board):
        assert headway.current().id == "epochs"
        for batch in headway.track(range(3), label="batches"):
            task = headway.current()
            assert (task.id, task.parent, task.count) == ("epochs/batches", "epochs", batch)
        assert headway.current().count == epoch
    assert headway.current().id == ""
    assert states(board.snapshot()) == {"epochs": ("success", 2), "epochs/batches": ("success", 3)}


def test_a_loop_that_runs_again_inside_another_is_the_same_task_from_zero(any_board: Board) -> None:
    handles: set[int] = set()
    for length in headway.track((3, 1, 2), label="outer", board=any_board):
        for number in headway.track(range(length), label="inner"):
            task = headway.current()
            handles.add(id(task))
            assert (task.count, task.total, task.state) == (number, length, "running")
            assert task.message == ("" if number == 0 else "of this time")
            task.message = "of this time"
            for _ in headway.track(iter("ab"), label="inmost"):
                assert (headway.current().id, headway.current().total) == ("outer/inner/inmost", None)
            if length == 1:
                break
        assert any_board.attach("outer/inner").state == ("cancelled" if length == 1 else "success")
    assert len(handles) == 1
    view = any_board.get("outer/inner")
    assert view is not None
    assert (view.state, view.count, view.total, view.error) == ("success", 2, 2, "")
    assert states(any_board.snapshot()) == {
        "outer": ("success", 3),
        "outer/inner": ("success", 2),
        "outer/inner/inmost": ("success", 2),
    }


def test_a_loop_whose_place_was_given_away_gets_a_new_one(board: Board) -> None:
    for _ in headway.track(range(2), label="outer", board=board):
        assert list(headway.track("abc", label="inner")) == ["a", "b", "c"]
        for number in range(20):  # more than there are slots
            board.task(f"other {number}").succeed()
    assert board.get("outer/inner") is None or states(board.snapshot())["outer/inner"] == ("success", 3)
    assert states(board.snapshot())["outer"] == ("success", 2)


def test_loops_of_one_name_inside_each_other_are_told_apart(board: Board) -> None:
    for _ in headway.track("a", board=board):
        assert list(zip(headway.track("ab"), headway.track("ab"), strict=False)) == [("a", "a"), ("b", "b")]
        assert list(headway.track("ab")) == ["a", "b"]
    assert states(board.snapshot()) == {
        "track": ("success", 1),
        "track/track": ("success", 2),
        "track/track/track": ("cancelled", 1),
    }


def test_a_loop_in_a_block_is_a_part_of_its_task(any_board: Board) -> None:
    with any_board.task("one") as one:
        assert list(headway.track("abc")) == ["a", "b", "c"]
        assert headway.current() is one
    assert states(any_board.snapshot()) == {"one": ("success", 0), "one/track": ("success", 3)}


def test_loops_that_overlap_leave_the_current_task_as_it_was(board: Board) -> None:
    with board.task("one") as one:
        assert list(zip(headway.track("ab"), headway.track("abc"), strict=False)) == [("a", "a"), ("b", "b")]
        assert headway.current() is one
        first, second = headway.track("a"), headway.track("a")
        assert list(first) == ["a"]
        assert headway.current().id == "one/track/track"
        assert list(second) == ["a"]
        assert headway.current() is one


def test_very_deep_loops_stand_beside_each_other(board: Board) -> None:
    def dive(depth: int) -> None:
        for _ in headway.track("a", label="x" * 30, board=board if depth == 6 else None):
            if depth:
                dive(depth - 1)

    dive(6)
    assert len(board.tasks("success")) == 7
    assert all(len(view.id) <= 95 for view in board.tasks())


def test_loops_in_threads_stand_beside_each_other(board: Board) -> None:
    import threading

    barrier = threading.Barrier(2, timeout=10)

    def work() -> None:
        for _ in headway.track("abc", board=board):
            barrier.wait()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states(board.snapshot()) == {"track": ("success", 3), "track-2": ("success", 3)}


# --- how it ends


def test_a_loop_that_is_left_early_is_cancelled(board: Board) -> None:
    for number in headway.track(range(10), board=board):
        if number == 4:
            break
    assert headway.current().id == ""
    view = board.get("track")
    assert view is not None
    assert (view.state, view.count, view.error) == ("cancelled", 4, "the loop was left early")


def test_an_exception_of_the_iterable_fails_it(board: Board) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("disk away")

    with pytest.raises(OSError, match="disk away"):
        list(headway.track(items(), board=board))
    view = board.get("track")
    assert view is not None
    assert (view.state, view.count, view.error) == ("failed", 1, "OSError: disk away")


def test_an_exception_that_is_handled_leaves_it_cancelled(board: Board) -> None:
    def run() -> None:
        for number in headway.track(range(10), board=board):
            if number == 4:
                raise ValueError("bad row")

    with pytest.raises(ValueError, match="bad row"):
        run()
    assert states(board.snapshot()) == {"track": ("cancelled", 4)}


CRASHES = {
    "at once": "for n in headway.track(range(9)):\n    if n == 4: raise ValueError('bad row')",
    "below": "def work(n):\n    if n == 4: raise ValueError('bad row')\nfor n in headway.track(range(9)): work(n)",
    "as another": """
try:
    for n in headway.track(range(9)):
        if n == 4: raise KeyError('x')
except KeyError as error:
    raise ValueError('bad row') from error
""",
    "while the iterator is kept": """
bar = headway.track(range(9))
for n in bar:
    if n == 4: raise ValueError('bad row')
""",
}


@pytest.mark.parametrize("crash", CRASHES)
def test_an_exception_that_ends_the_program_fails_it(crash: str, run_python: RunPython, own_board: str) -> None:
    before = "for n in headway.track(range(9), label='left before'):\n    if n == 2: break\n"
    done = run_python("import headway\n" + before + CRASHES[crash], check=False)
    assert done.returncode == 1
    assert "\nValueError: bad row\n" in done.stderr
    found = {task.id: (task.state, task.count, task.error) for task in headway.read(own_board).tasks}
    assert found == {
        "left before": ("cancelled", 2, "the loop was left early"),
        "track": ("failed", 4, "ValueError: bad row"),
    }


@pytest.mark.parametrize("end", ["sys.exit(2)", "raise KeyboardInterrupt", "os.kill(os.getpid(), signal.SIGINT)"])
def test_a_loop_that_the_program_ends_in_is_cancelled(end: str, run_python: RunPython, own_board: str) -> None:
    script = f"import headway, os, signal, sys\nfor n in headway.track(range(9)):\n    if n == 4: {end}"
    run_python(script, check=False)
    assert states(headway.read(own_board)) == {"track": ("cancelled", 4)}


def test_a_loop_that_never_began_is_cancelled(run_python: RunPython, own_board: str) -> None:
    done = run_python("import headway\nheadway.track(range(9))\nbar = headway.track(range(9), label='kept')")
    found = {task.id: (task.state, task.error) for task in headway.read(own_board).tasks}
    assert found == {
        "track": ("cancelled", "the loop was left early"),
        "kept": ("cancelled", "left open at exit"),
    }
    assert "Exception ignored" not in done.stderr


def test_a_board_that_is_removed_meanwhile_does_not_disturb_the_loop(board: Board) -> None:
    seen = []
    for number in headway.track(range(5), board=board):
        seen.append(number)
        if number == 2:
            board.remove(files=True)
    assert seen == [0, 1, 2, 3, 4]


def test_an_asynchronous_loop_is_shown_as_well(board: Board) -> None:
    import asyncio

    async def items() -> Any:
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    async def main() -> None:
        async for _ in headway.track(items(), label="all", board=board):
            assert headway.current().id == "all"
        async for number in headway.track(items(), label="some", board=board):
            if number == 1:
                break

    asyncio.run(main())
    assert states(board.snapshot()) == {"all": ("success", 3), "some": ("cancelled", 1)}


# --- children


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_loops_in_the_workers_of_a_pool_are_parts_of_its_task_and_draw_nothing(
    method: str, run_python: RunPython, own_board: str
) -> None:
    script = """
import multiprocessing, sys
import headway

def work(number):
    return sum(headway.track(range(number), label="steps"))

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    board = headway.open()
    with board.task("all", total=20) as task, context.Pool(3) as pool:
        assert sum(pool.map(task.counts(work), range(20), chunksize=1)) == 1140
        pool.close()
        pool.join()
    parts = [view for view in board.tasks() if view.parent == "all"]
    assert {view.state for view in parts} == {"success"}, parts
    assert {view.id for view in parts} <= {"all/steps", "all/steps-2", "all/steps-3"}, parts
    assert board.get("all").count == 20
    board.remove(files=True)
"""
    done = run_python(script, method)
    assert done.stderr == ""


def test_a_child_that_is_forked_in_the_loop_ends_and_draws_nothing(board: Board, capfd: Any) -> None:
    for number in headway.track(range(3), board=board):
        if number == 1:
            pid = os.fork()
            if pid == 0:
                break
            assert os.waitpid(pid, 0)[1] == 0
            assert board.get("track").state == "running"  # type: ignore[union-attr]
    else:
        pid = -1
    if pid == 0:  # the child
        os._exit(0)
    assert states(board.snapshot()) == {"track": ("success", 3)}
    assert capfd.readouterr().err.count("track: succeeded") == 1


# --- where there can be no board


@pytest.mark.parametrize("what", ["directory", "shared memory"])
def test_a_loop_goes_on_without_a_board_after_one_warning(what: str, run_python: RunPython, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    no_room = """
import headway.engine.segments
def reserve(*args): raise OSError(28, "No space left on device")
os.posix_fallocate = reserve
"""
    script = f"""
import os
{no_room if what == "shared memory" else ""}
import headway
for label in ("one", "two"):
    for number in headway.track(range(3), label=label):
        assert headway.current().count == number
"""
    env: Mapping[str, str | None] = {} if what == "shared memory" else {"HEADWAY_DIR": str(tmp_path / "file" / "x")}
    done = run_python(script, env=env)
    assert done.stderr.count("RuntimeWarning: Headway counts in this process only") == 1
    assert "one: succeeded 100% 3/3" in done.stderr
    assert "two: succeeded 100% 3/3" in done.stderr
    assert (str(tmp_path / "file") if what == "directory" else "headway gc") in done.stderr


def test_switched_off_a_loop_goes_over_the_iterable_itself(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setenv("HEADWAY_DISABLE", "1")
    items = [1, 2, 3]
    tracker: Any = headway.track(items, label="off", total=5)
    assert len(tracker) == 3
    assert type(iter(tracker)) is type(iter(items))
    for _ in tracker:
        assert headway.current().id == ""
    assert capfd.readouterr() == ("", "")


# --- what is drawn


def test_a_closed_standard_error_does_not_disturb_the_loop(run_python: RunPython, own_board: str) -> None:
    script = """
import sys
sys.stderr.close()
import headway
for _ in headway.track(range(3)):
    pass
sys.stderr = None
for _ in headway.track(range(3), label="none"):
    pass
"""
    run_python(script)
    assert states(headway.read(own_board)) == {"track": ("success", 3), "none": ("success", 3)}


def test_a_standard_error_that_is_no_real_stream_does_not_disturb_the_loop(run_python: RunPython) -> None:
    script = """
import sys
import headway
class Odd:
    def write(self, text): pass
    def flush(self): pass
class LooksLikeATerminal(Odd):
    encoding = "utf-8"
    def isatty(self): return True
    def fileno(self): raise OSError("none")
for stream in (Odd(), LooksLikeATerminal()):
    sys.stderr = stream
    assert list(headway.track("abc")) == ["a", "b", "c"]
sys.stderr = None
print("well")
"""
    assert run_python(script, env={"TERM": "xterm"}).stdout == "well\n"


def test_silenced_a_loop_is_counted_and_says_nothing(
    board: Board, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADWAY_BARS", "0")
    assert list(headway.track("abc", board=board)) == ["a", "b", "c"]
    assert states(board.snapshot()) == {"track": ("success", 3)}
    assert capfd.readouterr() == ("", "")


def test_disabled_a_loop_only_iterates(headway_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    items = [1, 2, 3]
    tracker: Any = headway.track(items, "off", disable=True)
    assert len(tracker) == 3
    assert type(iter(tracker)) is type(iter(items))
    for _ in headway.track(items, "off", 5, disable=True):
        assert headway.current().id == ""
    assert not headway_dir.exists()
    assert capfd.readouterr() == ("", "")


def test_label_and_total_come_first(board: Board) -> None:
    assert list(headway.track(iter("abc"), "letters", 4, board=board)) == ["a", "b", "c"]
    view = board.get("letters")
    assert view is not None
    assert (view.count, view.total) == (3, 4)


@pytest.mark.parametrize("length", [2**47, 10**15, 2**63 - 1, 2**63, 10**25])
def test_no_length_is_too_large_for_a_loop(length: int, board: Board) -> None:
    for outer in headway.track(range(length), "outer", board=board):
        for _ in headway.track(range(length), "inner"):
            break
        if outer == 1:
            break
    shown = length if length < 2**63 else None
    assert {view.id: view.total for view in board.tasks()} == {"outer": shown, "outer/inner": shown}


def test_a_total_that_cannot_be_kept_is_unknown_after_a_warning(any_board: Board) -> None:
    def loops() -> Iterator[Iterator[str]]:
        for total in (2**63, 10**25, float("inf")):
            yield headway.track("abc", total=total, board=any_board)  # type: ignore[arg-type]
            yield any_board.task(f"one {total}").track("abc", total=total)  # type: ignore[arg-type]

    with pytest.warns(RuntimeWarning, match="is shown as unknown") as told:
        assert [list(loop) for loop in loops()] == [["a", "b", "c"]] * 6
    assert {warning.filename for warning in told} == {__file__}
    assert {view.total for view in any_board.tasks()} == {None}


def test_a_full_board_does_not_disturb_the_loop(board: Board) -> None:
    for number in range(16):
        board.task(str(number))
    with pytest.warns(RuntimeWarning, match="16 slots"):
        assert list(headway.track("abc", board=board)) == ["a", "b", "c"]
    with pytest.raises(errors.BoardFull):
        board.task("one more")


# --- a standard error that takes nothing


@pytest.mark.parametrize("place", ["full device", "pipe without a reader"])
@pytest.mark.parametrize("shown", ["loop", "board"])
def test_lines_that_cannot_be_written_leave_the_exit_status_alone(tmp_path: Path, place: str, shown: str) -> None:
    script = tmp_path / "program.py"
    loop = "for _ in headway.track(range(3), 'a'): pass"
    board = "board = headway.open()\nwith board.live():\n    board.task('a', total=1).update()\nboard.remove()"
    script.write_text(f"import headway\n{loop if shown == 'loop' else board}\nprint('done')\n")
    if place == "full device":
        error = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, error = os.pipe()
        os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONUNBUFFERED": ""},  # only what is buffered is written again at the exit
            stdout=subprocess.PIPE,
            stderr=error,
            timeout=60,
            check=False,
        )
    finally:
        os.close(error)
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_a_wrong_name_in_the_environment_costs_a_loop_its_board_only(run_python: RunPython) -> None:
    script = """
import headway
for _ in range(2):
    print(sum(headway.track(range(4))))
try:
    headway.open()
except ValueError as error:
    print(error)
"""
    done = run_python(script, env={"HEADWAY_BOARD": "My Board"})
    first, second, refused = done.stdout.splitlines()
    assert (first, second) == ("6", "6")
    assert refused.startswith("HEADWAY_BOARD is wrong: board name 'My Board' is not legal")
    (warning,) = (line for line in done.stderr.splitlines() if "RuntimeWarning" in line)
    assert "HEADWAY_BOARD" in warning
