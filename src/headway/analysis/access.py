"""The board of a shared tracker: how a process gets it, and what it remembers of the analyses there."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from headway import errors
from headway.analysis.document import Document, Written, key_of, loaded, part_of
from headway.analysis.frozen import Frozen
from headway.engine import segments
from headway.engine.board import Board, open_or_make
from headway.engine.task import Task
from headway.native.core import Segment, Slot
from headway.system import paths, shm
from headway.upkeep import listing

__all__ = ["CAPACITY", "RESULT_BYTES", "BoardAccess", "Entry", "result_of", "usable"]

CAPACITY = 1024  # analyses at a time; ended ones make room for new ones
RESULT_BYTES = 4096  # enough for four results of about twenty levels; larger ones go into files. 13 MB in all
ENTRIES_MAX = 4096  # analyses of which this process remembers what it wrote and read


class Entry:
    """What this process knows of an analysis."""

    __slots__ = ("_decoded", "created", "shown", "symbol", "task", "written")

    def __init__(self, task: Task, symbol: str | None = None) -> None:
        self.task = task
        self.symbol = symbol  # as the task's label has it
        self.created: float | None = None
        self.written: Written | None = None  # what this process wrote last
        self.shown: tuple[Any, Frozen] | None = None  # what it read last, and the state of the task then
        self._decoded: dict[str, tuple[bytes, Any]] = {}  # the parts of what it wrote, as they were read last

    def document(self, raw: bytes, seq: int) -> Document:
        """The document in a result. Of one that this process wrote only those parts are decoded that it changed since.

        Its values may be those of an earlier document: whoever uses it changes none of them.
        """
        if self.written is None or self.written[0] != seq:
            return loaded(raw)
        known, self._decoded = self._decoded, {}
        try:
            for name, one in self.written[1].items():
                kept = known.get(name)
                self._decoded[name] = kept if kept is not None and kept[0] is one else (one, part_of(name, one))
        except (ValueError, RecursionError):  # a damaged part, by another process, that this one has passed on
            return loaded(raw)
        return {name: value for name, (_, value) in self._decoded.items()}


class BoardAccess:
    """The board of this name, to write to or to read from; opened when it is needed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: dict[str, Entry] = {}  # by execution id, on the board to write to
        self._looked_at: dict[str, Entry] = {}  # on the board to read from: readers are not registered there
        self._board: Board | None = None  # to write to
        self._watched: Board | None = None  # to read from, as long as this process has written nothing

    def open(self) -> Board:
        board = self.existing()
        return board if board is not None else self.attach()

    def existing(self) -> Board | None:
        """The board, if it is in shared memory: looking for an analysis creates none."""
        if (board := usable(self._board)) is not None:
            return board
        uuid = segments.referenced(paths.board_directory(self.name))
        if uuid is None or not (shm.SHM / segments.object_name(self.name, uuid)[1:]).exists():
            return None
        return self.attach()

    def attach(self) -> Board:
        board = open_or_make(self.name, capacity=CAPACITY, result_bytes=RESULT_BYTES)
        if board is not self._board:
            board._at.hand_on = _hand_on
            self._board, self._watched = board, None
            self.entries.clear()
        return board

    def readable(self) -> Board | None:
        """The board to read from: a process that only reads does not keep it in shared memory."""
        board = usable(self._board) or usable(self._watched)
        if board is None:
            board = self._watched = listing.attach(self.name)
            self._looked_at.clear()
        return board

    def remember(self, id: str, entry: Entry, board: Board) -> None:
        """Keep what is known of an analysis on this board."""
        kept = self._kept(board)
        if len(kept) >= ENTRIES_MAX:
            kept.clear()
        kept[id] = entry

    def entry(self, id: str, board: Board) -> Entry:
        """What is known of an analysis. Raises UnknownTask."""
        entry = self._kept(board).get(id)
        if entry is None:
            entry = Entry(board.attach(key_of(id)))
            self.remember(id, entry, board)
        return entry

    def _kept(self, board: Board) -> dict[str, Entry]:
        return self.entries if board is self._board else self._looked_at

    def forget(self, id: str) -> None:
        """An analysis was started over, or removed."""
        self.entries.pop(id, None)
        self._looked_at.pop(id, None)


def usable(board: Board | None) -> Board | None:
    return None if board is None or board._segment.closed or board._segment.retired else board


def result_of(task: Slot) -> bytes:
    with suppress(errors.UnknownTask):
        return task._read_result()[0]
    return b""


def _hand_on(task: Slot, segment: Segment) -> bool:
    """This process ends in good order: the process that began the analysis owns it from now on, if it is alive."""
    by = loaded(result_of(task)).get("by")
    if not (isinstance(by, list) and len(by) == 3 and by[0] == segment.uuid):
        return False
    incarnation, pid = (one if isinstance(one, int) and 0 < one < 1 << 61 else 0 for one in by[1:])
    if incarnation in (0, segment.incarnation) or segment.dead(incarnation):
        return False
    return task._hand_to(incarnation, pid)
