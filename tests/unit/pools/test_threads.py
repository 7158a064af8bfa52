"""`pools/threads.py`: threads as the workers of a map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from headway.pools.threads import Here, Threads
from headway.pools.work import Chunk, Job


class Broken(Sequence[int]):
    """Items that a worker cannot go through."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, _: Any) -> Any:
        raise MemoryError("no room for an item")

    def __iter__(self) -> Iterator[int]:
        raise MemoryError("no room for an item")


def test_what_keeps_a_thread_from_its_work_is_raised_where_the_map_waits() -> None:
    crew = Threads(1, Job(abs, False, None), None, ())
    try:
        crew.give(Chunk(0, Broken()))
        with pytest.raises(MemoryError, match="no room"):
            crew.wait(60)
    finally:
        crew.end(0)


def test_what_keeps_the_program_from_its_work_is_raised_as_well() -> None:
    crew = Here(Job(abs, False, None), None, ())
    with pytest.raises(MemoryError, match="no room"):
        crew.give(Chunk(0, Broken()))
