"""The tracker in shared memory: a thin layer over a board, on which each analysis is a task.

The symbol is the task's label, the stage its stage, with its timeline. Everything else is in the task's result (see
document.py): the results, and "end" once it has ended. The process that writes "end" ends the analysis, whatever comes
later; the state of the task follows, for viewers of the board.

Every write makes the writer the owner of the task, so that its death is noticed, whoever began the analysis. A process
that ends in good order hands its analyses to the process that began them, if that is alive; else they stay open.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from typing import Any

from headway import errors
from headway.analysis.access import BoardAccess, Entry, result_of
from headway.analysis.contract import SECONDS_PER_HOUR, ProgressTracker
from headway.analysis.copies import Copies
from headway.analysis.document import (
    LABEL_BYTES,
    STAGE_BYTES,
    PartGone,
    Parts,
    document_of,
    files_of,
    key_of,
    loaded,
    part,
    progress,
    read_parts,
    record_of,
    remove_files,
    replace,
    shown,
    whole_stage,
)
from headway.analysis.frozen import Frozen
from headway.analysis.model import AnalysisProgress, encoded_result
from headway.analysis.past import Past
from headway.analysis.rows import Rows
from headway.analysis.values import encode, id_of, path_of, text_of
from headway.engine.board import Board
from headway.system import paths
from headway.tasks.results import LARGE_RESULT
from headway.tasks.states import LIVE_STATES, OPEN_STATES

__all__ = ["SharedMemoryProgressTracker", "shared_progress_tracker"]

TRIES = 64  # each further attempt means that another process has just started the analysis over, or stored a result
ORPHANED_S = 60.0  # how long a file may wait to be named by a document

_LEFT = ("cancelled", "failed")


Write = Callable[[Entry, Board], None]


class SharedMemoryProgressTracker(ProgressTracker):
    """Follows analyses in shared memory, on the board of this name: all processes of this user see them at once.

    The first start_analysis makes the board. An analysis whose process died reads as failed, with the stage it died in
    and the reason, until a live process writes to it again; one whose process ended in good order stays running.
    board: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot. With another name every call reports that it failed.
    strict: raise what goes wrong: BoardFull if 1024 analyses run at once, LockTimeout, NoSpace, CorruptBoard, NotOwner.
    """

    def __init__(self, board: Any = "analysis", *, strict: bool = False) -> None:
        self.name = path_of(board) or ""
        self.strict = strict
        try:
            paths.check_name(self.name)
        except ValueError as error:
            self._failed("__init__", board, error)  # every call fails in the same way
        self._at = BoardAccess(self.name)
        self._copies = Copies()
        self._past = Past(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.name, self.strict)

    # ------------------------------------------------------------------------------------------------------ changes

    def _start(self, symbol: str, id: str) -> AnalysisProgress:
        label, key = shown(symbol, LABEL_BYTES), key_of(id)
        board = self._at.open()
        segment = board._segment
        place = segment.find(key)
        before = b"" if place is None else result_of(board._handle(*place, key))
        task = board._restart(key, label)
        if b'"file"' in before:
            remove_files(files_of(loaded(before)), board.directory)
        start = time.time()
        begun = {
            "by": b'["%b",%d,%d]' % (segment.uuid.encode(), segment.incarnation, os.getpid()),
            "start": repr(start).encode(),
        }
        if label != symbol:
            begun["symbol"] = encode(symbol)
        if key != id:
            begun["id"] = encode(id)
        entry = Entry(task, label)
        try:
            self._put(entry, board, lambda parts: {**parts, **begun})
            task._enter("initializing")
            self._at.remember(id, entry, board)
        except errors.UnknownTask:
            pass  # another process has started it over meanwhile
        return AnalysisProgress(symbol, id, datetime.fromtimestamp(start))  # noqa: DTZ006 - local time, as the others'

    def update_stage(self, execution_id: Any, stage: Any) -> bool:
        """Enter the next stage: any text."""
        try:
            try:
                if self._at.entries[execution_id].task._enter(stage):
                    return True
            except (KeyError, TypeError, UnicodeEncodeError, errors.UnknownTask, errors.BoardClosed):
                pass  # unknown here, gone, or not a plain text: take the slow path
            return self._enter(id_of(execution_id), text_of(stage))
        except Exception as error:  # noqa: BLE001 - as in ProgressTracker
            return self._failed("update_stage", execution_id, error)

    def _enter(self, id: str, stage: str) -> bool:
        """The slow path of update_stage: the task has to be found, has ended, or has no room for the text."""
        short = shown(stage, STAGE_BYTES)

        def enter(entry: Entry, board: Board) -> None:
            if short != stage:
                long = encode(stage)
                self._put(entry, board, lambda parts: {**parts, "stage": long})
            self._carry_on(entry, board, short)

        return self._write(id, enter) or self._past.has_ended(id, self._at.existing())

    def _store(self, id: str, name: str, result: Any) -> bool:
        encoded = encoded_result(name, result)

        def store(entry: Entry, board: Board) -> None:
            self._put(entry, board, lambda parts: {**parts, name: encoded})
            self._carry_on(entry, board)

        return self._write(id, store)

    def _end(self, id: str, ended: dict[str, str]) -> bool:
        end = {
            "status": ended["overall_status"],
            "stage": ended.get("current_stage"),
            "signal": ended["final_signal"],
            "failure_stage": ended.get("failure_stage", ""),
            "message": ended["final_message"],
        }

        def decide(entry: Entry, board: Board) -> None:
            task = entry.task
            encoded = b""

            def first(parts: Parts) -> Parts:
                nonlocal encoded
                if "end" in parts:
                    return parts
                stage = end["stage"]
                if stage is None:
                    long = json.loads(parts["stage"]) if "stage" in parts else None
                    stage = whole_stage(task.stage, part({"stage": long}, "stage", board.directory))
                encoded = encode({**end, "stage": stage})
                return {**parts, "end": encoded}

            self._put(entry, board, first)
            ours = entry.written is not None and entry.written[1].get("end") is encoded
            self._announce(entry, board, end if ours else None)

        return self._write(id, decide) or self._past.has_ended(id, self._at.existing())

    @staticmethod
    def _announce(entry: Entry, board: Board, end: Any = None) -> None:
        """End the task as its analysis ended, if it has not ended yet. end: how, if this process just decided it."""
        if end is None:
            parts = _parts(entry)
            if "end" not in parts:
                return
            end = part({"end": json.loads(parts["end"])}, "end", board.directory)
        if not isinstance(end, dict):
            return
        if end.get("status") == "success":
            message = str(end.get("message", ""))
            entry.task._transition("success", (*OPEN_STATES, *_LEFT), message=message, stage="completed", own=True)
        else:
            entry.task._transition("failed", (*OPEN_STATES, "cancelled"), error=str(end.get("message", "")), own=True)

    def _carry_on(self, entry: Entry, board: Board, stage: str | None = None) -> None:
        """Make this process the owner of an analysis that has not ended, and enter the stage."""
        task = entry.task
        if task._own() if stage is None else task._enter(stage):
            return
        entry.written = None  # another process may have ended it since
        if "end" in _parts(entry):
            return
        # Its process ended without ending it, in good order or by an exception.
        task._transition("running", _LEFT, own=True, resume=True, stage=stage)
        self._announce(entry, board)  # in case it ended between the two

    def _write(self, id: str, write: Write) -> bool:
        """Write to an analysis; again if it was started over meanwhile. False if it is unknown, or has ended and is no
        longer on the board.
        """
        for _ in range(TRIES):
            board = self._at.existing()
            if board is None and self._past.comes_back(id):
                board = self._at.attach()
            try:
                if board is None:
                    raise errors.UnknownTask(id)
                entry = self._at.entry(id, board)
            except errors.UnknownTask:
                if self._revive(id, board):
                    continue
                return False
            try:
                write(entry, board)
            except (errors.UnknownTask, errors.BoardClosed, PartGone):
                self._at.forget(id)
            else:
                return True
        raise errors.LockTimeout(
            f"analysis {id!r} is started over all the time, and cannot be written: end the program that does so"
        )

    def _revive(self, id: str, board: Board | None) -> bool:
        """Put an analysis back on the board whose process left it open in good order, and whose slot was reused."""
        view = self._past.left_open(id, board)
        if view is None:
            return False
        board = self._at.open()
        document = {"start": view.created, **view.result}
        with suppress(errors.TaskExists, errors.UnknownTask):  # another process was faster
            task = board.task(key_of(id), label=view.label)
            parts = {name: encode(value) for name, value in document.items()}
            self._put(Entry(task), board, lambda present: {**parts, **present})
            task._enter(view.stage or "initializing")
        return True

    @staticmethod
    def _put(entry: Entry, board: Board, change: Callable[[Parts], Parts]) -> None:
        known, entry.written = entry.written, None
        entry.written = replace(entry.task, board.directory, board._segment.result_bytes, change, known)

    # --------------------------------------------------------------------------------------------------------- reads

    def _get(self, id: str) -> AnalysisProgress | None:
        for _ in range(TRIES):
            board = self._at.readable()
            if board is None:
                return self._past.get(id, None)
            with suppress(errors.BoardClosed, PartGone):
                try:
                    entry = self._at.entry(id, board)
                except errors.UnknownTask:
                    return self._past.get(id, board)
                try:
                    return self._look(id, entry, board)
                except errors.UnknownTask:  # started over, or removed
                    self._at.forget(id)
        return None

    def _look(self, id: str, entry: Entry, board: Board) -> AnalysisProgress | None:
        """The present record of an analysis. Raises UnknownTask, PartGone."""
        task = entry.task
        while True:
            state = task.state  # read first: if the task has ended, the result read below says how
            stage = task.stage
            raw, seq = task._read_result()
            if task.stage == stage:  # unchanged, so stage and result belong together
                break
        kept = entry.shown
        if kept is not None and kept[0] == (state, stage, seq):
            return kept[1].copy()
        document = entry.document(raw, seq)
        view = None
        if entry.symbol is None or not ("end" in document or state in LIVE_STATES):
            view = board.get(key_of(id))
            if view is None or task.state != state:  # unchanged, so the view is of this task, too
                return self._past.get(id, board) if view is None else self._look(id, entry, board)
            entry.symbol, entry.created = view.label, view.created
        if view is not None and not ("end" in document or state in LIVE_STATES):
            return _only(id, progress(view, board.directory))
        end = part(document, "end", board.directory)
        ended = end if isinstance(end, dict) else {}
        found = record_of(task.id, entry.symbol or "", stage, entry.created, document, ended, board.directory)
        if found is None or found.execution_id != id:
            return None
        frozen = Frozen(found, None if kept is None else kept[1])
        entry.shown = (state, stage, seq), frozen
        return frozen.copy()

    def _recent(self, limit: float) -> list[AnalysisProgress]:
        board = self._at.readable()
        recent: dict[str, AnalysisProgress | None] = {}
        if board is not None:
            recent.update(self._copies.recent(board, limit))
        for key, record in self._past.since(limit, board):
            recent.setdefault(key, record)
        found = [record for record in recent.values() if record is not None]
        return sorted(found, key=attrgetter("start_time"), reverse=True)

    def _active(self) -> list[str]:
        board = self._at.readable()
        found = [] if board is None else self._copies.active(board)
        past = self._past.open_ids(board)
        if past:
            on_board = set() if board is None else {task.id for task in board.snapshot().tasks}
            records = (self._past.get_by_key(key, board) for key in past if key not in on_board)
            found += [record.execution_id for record in records if record is not None]
        return found

    # ------------------------------------------------------------------------------------------------------- cleanup

    def _clean_up(self, hours: float) -> int:
        board = self._at.existing()
        if hours == float("inf"):
            return 0
        if board is None and self._past.exists():
            board = self._at.attach()  # this restores the tasks of the last snapshot; then the old ones are removed
        if board is None:
            return 0
        limit = time.time() - hours * SECONDS_PER_HOUR
        before_ns = int(max(1.0, time.monotonic_ns() - hours * SECONDS_PER_HOUR * 1e9))  # beats are monotonic
        removed = set()
        kept: set[str] | None = None
        rows = Rows(board._segment.copy(False))
        touched = map(max, rows.numbers("beat_ns"), rows.numbers("created_ns"))
        if any(one < limit * 1e9 for one in touched):
            kept = set()
            for view in board.snapshot().tasks:
                place = board._segment.find(view.id) if max(view.beat or 0.0, view.created or 0.0) < limit else None
                if place is not None and board._segment.free(*place, before_ns):
                    remove_files(files_of(document_of(view)), board.directory)
                    removed.add(view.id)
                else:
                    kept.add(view.id)
            self._at.entries.clear()
            if removed:
                with suppress(OSError):  # a full disk: the old snapshot shows them for a while
                    board.write_snapshot()
        forgotten = self._past.forget(hours)
        if forgotten:
            forgotten -= {task.id for task in board.snapshot().tasks} if kept is None else kept
        self._remove_orphans(board, min(limit, time.time() - ORPHANED_S))
        return len(removed | forgotten)

    def _remove_orphans(self, board: Board, before: float) -> None:
        """Remove files of parts that no document names: their writers were killed, or the history dropped them."""
        directory = board.directory
        files = [name for name in os.listdir(directory) if LARGE_RESULT.fullmatch(name)]
        if not files:
            return
        named = {name for view in board.snapshot().tasks for name in files_of(document_of(view))}
        past = self._past.files()
        for name in files:
            with suppress(FileNotFoundError):
                path = directory / name
                if past is not None and name not in named and name not in past and path.lstat().st_mtime < before:
                    path.unlink()


def _again(kind: type[SharedMemoryProgressTracker], name: str, strict: bool) -> SharedMemoryProgressTracker:
    return kind(name, strict=strict)


def _only(id: str, record: AnalysisProgress | None) -> AnalysisProgress | None:
    return record if record is not None and record.execution_id == id else None


def _parts(entry: Entry) -> Parts:
    return entry.written[1] if entry.written is not None else read_parts(entry.task)[1]


shared_progress_tracker = SharedMemoryProgressTracker()
