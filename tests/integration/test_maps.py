"""`headway.process_map` and `thread_map`: results, counts, failures, workers that die, and ends of all kinds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunPython

METHODS = ("fork", "spawn", "forkserver")

# Every script: the name of a board, a start method, and functions that a worker can import.
BEGIN = """
import ctypes, itertools, multiprocessing, os, signal, sys, threading, time
from pathlib import Path

import headway
from headway import errors

HERE = Path(sys.argv[3])

def square(number):
    return number * number

def fail_at_seven(number):
    if number % 10 == 7:
        raise ValueError(f"no {number}")
    return number

def noted(number):
    with (HERE / "begun").open("a") as file:  # lines of several processes are not mixed
        file.write(f"{number}\\n")
    return number

def times_begun(number):
    return (HERE / "begun").read_text().split().count(str(number))

def killed_at(number):
    noted(number)
    if number == 17:
        os.kill(os.getpid(), signal.SIGKILL)
    return number

def left_at(number):
    return os._exit(3) if number == 17 else number

def crash_at(number):
    return ctypes.string_at(0) if number == 17 else number

def killed_once(number):
    noted(number)
    if number in (17, 40) and times_begun(number) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number

class Item:
    def __init__(self, number):
        self.number = number

if __name__ == "__main__":
    name, method = sys.argv[1:3]
    options = {"max_workers": 2, "mp_context": method, "board": name}
"""


def script(body: str, before: str = "") -> str:
    lines = body.strip("\n").splitlines()
    return BEGIN.replace("\nif __name__", f"{before}\nif __name__") + "\n".join(f"    {line}" for line in lines)


def say(*lines: str) -> str:
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def removed(board_name: str) -> Iterator[None]:
    """The board that a script has opened by its name."""
    import headway

    with headway.open(board_name, record=False) as board:
        yield
        board.remove(files=True)


@pytest.mark.parametrize("method", METHODS)
def test_each_item_counts_once_and_results_are_in_order(
    method: str, run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    body = """
assert headway.process_map(square, range(500), **options) == [n * n for n in range(500)]
view = headway.open(name).get("square")
print(view.state, view.count, view.total, view.label, all(share.count > 0 for share in view.workers))
found = headway.process_map(pow, range(50), itertools.repeat(2), label="powers", ordered=False, **options)
print(sorted(found) == [n * n for n in range(50)], headway.open(name).get("powers").count)
"""
    done = run_python(script(body), board_name, method, str(tmp_path))
    assert done.stdout == say("success 500 500 square True", "True 50")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_is_killed_is_told_with_its_item_and_the_other_items_are_done_once(
    method: str, run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    body = """
found = headway.process_map(killed_at, range(30), on_error="return", chunksize=1, **options)
died = found.pop(17)
print(type(died).__name__, died.item, died.exitcode, died)
print(found == [n for n in range(30) if n != 17], {times_begun(n) for n in range(30)})
view = headway.open(name).get("killed_at")
print(view.state, view.count, *(share.item for share in view.workers if share.item), view.message)
"""
    done = run_python(script(body), board_name, method, str(tmp_path))
    died, others, view = done.stdout.splitlines()
    assert died.startswith("WorkerDied 17 -9 the worker (pid ")
    assert died.endswith(" that had item 17 in hand was killed by SIGKILL")
    assert others == "True {1}"
    assert view.startswith("success 30 17 1 failed, at last 17: WorkerDied: the worker")


@pytest.mark.parametrize(("function", "how"), [("left_at", "3"), ("crash_at", "-11")])
def test_a_worker_that_leaves_or_crashes_ends_the_map_by_an_error_that_says_how(
    function: str, how: str, run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    body = f"""
try:
    headway.process_map({function}, range(30), **options)
except errors.WorkerDied as error:
    print(error.item, error.exitcode, error.__notes__)
print(headway.open(name).get("{function}").state)
"""
    done = run_python(script(body), board_name, "fork", str(tmp_path))
    first, state = done.stdout.splitlines()
    assert first.startswith(f"17 {how} ['headway: {function} was at ")
    assert state == "failed"


@pytest.mark.parametrize("chunksize", ["None", "1", "25"])
def test_an_item_is_tried_again_and_the_count_stays_exact(
    chunksize: str, run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    body = f"""
print(headway.process_map(killed_once, range(60), retries=1, chunksize={chunksize}, **options) == list(range(60)))
view = headway.open(name).get("killed_once")
print(view.state, view.count, times_begun(17), times_begun(40))
"""
    done = run_python(script(body), board_name, "fork", str(tmp_path))
    assert done.stdout == say("True", "success 60 2 2")


def test_the_count_is_exact_whenever_workers_are_killed(run_python: RunPython, board_name: str, tmp_path: Path) -> None:
    before = """
def hunted(number):
    for _ in range(1000):
        pass
    return number

def hunt(pid, stop):
    board = headway.open(sys.argv[1])
    while (view := board.get("hunted")) is None or view.count < 1000:
        time.sleep(0.01)
    while not stop.wait(0.05):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children[-1:]:
            os.kill(int(child), signal.SIGKILL)
"""
    body = """
stop = threading.Event()
hunter = threading.Thread(target=hunt, args=(os.getpid(), stop))
hunter.start()
found = headway.process_map(hunted, range(30_000), retries=1000, **options)
stop.set()
hunter.join()
print(found == list(range(30_000)), headway.open(name).get("hunted").count)
"""
    done = run_python(script(body, before), board_name, "fork", str(tmp_path))
    assert done.stdout == say("True 30000")


def test_failures_end_the_map_or_are_gathered_left_out_or_returned(
    run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    body = """
try:
    headway.process_map(fail_at_seven, range(100), **options)
except ValueError as error:
    print(error, "fail_at_seven" in error.__notes__[0], error.__notes__[1:2])
print(headway.open(name).get("fail_at_seven").state)
try:
    headway.process_map(fail_at_seven, range(100), on_error="finish", **options)
except ExceptionGroup as error:
    print(error, sorted(str(one) for one in error.exceptions)[0])
view = headway.open(name).get("fail_at_seven")
print(view.state, view.count, view.message)
kept = [n for n in range(100) if n % 10 != 7]
print(headway.process_map(fail_at_seven, range(100), on_error="skip", **options) == kept)
found = headway.process_map(fail_at_seven, range(100), on_error="return", **options)
print([n for n in found if isinstance(n, int)] == kept, found[17], headway.open(name).get("fail_at_seven").count)
print(headway.thread_map(fail_at_seven, range(100), on_error="skip", board=name) == kept)
"""
    lines = run_python(script(body), board_name, "fork", str(tmp_path)).stdout.splitlines()
    assert lines[0].endswith("7 True ['headway: item 7']") or lines[0].endswith("7']")
    assert lines[1:3] == ["failed", "10 of 100 items failed (10 sub-exceptions) no 17"]
    assert lines[3].startswith("failed 100 10 failed, at last ")
    assert lines[4:] == ["True", "True no 17 100", "True"]


@pytest.mark.parametrize("call", ["headway.process_map", "headway.thread_map"])
def test_iterables_without_an_end_are_taken_from_a_bounded_number_ahead(
    call: str, run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    body = f"""
taken = 0
def numbers():
    global taken
    for taken in itertools.count():
        yield taken
options.pop("mp_context")
results = {call}(square, numbers(), lazy=True, **options)
print(taken, [next(results) for _ in range(5)])
time.sleep(0.2)
assert next(results) == 25
print(taken < 100_000, headway.current().id)
results.close()
view = headway.open(name).get("square")
print(view.state, view.error, headway.current().id == "")
print(len(multiprocessing.active_children()))
"""
    done = run_python(script(body), board_name, "fork", str(tmp_path))
    assert done.stdout == say("0 [0, 1, 4, 9, 16]", "True square", "cancelled the loop was left early True", "0")


@pytest.mark.parametrize("method", METHODS)
def test_a_program_ends_that_has_not_gone_through_its_results(
    method: str, run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    body = """
results = headway.process_map(square, itertools.count(), lazy=True, **options)
print(next(results))
"""
    done = run_python(script(body), board_name, method, str(tmp_path))
    assert done.stdout == say("0")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_ends_the_workers_and_says_how_far_it_was(method: str, board_name: str, tmp_path: Path) -> None:
    before = """
def endless(number):
    noted(os.getpid())
    try:
        time.sleep(0 if number < 10 else 600)
    finally:
        noted(-number)
"""
    body = "headway.process_map(endless, range(100), chunksize=1, **options)"
    path = tmp_path / "script.py"
    path.write_text(script(body, before))
    program = subprocess.Popen(
        [sys.executable, str(path), board_name, method, str(tmp_path)],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        begun = tmp_path / "begun"
        deadline = time.monotonic() + 60
        while not begun.exists() or len([n for n in begun.read_text().split() if int(n) > 0]) < 12:
            assert time.monotonic() < deadline
            assert program.poll() is None
            time.sleep(0.02)
        os.killpg(program.pid, signal.SIGINT)
        _, said = program.communicate(timeout=60)
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
            program.communicate()
    assert program.returncode == -signal.SIGINT, said
    assert said.count("Traceback") == 1, said
    assert "headway: endless was at 10/100" in said
    lines = [int(line) for line in begun.read_text().split()]
    assert {-10, -11} <= set(lines), "what an item has to tidy up is tidied up"
    for pid in {line for line in lines if line > 0}:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("method", METHODS)
def test_workers_end_with_a_program_that_is_killed(method: str, board_name: str, tmp_path: Path) -> None:
    before = """
def slow(number):
    noted(os.getpid())
    time.sleep(0.05)
"""
    path = tmp_path / "script.py"
    path.write_text(script("headway.process_map(slow, itertools.count(), **options)", before))
    program = subprocess.Popen([sys.executable, str(path), board_name, method, str(tmp_path)])
    begun = tmp_path / "begun"
    deadline = time.monotonic() + 60
    while not begun.exists() or len(set(begun.read_text().split())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    program.kill()
    program.wait()
    pids = {int(line) for line in begun.read_text().split()}
    try:
        for pid in pids:
            while _goes_on(pid):
                assert time.monotonic() < deadline, "a worker outlives its program"
                time.sleep(0.02)
    finally:
        for pid in filter(_goes_on, pids):
            os.kill(pid, signal.SIGKILL)


def _goes_on(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_cannot_be_carried_to_a_worker_or_back_costs_its_own_item_alone(
    run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    before = """
class Awkward(Exception):
    def __init__(self, one, two):
        super().__init__(one)

def gone(number):
    raise RuntimeError(f"{number} cannot be read")

class Strange:
    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return gone, (self.number,)

def carried(item):
    if item == 3:
        return lambda: None
    if item == 5:
        raise Awkward("awkward", 2)
    if item == 7:
        return Strange(7)
    return getattr(item, "number", item)
"""
    body = """
items = [*range(10), threading.Lock(), Strange(11), Item(12), 13]
for chunksize in (1, 14):
    found = headway.process_map(carried, items, on_error="return", chunksize=chunksize, **options)
    print([n for n in found if isinstance(n, int)])
    print(*(type(n).__name__ for n in found if not isinstance(n, int)))
    print(str(found[5]), found[7], found[10].__notes__, found[11])
    print(headway.open(name).get("carried").count)
"""
    lines = run_python(script(body, before), board_name, "fork", str(tmp_path)).stdout.splitlines()
    for numbers, kinds, texts, count in (lines[:4], lines[4:]):
        assert numbers == "[0, 1, 2, 4, 6, 8, 9, 12, 13]"
        assert kinds.split()[1:] == ["RuntimeError", "RuntimeError", "TypeError", "RuntimeError"]
        assert texts == "Awkward: awkward 7 cannot be read ['headway: item #11'] 11 cannot be read"
        assert count == "14"


def test_a_map_within_an_item_and_a_loop_within_an_item_are_parts_of_it(
    run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    before = """
def inner(number):
    options = {"max_workers": 2, "mp_context": sys.argv[2]}
    return sum(headway.process_map(square, range(number), label=f"inner {number}", **options)), sum(
        headway.track(range(number), f"loop {number}")
    )
"""
    body = """
print(headway.process_map(inner, [3, 4], label="outer", **options))
views = {view.id: view for view in headway.open(name)}
print(sorted(views))
print({view.state for view in views.values()}, views["outer/inner 3"].count, views["outer/loop 4"].count)
with multiprocessing.get_context(method).Pool(1) as pool:
    print(pool.map(inner, [3]))
"""
    done = run_python(script(body, before), board_name, "fork", str(tmp_path), env={"HEADWAY_BOARD": board_name})
    assert done.stdout == say(
        "[(5, 3), (14, 6)]",
        "['outer', 'outer/inner 3', 'outer/inner 4', 'outer/loop 3', 'outer/loop 4']",
        "{'success'} 3 4",
        "[(5, 3)]",
    )
    assert "a daemonic process may have no processes of its own" in done.stderr


def test_maps_of_several_threads_do_not_disturb_each_other(
    run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    body = """
found = {}
def go(label):
    found[label] = headway.process_map(square, range(200), label=label, **options)
threads = [threading.Thread(target=go, args=(f"map {n}",)) for n in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(all(results == [n * n for n in range(200)] for results in found.values()))
print([(view.id, view.count, view.state) for view in headway.open(name)] )
"""
    done = run_python(script(body), board_name, "fork", str(tmp_path), options=("-W", "ignore"))
    first, views = done.stdout.splitlines()
    assert first == "True"
    assert sorted(eval(views)) == [(f"map {n}", 200, "success") for n in range(3)]


@pytest.mark.parametrize("method", METHODS)
def test_without_boards_all_works_but_progress(
    method: str, run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    body = """
for _ in range(2):
    print(headway.process_map(killed_once, range(50), retries=1, **{**options, "board": None}) == list(range(50)))
    print(headway.thread_map(square, range(5), max_workers=2))
    from headway.system import support
    os.environ.pop("HEADWAY_DISABLE", None)
    support.SHM = "/nowhere"
"""
    done = run_python(script(body), board_name, method, str(tmp_path), env={"HEADWAY_DISABLE": "1"})
    assert done.stdout == say(*["True", "[0, 1, 4, 9, 16]"] * 2)
    assert done.stderr.count("Warning") == 1
    assert "there is no /nowhere" in done.stderr


def test_without_memory_that_outlives_a_worker_its_item_is_told_all_the_same(
    run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    body = """
def refused(*arguments):
    raise OSError(1, "Operation not permitted")
os.memfd_create = refused
found = headway.process_map(killed_at, range(30), on_error="return", **options)
print(found.pop(17).item, found == [n for n in range(30) if n != 17], headway.open(name).get("killed_at").count)
"""
    done = run_python(script(body), board_name, "fork", str(tmp_path))
    assert done.stdout == say("17 True 30")


def test_an_item_that_closes_all_descriptors_or_leaves_a_child_behind_holds_up_nobody(
    run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    before = """
def awkward(number):
    if number == 3:
        os.closerange(3, 200)
        time.sleep(600)
    if number == 5:
        if os.fork() == 0:
            os.closerange(0, 3)  # who runs this script waits for these
            time.sleep(600)
        os.kill(os.getpid(), signal.SIGKILL)
    return number
"""
    body = """
found = headway.process_map(awkward, range(10), on_error="return", chunksize=1, **options)
print([n for n in found if isinstance(n, int)], found[3].item, found[5].item)
"""
    done = run_python(script(body, before), board_name, "fork", str(tmp_path))
    assert done.stdout == say("[0, 1, 2, 4, 6, 7, 8, 9] 3 5")


@pytest.mark.parametrize("call", ["headway.process_map", "headway.thread_map"])
def test_an_initializer_is_called_in_each_worker_and_its_failure_ends_the_map(
    call: str, run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    before = """
began = threading.local()

def initialize(value):
    if value is None:
        raise LookupError("nothing to begin with")
    began.value = value

def begun(number):
    return began.value + number
"""
    body = f"""
options.pop("mp_context")
print({call}(begun, range(4), initializer=initialize, initargs=(10,), **options))
try:
    {call}(begun, range(4), initializer=initialize, initargs=(None,), on_error="skip", **options)
except LookupError as error:
    print(error)
"""
    done = run_python(script(body, before), board_name, "fork", str(tmp_path))
    assert done.stdout == say("[10, 11, 12, 13]", "nothing to begin with")


def test_a_program_without_a_guard_is_told_so_and_does_not_hang(run_python: RunPython, board_name: str) -> None:
    program = "import headway, sys\nheadway.process_map(abs, range(5), mp_context='spawn', board=sys.argv[1])\n"
    done = run_python(program, board_name, check=False)
    assert done.returncode == 1
    assert "has to start its work below if __name__ == '__main__'" in done.stderr


def test_no_workers_at_all_means_in_this_process(run_python: RunPython, board_name: str, tmp_path: Path) -> None:
    body = """
print(set(headway.process_map(lambda _: os.getpid(), range(5), max_workers=0, board=name)) == {os.getpid()})
print(headway.open(name).get("map").count)
try:
    headway.process_map(lambda n: sys.exit(n), [4], max_workers=0, board=name)
except SystemExit as error:
    print(error.code)
"""
    done = run_python(script(body), board_name, "fork", str(tmp_path))
    assert done.stdout == say("True", "5", "4")


def test_a_worker_killed_within_a_chunk_of_slow_items_is_told_with_the_right_one(
    run_python: RunPython, board_name: str, tmp_path: Path
) -> None:
    before = """
def slow(number):
    noted(number)
    time.sleep(0.07)  # so that the results before have been sent
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
"""
    body = """
found = headway.process_map(slow, range(7), on_error="return", chunksize=7, **options)
print(found.pop(4).item, found, [times_begun(n) for n in range(7)], headway.open(name).get("slow").count)
"""
    done = run_python(script(body, before), board_name, "fork", str(tmp_path))
    assert done.stdout == say("4 [0, 1, 2, 3, 5, 6] [1, 1, 1, 1, 1, 1, 1] 7")
