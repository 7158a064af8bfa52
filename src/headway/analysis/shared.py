"""The tracker in shared memory: a thin layer over a board, of which each analysis is a task.

The symbol is the task's label, the stage its stage, with its timeline. All else stands in the task's result (see
document.py): the results, and "end" once there is one. Who puts "end" there has ended the analysis, whatever comes
later; the state of the task follows, for those who look at the board.

Every write makes the writer the owner of the task, so that its death is seen, whoever began the analysis. A process
that leaves in good order hands its analyses on to the one that began them, if that is alive.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from headway import errors
from headway.analysis.contract import SECONDS_PER_HOUR, ProgressTracker, age_limit, checked_result
from headway.analysis.document import (
    LABEL_BYTES,
    STAGE_BYTES,
    Document,
    PartGone,
    as_document,
    document_of,
    files_of,
    part,
    progress,
    rewrite,
    shown,
    whole_stage,
)
from headway.analysis.model import AnalysisProgress, Result, check_id, check_text
from headway.analysis.past import Past
from headway.engine import segments
from headway.engine.board import Board, open_or_make
from headway.engine.task import Task
from headway.native.core import Segment, Slot
from headway.system import paths, shm
from headway.tasks.results import LARGE_RESULT, load_result
from headway.tasks.states import OPEN_STATES
from headway.upkeep import listing
from headway.views.board_view import TaskView

__all__ = ["SharedMemoryProgressTracker", "shared_progress_tracker"]

CAPACITY = 1024  # analyses at a time; ended ones make room for new ones
RESULT_BYTES = 4096  # four results with some twenty levels; what is larger goes into files. 13 MB in all
HANDLES_MAX = 4096
TRIES = 64  # each further one means that another process has just started the analysis over, or stored a result
ORPHANED_S = 60.0  # a file that no document names may be about to be named for so long

_LEFT_OPEN = ("cancelled", "failed")


class SharedMemoryProgressTracker(ProgressTracker):
    """Follows analyses in shared memory, on the board of this name: every process of this user sees them at once.

    The board is made by the first start_analysis. An analysis whose process died reads as failed, with the stage it
    died in and the reason, until a live process writes to it again. Besides the errors of every tracker, calls raise
    those of the board: BoardFull if 1024 analyses run at once, LockTimeout, NoSpace, CorruptBoard, NotOwner.
    """

    __slots__ = ("_board", "_handles", "_past", "_watched", "name")

    def __init__(self, board: str = "analysis") -> None:
        self.name = paths.check_name(board)
        self._board: Board | None = None  # to write to
        self._watched: Board | None = None  # to look at, as long as this process has written nothing
        self._handles: dict[str, Task] = {}
        self._past = Past(self.name)

    def __reduce__(self) -> tuple[type[SharedMemoryProgressTracker], tuple[str]]:
        return SharedMemoryProgressTracker, (self.name,)

    # ------------------------------------------------------------------------------------------------------ changes

    def start_analysis(self, symbol: str, execution_id: str) -> AnalysisProgress:
        """Begin an analysis; one of the same id starts over. Returns what it looks like now."""
        id, text = check_id(execution_id), check_text(symbol, "symbol")
        label = shown(text, LABEL_BYTES)
        board = self._open()
        before = board.get(id)
        task = board._restart(id, label)
        if before is not None:
            _remove_files(before, board.directory)
        begun: Document = {"by": [board._segment.uuid, board._segment.incarnation, os.getpid()]}
        if label != text:
            begun["symbol"] = text
        with suppress(errors.UnknownTask):  # started over at once by another process
            rewrite(task, board.directory, board._segment.result_bytes, lambda document: {**document, **begun})
            task._enter("initializing")
            self._remember(task)
        now = datetime.now()  # noqa: DTZ005 - programs compare start_time with datetime.now()
        return self.get_progress(id) or AnalysisProgress(text, id, now)

    def update_stage(self, execution_id: str, stage: str) -> bool:
        """Enter the next stage: any text."""
        try:
            entered = self._handles[execution_id]._enter(stage)
        except (KeyError, TypeError, UnicodeEncodeError, errors.BoardClosed):  # unknown here, gone, or no plain text
            entered = False
        return entered or self._enter(check_id(execution_id), check_text(stage, "stage"))

    def _enter(self, id: str, stage: str) -> bool:
        """update_stage the long way: the task is found first, or has ended, or has no room for the text."""
        short = shown(stage, STAGE_BYTES)

        def enter(task: Task, board: Board) -> None:
            if short != stage:
                self._put(task, board, lambda document: {**document, "stage": stage})
            self._carry_on(task, board, short)

        return self._write(id, enter) or self._past.has_ended(id, self._existing())

    def _store(self, execution_id: str, name: str, result: Result) -> bool:
        id, values = check_id(execution_id), checked_result(name, result).to_dict()

        def store(task: Task, board: Board) -> None:
            self._put(task, board, lambda document: {**document, name: values})
            self._carry_on(task, board)

        return self._write(id, store)

    def complete_analysis(self, execution_id: str, signal: str, message: str = "") -> bool:
        """End it well: status success, stage completed, with the signal and the message."""
        end = {
            "status": "success",
            "stage": "completed",
            "signal": check_text(signal, "signal"),
            "failure_stage": "",
            "message": check_text(message, "message"),
        }
        return self._end(check_id(execution_id), end)

    def fail_analysis(self, execution_id: str, stage: str, message: str) -> bool:
        """End it as failed in that stage: signal no_signal, with the message."""
        end = {
            "status": "failed",
            "signal": "no_signal",
            "failure_stage": check_text(stage, "stage"),
            "message": check_text(message, "message"),
        }
        return self._end(check_id(execution_id), end)

    def _end(self, id: str, end: dict[str, str]) -> bool:
        def decide(task: Task, board: Board) -> None:
            def first(document: Document) -> Document:
                if "end" in document:
                    return document
                stage = whole_stage(task.stage, part(document, "stage", board.directory))
                return {**document, "end": {"stage": stage, **end}}

            self._announce(task, part(self._put(task, board, first), "end", board.directory))

        ended = self._write(id, decide) or self._past.has_ended(id, self._existing())
        self._handles.pop(id, None)
        return ended

    @staticmethod
    def _announce(task: Task, end: Any) -> None:
        """Have the task end as its analysis did, if it has not yet."""
        if not isinstance(end, dict):
            return
        if end.get("status") == "success":
            message = str(end.get("message", ""))
            task._transition("success", (*OPEN_STATES, *_LEFT_OPEN), message=message, stage="completed", own=True)
        else:
            task._transition("failed", (*OPEN_STATES, "cancelled"), error=str(end.get("message", "")), own=True)

    def _carry_on(self, task: Task, board: Board, stage: str | None = None) -> None:
        """Make this process the owner of an analysis that has not ended, and enter the stage."""
        if task._own() if stage is None else task._enter(stage):
            return
        if "end" in _document_of(task):
            return
        # Its process left it open, in good order or by an exception.
        task._transition("running", _LEFT_OPEN, own=True, resume=True, stage=stage)
        self._announce(task, part(_document_of(task), "end", board.directory))  # where it ended between the two

    # -------------------------------------------------------------------------------------------- board and handles

    def _open(self) -> Board:
        board = self._existing()
        return board if board is not None else self._attach()

    def _existing(self) -> Board | None:
        """The board, if it is in shared memory: looking for an analysis makes none."""
        if (board := _usable(self._board)) is not None:
            return board
        uuid = segments.referenced(paths.board_directory(self.name))
        if uuid is None or not (shm.SHM / segments.object_name(self.name, uuid)[1:]).exists():
            return None
        return self._attach()

    def _attach(self) -> Board:
        board = open_or_make(self.name, capacity=CAPACITY, result_bytes=RESULT_BYTES)
        if board is not self._board:
            self._handles.clear()
            board._at.hand_on = _hand_on
            self._board, self._watched = board, None
        return board

    def _readable(self) -> Board | None:
        """The board to read from: who only looks on does not keep it in shared memory."""
        board = _usable(self._board) or _usable(self._watched)
        if board is None:
            board = self._watched = listing.attach(self.name)
        return board

    def _remember(self, task: Task) -> None:
        if len(self._handles) >= HANDLES_MAX:
            self._handles.clear()
        self._handles[task.id] = task

    def _write(self, id: str, write: Callable[[Task, Board], None]) -> bool:
        """Write to an analysis; once more, if it was started over meanwhile. False if it is not on the board."""
        for _ in range(TRIES):
            board = self._existing()
            if board is None and self._past.comes_back(id):
                board = self._attach()
            if board is None:
                return False
            try:
                task = self._handles.get(id)
                if task is None:
                    task = board.attach(id)
                    self._remember(task)
            except errors.UnknownTask:
                return False
            try:
                write(task, board)
            except (errors.UnknownTask, errors.BoardClosed, PartGone):
                self._handles.pop(id, None)
            else:
                return True
        raise errors.LockTimeout(
            f"analysis {id!r} is started over all the time, and cannot be written: end who does so"
        )

    @staticmethod
    def _put(task: Task, board: Board, change: Callable[[Document], Document]) -> Document:
        return rewrite(task, board.directory, board._segment.result_bytes, change)

    # --------------------------------------------------------------------------------------------------------- reads

    def get_progress(self, execution_id: str) -> AnalysisProgress | None:
        """Return what an analysis looks like now: of the board, else of its last snapshot; None if it is unknown."""
        id = check_id(execution_id)
        for _ in range(TRIES):
            board = self._readable()
            view = None if board is None else board.get(id)
            if board is None or view is None:
                return self._past.get(id, board)
            with suppress(PartGone):
                return progress(view, board.directory)
        return None

    def get_all_recent(self, hours: float = 1) -> list[AnalysisProgress]:
        """Return the analyses that were started within the last `hours`, the newest first."""
        limit = age_limit(hours)
        board = self._readable()
        views = () if board is None else board.snapshot().tasks
        recent = {}
        for view in views:
            if board is not None and (view.created or 0.0) >= limit:
                try:
                    recent[view.id] = progress(view, board.directory)
                except PartGone:
                    recent[view.id] = self.get_progress(view.id)
        for id, record in self._past.since(limit, board):
            recent.setdefault(id, record)
        found = [record for record in recent.values() if record is not None]
        return sorted(found, key=lambda record: record.start_time, reverse=True)

    def get_active_executions(self) -> list[str]:
        """Return the ids of the analyses whose status is running."""
        board = self._readable()
        views = () if board is None else board.snapshot().tasks
        return [view.id for view in views if not view.final and "end" not in document_of(view)]

    # ------------------------------------------------------------------------------------------------------- cleanup

    def cleanup_old(self, hours: float = 24) -> int:
        """Remove the analyses that nothing touched for `hours`. Returns how many."""
        limit = age_limit(hours)
        if limit == -math.inf:
            return 0
        board = self._existing()
        if board is None and self._past.exists():
            board = self._attach()  # the tasks of the last snapshot come back, and then some of them go
        if board is None:
            return 0
        before_ns = int(max(1.0, time.monotonic_ns() - hours * SECONDS_PER_HOUR * 1e9))  # beats are monotonic
        removed = set()
        kept = set()
        named: set[str] = set()
        for view in board.snapshot().tasks:
            place = board._segment.find(view.id) if max(view.beat or 0.0, view.created or 0.0) < limit else None
            if place is not None and board._segment.free(*place, before_ns):
                _remove_files(view, board.directory)
                self._handles.pop(view.id, None)
                removed.add(view.id)
            else:
                kept.add(view.id)
                named.update(files_of(document_of(view)))
        if removed:
            with suppress(OSError):  # a full disk: an old snapshot may tell of them for a while
                board.write_snapshot()
        removed |= self._past.forget(hours) - kept
        self._remove_orphans(board.directory, named, min(limit, time.time() - ORPHANED_S))
        return len(removed)

    def _remove_orphans(self, directory: Path, named: set[str], before: float) -> None:
        """Remove files of parts that no document names: their writers were killed, or the history forgot them."""
        files = [path for path in directory.iterdir() if LARGE_RESULT.fullmatch(path.name) and path.name not in named]
        past = self._past.files() if files else None
        for path in files:
            with suppress(FileNotFoundError):
                if past is not None and path.name not in past and path.lstat().st_mtime < before:
                    path.unlink()


def _document_of(task: Slot) -> Document:
    return as_document(load_result(task._read_result()[0]))


def _hand_on(task: Slot, segment: Segment) -> bool:
    """This process leaves in good order: who began the analysis answers for it from here on, if that is alive."""
    by = _document_of(task).get("by")
    if not (isinstance(by, list) and len(by) == 3 and by[0] == segment.uuid):
        return False
    incarnation, pid = (one if isinstance(one, int) and 0 < one < 1 << 61 else 0 for one in by[1:])
    if incarnation in (0, segment.incarnation) or segment.dead(incarnation):
        return False
    return task._hand_to(incarnation, pid)


def _usable(board: Board | None) -> Board | None:
    return None if board is None or board._segment.closed or board._segment.retired else board


def _remove_files(view: TaskView, directory: Path) -> None:
    for name in files_of(document_of(view)):
        (directory / name).unlink(missing_ok=True)


shared_progress_tracker = SharedMemoryProgressTracker()
