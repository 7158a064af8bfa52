"""Steps a process through a native call, instruction by instruction, and tells which states of a board it leaves there.

A process that is killed leaves to the others what it has stored in shared memory, and no lock on its byte, whatever its
next instruction was. So all that a kill at any instruction can leave is known when the call has been stepped through
once, with a look at the segment and at the semaphore after each instruction. Most change nothing: a call of thousands
has tens of states. Each can be put back, for a fresh process to look at and go on with; and `killed_at` kills in
earnest, to see that what is left is one of them.

x86-64 only: it knows where that has its registers.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import platform
import signal
import struct
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from headway.engine import segments
from headway.engine.board import Board
from headway.native import core
from headway.system import shm
from tests.blocks import BLOCKS_OFFSET, LINKING, NEXT, TASK_SHIFT, USED, name_of
from tests.faults.tracing import PC, STACK, killed, peek, register, run_to, start, step

__all__ = ["Shared", "Walk", "killed_at", "masked", "volatile", "walk"]

_MOST = 400_000  # steps that a call may take before it counts as endless
_LONG = 1000  # instructions of others that are stepped through; more are the interpreter's, which stores nothing here
Prepare = Callable[[], Callable[[], object]]


class Shared:
    """All that the processes of a board share while they run: its segment and its semaphore, as bytes."""

    def __init__(self, board: Board) -> None:
        name = segments.object_name(board.name, board._segment.uuid)[1:]
        self._maps = [_mapped(shm.SHM / name), _mapped(shm.SHM / f"sem.{name}")]

    def image(self) -> bytes:
        return b"".join(one[:] for one in self._maps)

    def put(self, image: bytes) -> None:
        """Put a state back."""
        at = 0
        for one in self._maps:
            one[:] = image[at : at + len(one)]
            at += len(one)

    def lost_slots(self) -> list[int]:
        """Slots whose entry in the index of hashes does not agree with their generation: no claim would take them."""
        segment = self._maps[0]
        slot_bytes, _, capacity, _, _, hashes, slots = struct.unpack_from("4I3Q", segment, 24)  # see hw_header
        found = []
        for number in range(capacity):
            (hash,) = struct.unpack_from("Q", segment, hashes + 8 * number)
            (generation,) = struct.unpack_from("Q", segment, slots + slot_bytes * number)  # odd: it holds a task
            if bool(hash) != generation % 2:
                found.append(number)
        return found

    def lost_blocks(self) -> list[int]:
        """Blocks of the pool that a task has which neither uses them nor notes that it is about to."""
        segment = self._maps[0]
        slot_bytes, _, capacity, _, _, _, slots = struct.unpack_from("4I3Q", segment, 24)
        pool, count, size = struct.unpack_from("QII", segment, BLOCKS_OFFSET)
        found = []
        for number in range(count):
            (owner,) = struct.unpack_from("Q", segment, pool + number * size)
            slot = owner >> TASK_SHIFT
            at = slots + slot * slot_bytes
            if not owner or slot >= capacity:
                continue  # it is free
            (generation,), (used,) = (struct.unpack_from("Q", segment, at + field) for field in (0, USED))
            if owner != name_of(slot, generation, used):
                continue
            kept = {struct.unpack_from("Q", segment, at + LINKING)[0]}
            link = used >> 32
            while link and link not in kept:
                kept.add(link)
                (link,) = struct.unpack_from("Q", segment, pool + (link - 1) * size + NEXT)
            if number + 1 not in kept:
                found.append(number)
        return found

    def close(self) -> None:
        for one in self._maps:
            one.close()


def _mapped(path: Path) -> mmap.mmap:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(fd, 0)
    finally:
        os.close(fd)


def _program() -> tuple[int, int]:
    """From where to where the machine code of the native module is mapped, in this process and its children."""
    if platform.machine() != "x86_64":
        raise SystemExit(f"stepping knows the registers of x86_64 only, not those of {platform.machine()}")
    for line in Path("/proc/self/maps").read_text().splitlines():
        extent, rights, *_, path = line.split(maxsplit=5)
        if "x" in rights and path == core.__file__:
            begin, _, end = extent.partition("-")
            return int(begin, 16), int(end, 16)
    raise AssertionError(f"{core.__file__} is not mapped")


@dataclass(frozen=True)
class Walk:
    """A native call, stepped through.

    instructions: how many of the native module's own it took, those of libraries and the interpreter aside; images: the
    states that it left, in order, the first one before it; after: for each the number of instructions that were done.
    """

    instructions: int
    images: list[bytes]
    after: list[int]

    def weight(self, number: int) -> int:
        """At how many instructions a kill leaves this state."""
        end = self.after[number + 1] if number + 1 < len(self.after) else self.instructions + 1
        return end - self.after[number]


def walk(shared: Shared, prepare: Prepare) -> Walk:
    """Step through what `prepare` returns, in a child that does all the rest of `prepare` at full speed before."""
    images: list[bytes] = []
    after: list[int] = []
    done = 0
    for done in _steps(prepare):
        image = shared.image()
        if not images or image != images[-1]:
            images.append(image)
            after.append(done)
    return Walk(done, images, after)


def killed_at(shared: Shared, prepare: Prepare, number: int) -> bytes:
    """Kill a child after so many instructions of the native module. Returns what it left."""
    with contextlib.closing(_steps(prepare)) as steps:
        for done in steps:
            if done == number:
                break
    return shared.image()


def _steps(prepare: Prepare) -> Generator[int, None, None]:
    """The number of native instructions done, before the call begins and after each step, until it returns.

    The child is killed then, or where the caller stops asking.
    """
    begin, end = _program()
    pid = start(prepare)
    done = outside = 0
    at = back = stack = left_at = -1
    try:
        for _ in range(_MOST):
            was_inside = begin <= at < end
            stopped_by = step(pid)
            at = register(pid, PC)
            if stopped_by != signal.SIGTRAP:
                raise AssertionError(f"the child got signal {stopped_by} after {done} native instructions")
            inside = begin <= at < end
            if back < 0 and not inside:
                continue  # the interpreter is about to make the call
            if back < 0:
                stack = register(pid, STACK)
                back = peek(pid, stack)
            elif was_inside:
                done += 1
            if inside:
                outside = 0
            elif was_inside:
                left_at = register(pid, STACK)
            outside += not inside
            if outside == _LONG and begin <= (to := peek(pid, left_at)) < end:  # it has called the interpreter
                run_to(pid, to)
                at, outside = to, 0
            yield done
            if at == back and register(pid, STACK) > stack:
                return
        raise AssertionError(f"a call was not done after {_MOST} instructions, {done} of them native")
    finally:
        killed(pid)


def volatile(one: Walk, other: Walk) -> set[int]:
    """The words that two walks through the same call, at different times, leave different: times and pids."""
    found: set[int] = set()
    for place in (0, -1):
        words, others = memoryview(one.images[place]).cast("Q"), memoryview(other.images[place]).cast("Q")
        found |= {at for at, pair in enumerate(zip(words, others, strict=True)) if pair[0] != pair[1]}
    return found


def masked(image: bytes, words: set[int]) -> bytes:
    """A state without these words."""
    kept = bytearray(image)
    view = memoryview(kept).cast("Q")
    for at in words:
        view[at] = 0
    return bytes(kept)
