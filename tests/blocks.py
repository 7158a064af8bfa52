"""The pool of counters of a segment, as its bytes say: which blocks are lent to which task; and to use it up."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from headway.engine import segments
from headway.native import core

__all__ = [
    "BLOCKS",
    "BLOCKS_OFFSET",
    "BLOCK_STRIPES",
    "LINKING",
    "MOST",
    "NEXT",
    "TASK_SHIFT",
    "USED",
    "lend_all",
    "lent_to",
    "name_of",
    "pool_of",
]

STRIPES, BLOCK_STRIPES, BLOCKS = 8, 15, 34  # HW_STRIPES, HW_BLOCK_STRIPES, HW_BLOCKS
MOST = STRIPES + BLOCK_STRIPES * BLOCKS
BLOCKS_OFFSET = 200  # of hw_header: blocks_offset, blocks, block_bytes
SLOT_BYTES, SLOTS_OFFSET = 24, 56  # of hw_header
GENERATION, USED, LINKING = 0, 48, 112  # of hw_control
OWNER, NEXT = 0, 16  # of hw_block
TASK_SHIFT, FOLDS_SHIFT, FOLDS_BITS = 44, 8, 12


def _map(segment: core.Segment) -> mmap.mmap:
    path = Path("/dev/shm", segments.object_name(segment.name, segment.uuid)[1:])
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(fd, 0)
    finally:
        os.close(fd)


def pool_of(segment: core.Segment) -> range:
    """Where each block of the pool stands."""
    with _map(segment) as memory:
        offset, count, size = struct.unpack_from("<QII", memory, BLOCKS_OFFSET)
    return range(offset, offset + count * size, size)


def name_of(slot: int, generation: int, used: int = 0) -> int:
    """What stands in the owner word of a block: hw_task_name, by the word `stripes_used` of the slot."""
    folds = used >> FOLDS_SHIFT & (1 << FOLDS_BITS) - 1
    return slot << TASK_SHIFT | (generation & 0xFFFFFFFF) << FOLDS_BITS | folds


def lent_to(segment: core.Segment, task: core.Slot) -> list[int]:
    """The numbers of the blocks that are linked to a task, the last one first."""
    slot, generation = task._where
    pool = pool_of(segment)
    found: list[int] = []
    with _map(segment) as memory:
        (first,) = struct.unpack_from("<Q", memory, SLOTS_OFFSET)
        (size,) = struct.unpack_from("<I", memory, SLOT_BYTES)
        at = first + slot * size
        if struct.unpack_from("<Q", memory, at + GENERATION)[0] != generation:
            return []
        (used,) = struct.unpack_from("<Q", memory, at + USED)
        link = used >> 32
        while link:
            block = pool[link - 1]
            assert struct.unpack_from("<Q", memory, block + OWNER)[0] == name_of(slot, generation, used)
            found.append(link - 1)
            (link,) = struct.unpack_from("<Q", memory, block + NEXT)
    return found


def lend_all(segment: core.Segment, task: core.Slot) -> None:
    """Use the pool up: every block is a task's that does not end meanwhile."""
    with _map(segment) as memory:
        for block in pool_of(segment):
            if not struct.unpack_from("<Q", memory, block + OWNER)[0]:
                struct.pack_into("<Q", memory, block + OWNER, name_of(*task._where))
