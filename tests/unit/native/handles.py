"""Handles on tasks, records of a segment, and processes beside the test: what tests of core are made of."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import os
import signal
import struct
import subprocess
import sysconfig
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import headway
from headway.engine import segments
from headway.errors import StaleTaskWarning
from headway.native import core
from headway.native import records as native_records

SHM = Path("/dev/shm")
STRIPES, STAGES, METRICS, LOST = 8, 15, 8, 8
LEFT = 2  # HW_SHARE_LEFT
LIMIT = 2**47  # of one stripe, exclusive
REST_S = 0.1
HW_STALE, HW_OVERFLOW = 1, 2  # answers of hw_add
GENERATION = 0  # in hw_control
SLOTS_OFFSET = 56  # in hw_header
Place = tuple[core.Segment, Path]


def handle(segment: core.Segment, slot: int, generation: int, id: str) -> core.Slot:
    task = core.Slot()
    task._place(segment, slot, generation, id)
    return task


def claim(segment: core.Segment, id: str = "a", **more: Any) -> core.Slot:
    slot, generation, found = segment.claim(id, more.pop("label", ""), more.pop("unit", "it"), **more)
    assert found is None
    return handle(segment, slot, generation, id)


def end(task: core.Slot, state: str = "success") -> None:
    assert task._transition(state, ("pending", "running")) is not None


def generation_of(task: core.Slot) -> int:
    return task._where[1]


def tasks_of(segment: core.Segment) -> dict[str, Any]:
    """The records of the tasks, by id."""
    records = np.frombuffer(segment.copy()[1], np.dtype(native_records.DTYPES["tasks"]))
    found = {bytes(record["id"]).decode(): record for record in records}
    assert len(found) == len(records)
    return found


def shares_of(segment: core.Segment, task: core.Slot) -> list[tuple[int, int, int | None, float | None, int]]:
    raw = segment.copy_task(*task._where)
    assert raw is not None
    return [row[:5] for row in native_records.share_rows(raw[3], 0)]


def items_of(segment: core.Segment, task: core.Slot) -> dict[int, tuple[str, float | None]]:
    """What each process has in hand, by its pid, and since when."""
    raw = segment.copy_task(*task._where)
    assert raw is not None
    return {pid: (item, since) for pid, _, _, _, _, item, since in native_records.share_rows(raw[3], 0)}


def durations_of(segment: core.Segment, task: core.Slot) -> tuple[tuple[int, ...], float, str]:
    raw = segment.copy_task(*task._where)
    assert raw is not None
    counts, _, slowest, item, _ = native_records.duration_row(raw[7], 0) or ((0,) * 22, 0, 0.0, "", False)
    return counts, slowest, item


def stages_of(segment: core.Segment, task: core.Slot) -> list[str]:
    raw = segment.copy_task(*task._where)
    assert raw is not None
    return [name for name, _ in native_records.stage_rows(raw[2], 0)]


@contextlib.contextmanager
def file_of(segment: core.Segment) -> Iterator[mmap.mmap]:
    path = SHM / segments.object_name(segment.name, segment.uuid)[1:]
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        yield memory


def slot_offset(segment: core.Segment, slot: int) -> int:
    with file_of(segment) as memory:
        (first,) = struct.unpack_from("<Q", memory, SLOTS_OFFSET)
        (size,) = struct.unpack_from("<I", memory, 24)
    return int(first + slot * size)


def poke(segment: core.Segment, offset: int, word: int) -> None:
    with file_of(segment) as memory:
        struct.pack_into("<Q", memory, offset, word)


def fork(work: Callable[[], object]) -> int:
    """The pid of a child that does this and ends: with 0 if it went well."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def in_child(work: Callable[[], object]) -> int:
    pid = fork(work)
    assert os.waitpid(pid, 0)[1] == 0
    return pid


@contextlib.contextmanager
def beside(*works: Callable[[], object]) -> Iterator[list[int]]:
    """The pids of children that have done this, one after the other, and stay until the end."""
    pids: list[int] = []
    gates: list[int] = []
    try:
        for work in works:
            done, begun = os.pipe()
            wait, gate = os.pipe()

            def stay(work: Callable[[], object] = work, begun: int = begun, wait: int = wait, gate: int = gate) -> None:
                os.close(gate)
                for other in gates:
                    os.close(other)
                work()
                os.write(begun, b".")
                os.read(wait, 1)

            pids.append(fork(stay))
            os.close(begun)
            os.close(wait)
            gates.append(gate)
            came = os.read(done, 1)
            os.close(done)
            assert came, "a child failed"
        yield pids
    finally:
        for gate in gates:
            os.close(gate)
        for pid in pids:
            os.waitpid(pid, 0)


def killed_after(work: Callable[[], object]) -> int:
    """The pid of a child that did this and was killed, and is reaped."""

    def die() -> None:
        work()
        os.kill(os.getpid(), signal.SIGKILL)

    pid = fork(die)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    return pid


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The warning of stale handles is given once a process: it may come here or elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StaleTaskWarning)
        yield


def is_mapped(name: str) -> bool:
    return f"-{name}-" in Path("/proc/self/maps").read_text()


def hw_add(native: core.NativeTask, n: int, times: int = 1) -> int:
    return int(kernel().add(native.address, n, times))


@contextlib.contextmanager
def churned(segment: core.Segment, slot: int) -> Iterator[None]:
    """The status of a slot with a writer that never pauses: a process that does nothing but turn its latch on.

    It changes nothing else, and never by one, so readers see the same copy all the time, but never at rest.
    """
    path = SHM / segments.object_name(segment.name, segment.uuid)[1:]
    place = slot_offset(segment, slot)

    def turn() -> None:
        with path.open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        kernel().turn(ctypes.addressof(ctypes.c_char.from_buffer(memory)) + place)

    kernel()  # compiled here, not in the child
    pid = fork(turn)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@functools.cache
def kernel() -> ctypes.CDLL:
    """hw_add of headway.h in a library, called without the GIL, and what `churned` does."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "kernel.c"), Path(folder, "kernel.so")
        source.write_text("""
#include <stddef.h>
#include "headway.h"
#include "headway_layout.h"
size_t lock_at(void) { return HW_CONTROL_OFFSET + offsetof(hw_control, lock); }
void turn(char *slot) {
    volatile uint64_t *seq = (uint64_t *)(slot + HW_CONTROL_OFFSET + offsetof(hw_control, status_seq));
    for (;;) *seq += 2;
}
int add(hw_task *task, int64_t n, int64_t times) {
    int answer = HW_OK;
    while (times-- > 0) answer |= hw_add(task, n);
    return answer;
}
""")
        compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
        include = headway.get_include()
        command = [compiler, "-O2", "-shared", "-fPIC", f"-I{include}", "-o", str(binary), str(source)]
        subprocess.run(command, check=True, timeout=60)
        found = ctypes.CDLL(str(binary))
    found.turn.argtypes = (ctypes.c_void_p,)
    found.add.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return found
