"""The item in hand: what it is called, when it is taken up and put down, and whose it is."""

from __future__ import annotations

import ctypes
import enum
import itertools
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from headway.native import core
from headway.native import records as native_records
from tests.unit.native.handles import (
    STRIPES,
    beside,
    claim,
    end,
    file_of,
    generation_of,
    items_of,
    killed_after,
    quiet,
    slot_offset,
)

STRIPE, NAME, LINE = 128, 56, 128  # where the stripes of a slot begin, the name in a stripe, and the next one


class Day(enum.IntEnum):
    MONDAY = 1


class Nameless:
    def __str__(self) -> str:
        raise AssertionError("it was asked for its name")

    __repr__ = __str__


def mine(segment: core.Segment, task: core.Slot) -> str:
    return items_of(segment, task).get(os.getpid(), ("", None))[0]


NAMES: list[tuple[Any, str]] = [
    (0, "0"),
    (-7, "-7"),
    (2**44 - 1, str(2**44 - 1)),
    (-(2**44), str(-(2**44))),
    (2**100, str(2**100)),
    (True, "True"),
    (Day.MONDAY, "1"),
    (np.int64(5), "5"),
    (np.uint8(200), "200"),
    ("BTC-1h", "BTC-1h"),
    ("x" * 47, "x" * 47),
    ("x" * 48, "x" * 44 + "…"),
    ("é" * 500, "é" * 22 + "…"),
    ("a\0b", "a b"),
    ("12345678", "12345678"),
    (PurePosixPath("/data/a.csv"), "/data/a.csv"),
    (Path("/data") / ("deep/" * 20) / "a.csv", "…" + ("/" + "deep/" * 20 + "a.csv")[-44:]),
    (("BTC", 1), "BTC, 1"),
    ((3, ("BTC", "1h")), "3, BTC, 1h"),
    ((3, Nameless()), "3"),
]


@pytest.mark.parametrize(("item", "name"), NAMES, ids=[name[:20] for _, name in NAMES])
def test_numbers_texts_paths_and_tuples_are_told_by_themselves(item: Any, name: str, segment: core.Segment) -> None:
    task = claim(segment)
    for source in ([item], iter([item]), (one for one in [item])):
        for _ in core.Tracker(task, source):
            assert mine(segment, task) == name
        assert mine(segment, task) == ""
    with task.item(item):
        assert mine(segment, task) == name
    assert mine(segment, task) == ""


@pytest.mark.parametrize("source", [list, iter, lambda items: (one for one in items)])
def test_other_items_are_told_by_their_number_and_not_asked(
    source: Callable[[list[Any]], Any], segment: core.Segment
) -> None:
    task = claim(segment)
    seen = [mine(segment, task) for _ in core.Tracker(task, source([Nameless(), 7, Nameless(), 1.5, 2**400]))]
    assert seen == ["#1", "7", "#3", "#4", "#5"]


@pytest.mark.parametrize("numbers", [range(3), range(5, 20, 7), range(-2, 2), range(3, 0, -1), range(2**60, 2**60 + 2)])
def test_each_number_of_a_range_is_told(numbers: range, segment: core.Segment) -> None:
    task = claim(segment)
    assert [mine(segment, task) for _ in core.Tracker(task, numbers)] == [str(number) for number in numbers]
    assert mine(segment, task) == ""


def test_a_label_names_items_and_its_error_passes_through(segment: core.Segment) -> None:
    task = claim(segment)
    orders = [{"id": 4}]
    tracker = core.Tracker(task, orders, label=lambda item: f"order {item['id']}")
    assert [mine(segment, task) for _ in tracker] == ["order 4"]
    assert [mine(segment, task) for _ in core.Tracker(task, [3], label=lambda item: item + 1)] == ["4"]
    with pytest.raises(KeyError):
        list(core.Tracker(task, orders, label=lambda item: item["no"]))


def test_nothing_is_in_hand_while_the_next_item_is_waited_for(segment: core.Segment) -> None:
    task = claim(segment)
    waiting = []

    def source() -> Iterator[int]:
        for number in range(3):
            waiting.append(mine(segment, task))
            yield number

    assert [mine(segment, task) for _ in core.Tracker(task, source())] == ["0", "1", "2"]
    assert waiting == ["", "", ""]


def test_an_item_is_taken_up_when_it_comes(segment: core.Segment) -> None:
    task = claim(segment)
    before = time.time() - 0.1
    for source in ([1, 2, 3], (n for n in (1, 2, 3)), "abc"):
        for _ in core.Tracker(task, source):
            _, since = items_of(segment, task)[os.getpid()]
            assert since is not None
            assert before <= since <= time.time() + 0.1


def test_a_loop_inside_another_one_of_the_same_task_gives_the_outer_item_back(segment: core.Segment) -> None:
    task = claim(segment)
    seen = []
    for _ in core.Tracker(task, range(2)):
        for inner in core.Tracker(task, "ab"):
            with task.item((inner, 1)):
                seen.append(mine(segment, task))
            seen.append(mine(segment, task))
        for _ in core.Tracker(task, range(9)):
            break
        del _
        seen.append(mine(segment, task))
    assert seen == ["a, 1", "a", "b, 1", "b", "0", "a, 1", "a", "b, 1", "b", "1"]
    assert mine(segment, task) == ""


def test_loops_of_two_tasks_have_an_item_each(segment: core.Segment) -> None:
    outer, inner = claim(segment), claim(segment, "b")
    for _ in core.Tracker(outer, ["BTC", "ETH"]):
        for _ in core.Tracker(inner, range(2)):
            assert mine(segment, outer) in ("BTC", "ETH")
            assert mine(segment, inner) in ("0", "1")
        assert mine(segment, inner) == ""


def test_a_block_counts_one_at_its_end_and_none_if_it_raises(segment: core.Segment) -> None:
    task = claim(segment)
    with task.item("a"):
        assert task.count == 0
    assert task.count == 1
    with pytest.raises(OSError, match="disk"), task.item("b"):
        raise OSError("disk")
    assert task.count == 1
    assert mine(segment, task) == ""


def test_a_killed_worker_is_told_with_its_item_also_when_its_counter_was_taken_over(small: core.Segment) -> None:
    task = claim(small)

    def work(n: int) -> None:
        for number in core.Tracker(task, [f"BTC-{n}", f"ETH-{n}"]):
            if number.startswith("ETH"):
                os.kill(os.getpid(), signal.SIGKILL)

    pids = [killed_after(lambda n=n: work(n)) for n in range(STRIPES)]  # type: ignore[misc]
    found = {pid: items_of(small, task)[pid][0] for pid in pids}
    assert found == {pid: f"ETH-{n}" for n, pid in enumerate(pids)}
    noted = items_of(small, task)
    task.update()  # a counter of theirs is taken, or one of a block
    assert {pid: item for pid, (item, _) in items_of(small, task).items() if pid in pids} == found
    assert all(since is not None and since <= time.time() for _, since in noted.values())


def test_who_left_has_nothing_in_hand(segment: core.Segment) -> None:
    task = claim(segment)

    def leave() -> None:
        tracker = core.Tracker(task, ["BTC"])
        next(tracker)
        segment.close()

    with beside(leave) as (pid,):
        assert items_of(segment, task).get(pid, ("", None)) == ("", None)


def test_a_handle_of_a_task_that_is_gone_writes_no_item_of_the_next_one(segment: core.Segment) -> None:
    old = claim(segment)
    native = core.NativeTask(old)
    loops: list[core.Tracker[Any]] = [
        core.Tracker(old, range(100)),
        core.Tracker(old, iter("ab" * 50)),
        core.Tracker(old, [Nameless()] * 100),
    ]
    for loop in loops:
        next(loop)
        next(loop)
    end(old)
    assert segment.free(*old._where, 2**63)
    time.sleep(0.15)  # a freed slot rests
    new = next(new for n in range(16) if (new := claim(segment, f"new {n}"))._where[0] == old._where[0])
    assert generation_of(new) != generation_of(old)
    with new.item("new"):
        text = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(native.item_function)
        number = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)(native.number_function)
        with quiet():
            for loop in loops:
                next(loop)
            with old.item("old"):
                pass
        assert text(native.address, b"old") == 1
        assert number(native.address, 5) == 1
        assert items_of(segment, new)[os.getpid()][0] == "new"
    assert new.count == 1


def test_a_text_that_is_not_whole_is_no_item(segment: core.Segment) -> None:
    """Two who write at once, or one who was stopped over it until the counter was another task's, leave such a text."""
    task = claim(segment)
    with task.item("BTC-1h of 2024"):
        assert mine(segment, task) == "BTC-1h of 2024"
        with file_of(segment) as memory:
            at = memory.find(b"BTC-1h of 2024")
            memory[at + 8] ^= 1
            assert mine(segment, task) == ""
            memory[at + 8] ^= 1
            (since,) = struct.unpack_from("<Q", memory, at - 8)
            struct.pack_into("<Q", memory, at - 8, since ^ 8)
            assert mine(segment, task) == ""
            struct.pack_into("<Q", memory, at - 8, since)
        assert mine(segment, task) == "BTC-1h of 2024"


def test_an_item_with_another_tag_is_no_item(segment: core.Segment) -> None:
    task = claim(segment)
    for item in (5, "BTC"):
        with task.item(item), file_of(segment) as memory:
            first = slot_offset(segment, task._where[0]) + STRIPE + NAME
            places = [first + LINE * n for n in range(STRIPES) if struct.unpack_from("<Q", memory, first + LINE * n)[0]]
            (at,) = places
            (name,) = struct.unpack_from("<Q", memory, at)
            struct.pack_into("<Q", memory, at, name ^ 1 << 48)
            assert mine(segment, task) == ""
            struct.pack_into("<Q", memory, at, name)
            assert mine(segment, task) == str(item)


def test_native_code_says_its_item_by_text_and_by_number(segment: core.Segment) -> None:
    task = claim(segment)
    native = core.NativeTask(task)
    text = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(native.item_function)
    number = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)(native.number_function)
    assert text(native.address, b"block 7") == 0
    assert mine(segment, task) == "block 7"
    assert text(native.address, ("é" * 40).encode()) == 0
    assert mine(segment, task) == "é" * 23
    assert text(native.address, None) == 0
    assert mine(segment, task) == ""
    for value in (0, -3, 2**44 - 1, 1 - 2**44):
        assert number(native.address, value) == 0
        assert mine(segment, task) == str(value)
    assert number(native.address, 2**44) == 2
    assert mine(segment, task) == str(1 - 2**44)


def test_a_forked_child_writes_no_item_of_its_parent(segment: core.Segment) -> None:
    task = claim(segment)
    native = core.NativeTask(task)
    text = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(native.item_function)
    assert text(native.address, b"parent's") == 0

    def child() -> None:
        assert text(native.address, b"child's") == 3
        with task.item("its own"):  # the handle of Python becomes the child's
            assert mine(segment, task) == "its own"

    with beside(child):
        assert mine(segment, task) == "parent's"


def test_a_forked_child_that_goes_on_with_its_parents_loop_writes_no_item_of_its_parent(segment: core.Segment) -> None:
    task = claim(segment)
    loops: list[core.Tracker[Any]] = [core.Tracker(task, range(100)), core.Tracker(task, list(range(50, 150)))]
    for loop in loops:
        next(loop)
        next(loop)
    before = mine(segment, task)

    def child() -> None:
        task.update()  # the handle is bound anew: it has the child's counter
        for loop in loops:
            for _ in range(3):
                item = next(loop)
                assert mine(segment, task) == str(item)

    with beside(child):
        assert mine(segment, task) == before


@pytest.mark.parametrize("kind", [1, 7])
def test_a_kind_that_there_is_not_is_no_item(kind: int, segment: core.Segment) -> None:
    task = claim(segment)
    with task.item("BTC"), file_of(segment) as memory:
        first = slot_offset(segment, task._where[0]) + STRIPE + NAME
        (at,) = [first + LINE * n for n in range(STRIPES) if struct.unpack_from("<Q", memory, first + LINE * n)[0]]
        (name,) = struct.unpack_from("<Q", memory, at)
        struct.pack_into("<Q", memory, at, name & ~(7 << 45) | kind << 45)
        assert mine(segment, task) == ""
        native_records.check(*segment.copy()[1:6], 0)
        struct.pack_into("<Q", memory, at, name)
        assert mine(segment, task) == "BTC"


def test_what_was_left_meanwhile_is_not_put_back(segment: core.Segment) -> None:
    """Threads and coroutines leave their blocks in any order."""
    task = claim(segment)
    first, second, third = (task.item(name) for name in ("a", "b", "c"))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert mine(segment, task) == "b"
    second.__exit__(None, None, None)
    assert mine(segment, task) == ""
    with task.item("outer"):
        blocks = [task.item(n) for n in range(200)]
        for block, next_one in itertools.pairwise(blocks):
            block.__enter__()
            next_one.__enter__()
            block.__exit__(None, None, None)
            next_one.__exit__(None, None, None)
            assert mine(segment, task) == "outer"
        third.__enter__()
        del third  # never left
        assert mine(segment, task) == "c"
    with task.item("d"):
        pass
    assert mine(segment, task) in ("", "c"), "what was never left stays, until something else is in hand"


class Endless(tuple[int, ...]):
    __slots__ = ()

    def __iter__(self) -> Iterator[int]:
        raise RuntimeError("asked")


class Liar(int):
    def __int__(self) -> int:
        raise RuntimeError("asked")

    __str__ = __repr__ = __index__ = __int__  # type: ignore[assignment]


class Lost(PurePosixPath):
    def __str__(self) -> str:
        raise RuntimeError("asked")


def unhashable() -> Any:
    """An item of a class that cannot be looked up: made here, as pytest asks each class of a module what it is."""

    class Hostile(type):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(cls, other: object) -> bool:
            raise RuntimeError("asked")

    return Hostile("Unhashable", (), {})()


HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "unhashable": (unhashable, "#1"),
    "endless": (lambda: Endless((1, 2)), "1, 2"),
    "liar": (lambda: Liar(5), "5"),
    "lost": (lambda: Lost("/a/b"), "/a/b"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_no_name_stops_a_loop_a_block_or_a_call(what: str, segment: core.Segment) -> None:
    make, name = HOSTILE[what]
    item = make()
    task = claim(segment)
    for source in ([item], iter([item])):
        assert [mine(segment, task) for _ in core.Tracker(task, source)] == [name]
    with task.item(item):
        pass
    with task._called("f", (item,)):
        assert mine(segment, task) == (f"f({name})" if name != "#1" else "f")
    assert task.count == 4
    assert len(list(core.Tracker(task, range(0, 10, 2**70)))) == 1


def test_who_shares_a_counter_writes_no_item_of_its_worker(segment: core.Segment) -> None:
    task = claim(segment)
    with task.item("its own"), file_of(segment) as memory:
        first = slot_offset(segment, task._where[0]) + STRIPE
        (at,) = [first + LINE * n for n in range(STRIPES) if struct.unpack_from("<Q", memory, first + LINE * n + 16)[0]]
        (worker,) = struct.unpack_from("<Q", memory, at + 16)
        struct.pack_into("<Q", memory, at + 16, worker + 1)  # somebody else's
        name = bytes(memory[at + NAME : at + NAME + 8])
        with task.item("another one's"):
            pass
        assert bytes(memory[at + NAME : at + NAME + 8]) == name
        struct.pack_into("<Q", memory, at + 16, worker)


def test_an_item_is_seen_by_who_looks_whether_anything_changed(segment: core.Segment) -> None:
    task = claim(segment)
    task.update()
    segment.copy()
    before = segment.content_version
    with task.item("BTC"):
        segment.copy()
        assert segment.content_version != before
