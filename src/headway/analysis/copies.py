"""The lists of a shared tracker: of all analyses on a board, from one copy of it, each decoded when it has changed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from headway.analysis.contract import moment_of
from headway.analysis.document import PartGone, key_of, loaded, part, progress, record_of
from headway.analysis.frozen import Frozen
from headway.analysis.model import AnalysisProgress
from headway.analysis.rows import Rows
from headway.analysis.values import is_digest
from headway.engine.board import Board
from headway.tasks.ending import LEFT_OPEN
from headway.tasks.states import LIVE_STATES, STATES
from headway.views.board_view import Raw, TaskView

__all__ = ["Copies"]

TRIES = 64  # each further one means that another process has just replaced a result


class Copies:
    """What this process has read of all analyses at once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[Any, str, Frozen]] = {}  # by slot and generation
        # The version of the board, and what was active then.
        self._running: tuple[tuple[str, int] | None, list[str]] = (None, [])

    def recent(self, board: Board, limit: float) -> dict[str, AnalysisProgress]:
        """The analyses that began at this moment or later, by the ids of their tasks."""
        recent: dict[str, AnalysisProgress] = {}
        copied = board._segment.copy()
        rows = Rows(copied)
        columns = [rows.numbers(name) for name in ("slot", "generation", "version", "created_ns")]
        known, after = self._known, {}
        begun = max(0.0, limit - 1.0) * 1e9  # a start is noted a moment after the task was made
        moment = moment_of(limit)
        for number, (slot, generation, version, created) in enumerate(zip(*columns, strict=True)):
            if created < begun:
                continue
            stands = version, rows.states[number]
            kept = known.get((slot, generation))
            if kept is None or kept[0] != stands:
                found = self._decoded(rows, number, copied, board)
                if found is None:
                    continue
                kept = stands, rows.text(number, "id"), Frozen(found)
            after[slot, generation] = kept
            if kept[2].start_time >= moment:
                recent[kept[1]] = kept[2].copy()
        self._known = after
        return recent

    def _decoded(self, rows: Rows, number: int, copied: Any, board: Board) -> AnalysisProgress | None:
        """The analysis of one record of a copy; as it is by now, if a file that it names is gone."""
        document = loaded(rows.result(number))
        try:
            if STATES[rows.states[number]] not in LIVE_STATES and "end" not in document:
                raw = Raw({"name": board.name, "taken_ns": copied[0]}, *copied[1:])
                return progress(TaskView.from_raw(raw, number), board.directory)
            key, label, stage = (rows.text(number, name) for name in ("id", "label", "stage"))
            end = part(document, "end", board.directory)
            ended = end if isinstance(end, dict) else {}
            created = rows.numbers("created_ns")[number] / 1e9 if "start" not in document else 0.0
            return record_of(key, label, stage, created, document, ended, board.directory)
        except PartGone:
            for _ in range(TRIES):
                with suppress(PartGone):
                    view = board.get(rows.text(number, "id"))
                    return None if view is None else progress(view, board.directory)
        return None

    def active(self, board: Board) -> list[str]:
        """The ids of the running analyses."""
        segment = board._segment
        stands = segment.uuid, segment.standing()
        if self._running[0] != stands:
            rows = Rows(segment.copy())  # `stands` is older: after a change in between the next call reads again
            found = [_id_of(rows, number, board) for number in range(len(rows)) if _runs(rows, number)]
            self._running = stands, found
            return list(found)
        return list(self._running[1])


def _runs(rows: Rows, number: int) -> bool:
    """Is an analysis running, as one record of a copy tells it?"""
    state = STATES[rows.states[number]]
    if state not in LIVE_STATES and (state != "cancelled" or rows.text(number, "error") not in LEFT_OPEN):
        return False
    result = rows.result(number)
    return b'"end":' not in result or "end" not in loaded(result)


def _id_of(rows: Rows, number: int, board: Board) -> str:
    key = rows.text(number, "id")
    if not is_digest(key):
        return key
    with suppress(PartGone):
        id = part(loaded(rows.result(number)), "id", board.directory)
        if isinstance(id, str) and key_of(id) == key:
            return id
    return key
