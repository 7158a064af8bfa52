"""`headway.integrations.numba`: what it generates answers as hw_add of headway.h does, in every case."""

from __future__ import annotations

import ctypes
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from numba import njit
from numba.core.errors import TypingError

import headway
from headway import errors
from headway.engine.board import Board, open_board
from headway.integrations import numba as ours
from headway.integrations.numba import add
from headway.standin.nobody import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.native.core import NativeTask
    from tests.conftest import RunPython

LIMIT = 1 << 47


@njit(nogil=True)
def count(handle: Any, n: Any, times: Any) -> Any:
    answer = 0
    for _ in range(times):
        answer |= add(handle, n)
    return answer


# In a process of its own: numba's threads stay for good.
PRANGE = """
import sys, threading
from numba import njit, prange
from headway.engine.board import open_board
from headway.integrations.numba import add

@njit(nogil=True, parallel=True)
def kernel(handle, blocks):
    for block in prange(blocks):
        for _ in range(100):
            add(handle, 1)

board = open_board(sys.argv[1], capacity=1)
with board.task("one") as task:
    native = task.native()
    kernel(native, 1)
    thread = threading.Thread(target=kernel, args=(native, 5_000))
    thread.start()
    for _ in range(10_000):
        task.update(3)
    thread.join()
    print(task.count)
board.remove(files=True)
"""


def in_c(native: NativeTask, n: int) -> int:
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)(native.function)
    return int(function(native.address, n))


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    board = open_board(board_name, capacity=2)
    yield board
    board.remove(files=True)


def test_a_kernel_counts_with_a_handle_and_with_its_address(board: Board) -> None:
    with board.task("one") as task:
        native = task.native()
        assert count(native, 1, 1000) == ours.HW_OK
        assert count(native.address, -2, 10) == ours.HW_OK
        assert task.count == 980
        view = board.get("one")
        assert view is not None
        assert view.beat is not None
        assert time.time() - view.beat < 10


def test_the_threads_of_prange_count_exactly_beside_python(board_name: str, run_python: RunPython) -> None:
    said = run_python(PRANGE, board_name, env={"NUMBA_NUM_THREADS": "4"})
    assert int(said.stdout) == 100 + 500_000 + 30_000


@pytest.mark.parametrize("n", [0, 1, -1, LIMIT - 1, -LIMIT + 1, LIMIT, -LIMIT, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("before", [0, 1, -1, LIMIT - 2, -LIMIT + 2])
def test_it_answers_and_counts_as_the_header_does(before: int, n: int, board: Board) -> None:
    ends = []
    for adds in (lambda native: in_c(native, n), lambda native: count(native, n, 1)):
        with board.task("one") as task:
            task.update(before)
            native = task.native()
            ends.append((adds(native), task.count))
        assert native.generation % 2 == 1
    assert ends[0] == ends[1]


def test_a_slot_that_was_given_away_is_not_counted_on(board: Board) -> None:
    old = board.task("one")
    native = old.native()
    old.succeed()
    others = [board.task(name) for name in ("two", "three")]
    assert in_c(native, 5) == count(native, 5, 1) == ours.HW_STALE
    assert [other.count for other in others] == [0, 0]


@njit(nogil=True)
def take(handle: Any, number: int) -> int:
    return int(ours.item(handle, number))


def test_a_kernel_says_which_item_it_has_in_hand(board: Board) -> None:
    with board.task("one") as task:
        native = task.native()
        for handle in (native, native.address):
            for number in (17, -1, 2**44 - 1):
                assert take(handle, number) == ours.HW_OK
                assert task.view().workers[0].item == str(number)
        assert take(native, 2**44) == ours.HW_OVERFLOW
    assert take(NOBODY.native(), 1) == ours.HW_UNBOUND
    with pytest.raises(TypingError, match=re.escape("item(handle, number): number is float64")):
        take(native, 1.5)


def test_the_item_of_a_kernel_whose_slot_was_given_away_is_nobodys(board: Board) -> None:
    old = board.task("one")
    native = old.native()
    old.succeed()
    for name in ("two", "three"):
        board.task(name).update()
    assert take(native, 5) == ours.HW_STALE
    assert {share.item for task in board.tasks() for share in task.workers} == {""}


def test_counts_of_a_kernel_are_timed(board: Board) -> None:
    with board.task("one") as task:
        native = task.native()
        assert take(native, 7) == count(native, 1, 1) == ours.HW_OK
        time.sleep(0.1)
        count(native, 1, 1)
        durations = task.view().durations
        assert durations is not None
        assert (durations.timed, durations.item) == (1, "7")


def test_a_stand_in_counts_nothing() -> None:
    assert count(NOBODY.native(), 1, 10) == ours.HW_UNBOUND == in_c(NOBODY.native(), 1)


def test_in_a_forked_child_the_count_is_right_and_the_share_untold(board: Board) -> None:
    with board.task("one") as task:
        native = task.native()
        count(native, 1, 1)
        child = os.fork()
        if child == 0:
            os._exit(count(native, 2, 1))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        view = board.get("one")
        assert view is not None
        assert (view.count, view.workers[0].count) == (3, None)


@pytest.mark.parametrize(("handle", "n", "wrong"), [("x", 1, "handle is unicode_type"), (1, 1.5, "n is float64")])
def test_another_type_is_refused_by_its_name(handle: Any, n: Any, wrong: str) -> None:
    with pytest.raises(TypingError, match=re.escape(f"add(handle, n): {wrong}")):
        count(handle, n, 1)


def test_the_offsets_are_those_of_the_header() -> None:
    folder = Path(headway.get_include())
    text = "".join((folder / name).read_text() for name in ("headway_layout.h", "headway.h"))
    for struct, offsets in (("hw_task", ours.TASK), ("hw_stripe", ours.STRIPE), ("hw_calls", ours.CALLS)):
        body = re.search(rf"typedef struct {struct} \{{(.*?)\}} {struct};", text, re.DOTALL)
        assert body is not None
        names = re.findall(r"(\w+)(?:\[\d+\]|\)\(.*?\))?;", re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL))
        assert {name: 8 * names.index(name) for name in offsets} == offsets, "every field before them is a word"
    for name, value in (("HW_OK", 0), ("HW_STALE", 1), ("HW_OVERFLOW", 2), ("HW_UNBOUND", 3)):
        assert f"{name} = {value}," in text
        assert getattr(ours, name) == value
    assert f"#define HW_TAG_SHIFT {ours.TAG_SHIFT} " in text
    assert f"#define CLOCK_MONOTONIC_COARSE {ours.CLOCK_MONOTONIC_COARSE}\n" in text


def test_without_numba_the_import_names_the_extra(run_python: RunPython) -> None:
    script = """
import sys
sys.modules["numba"] = None
from headway import errors
try:
    import headway.integrations.numba
except errors.MissingExtra as error:
    print(error)
"""
    assert "pip install 'headway[numba]'" in run_python(script).stdout
    assert issubclass(errors.MissingExtra, ImportError)
