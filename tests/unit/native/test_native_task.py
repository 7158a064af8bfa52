"""Handles for native code."""

from __future__ import annotations

import ctypes
import gc
import os
import threading

from headway.engine import segments
from headway.native import core
from tests.unit.native.handles import HW_OVERFLOW, LIMIT, claim, hw_add, in_child, is_mapped, kernel, shares_of


def test_native_threads_without_the_gil_count_exactly_beside_python(segment: core.Segment) -> None:
    task = claim(segment)
    native = task.native()
    threads = [threading.Thread(target=hw_add, args=(native, 1, 200_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10_000):
        task.update(3)
    for thread in threads:
        thread.join()
    assert task.count == 4 * 200_000 + 3 * 10_000
    ((pid, _, share, _, _),) = shares_of(segment, task)
    assert (pid, share) == (os.getpid(), task.count)


def test_a_native_handle_refuses_a_count_out_of_range(segment: core.Segment) -> None:
    task = claim(segment)
    native = task.native()
    assert hw_add(native, LIMIT - 1) == 0
    assert hw_add(native, 1) == hw_add(native, LIMIT) == hw_add(native, -(2**63)) == HW_OVERFLOW
    assert task.count == LIMIT - 1


def test_a_forked_child_may_count_with_its_parents_native_handle(segment: core.Segment) -> None:
    task = claim(segment)
    native = task.native()
    in_child(lambda: hw_add(native, 2))
    hw_add(native, 3)
    assert task.count == 5
    ((_, _, share, _, _),) = shares_of(segment, task)
    assert share is None, "nobody's share can be told any more"


def test_a_capsule_keeps_its_handle_and_the_mapping_alive(board_name: str) -> None:
    segment, directory, _ = segments.open_or_create(board_name, capacity=1, workers=1, result_bytes=0)
    task = claim(segment)
    capsule = task.native().capsule
    segments.unlink(directory, segment)
    del task, segment
    gc.collect()
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    assert kernel().add(pointer(capsule, b"headway.hw_task"), 1, 1) == 0
    assert is_mapped(board_name)
    del capsule
    gc.collect()
    assert not is_mapped(board_name)
