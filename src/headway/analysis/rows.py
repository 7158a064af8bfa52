"""The tasks of a copy of a board, column by column: for code that reads all tasks and needs few fields of each."""

from __future__ import annotations

import struct
from typing import Any

from headway.native.records import DTYPES, RECORD_BYTES

__all__ = ["Rows"]

_SIZE = RECORD_BYTES["tasks"]
_INDEX = struct.Struct("=IIQ")


def _places() -> dict[str, tuple[int, int]]:
    """The offset and size in bytes of each field of a record."""
    found = {}
    at = 0
    for name, code, *shape in DTYPES["tasks"]:
        size = int(code.lstrip("<>|=")[1:]) * (shape[0][0] if shape else 1)
        found[name] = at, size
        at += size
    return found


_PLACES = _places()


class Rows:
    """The records of a copy, as `Segment.copy` returns it, in the order of their slots."""

    __slots__ = ("_index", "_numbers", "_results", "_tasks", "states")

    def __init__(self, copied: tuple[Any, ...]) -> None:
        self._tasks = copied[1]
        self._index, self._results = copied[5:7]
        self._numbers: dict[int, tuple[int, int]] | None = None
        self.states: bytes = bytes(self._tasks[_PLACES["state"][0] :: _SIZE])

    def __len__(self) -> int:
        return len(self.states)

    def _words(self, name: str) -> memoryview:
        at, size = _PLACES[name]
        return memoryview(self._tasks).cast("Q" if size == 8 else "I")[at // size :: _SIZE // size]

    def numbers(self, name: str) -> list[int]:
        """A column of unsigned numbers of 4 or 8 bytes: times in nanoseconds, versions."""
        return list(self._words(name).tolist())

    def text(self, number: int, name: str) -> str:
        """A text of one record."""
        at, size = _PLACES[name]
        at += number * _SIZE
        return bytes(self._tasks[at : at + size].partition(b"\0")[0]).decode("utf-8", "replace")

    def result(self, number: int) -> bytes:
        """The JSON of a task's result; b"" if it has none, or it was left out of the copy."""
        if self._numbers is None:
            self._numbers = {task: (at, at + size) for task, size, at in _INDEX.iter_unpack(self._index)}
        begin, end = self._numbers.get(number, (0, 0))
        return bytes(self._results[begin:end])
