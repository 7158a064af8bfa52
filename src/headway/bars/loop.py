"""A running loop: its task, what it is nested in, and how it ends. Who shows it, if anybody, is said by subclasses."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from headway import errors
from headway.api import current
from headway.process import live
from headway.process.leaving import at_exit, uncaught
from headway.standin.board import StandinBoard, StandinTask
from headway.standin.board import board_of as standin_of
from headway.standin.nobody import NOBODY
from headway.tasks import current as context
from headway.tasks.ending import LEFT_AT_EXIT, ending, failure_text

if TYPE_CHECKING:
    from types import CodeType
    from typing import Self

    from headway.engine.board import Board
    from headway.engine.task import Task
    from headway.views.task_view import TaskView

__all__ = ["AnyBoard", "AnyTask", "Loop", "claimed", "enclosing", "fresh", "part_of", "running", "when_all_have_ended"]

AnyBoard: TypeAlias = "Board | StandinBoard"
AnyTask: TypeAlias = "Task | StandinTask"

ID_BYTES = 95
NUMBER_BYTES = 6  # what distinguishes loops of one name: -2, -3, ...
PARTS_MOST = 32  # loops inside one loop that are recognized by their label when they run again
INSIDE = ("headway.", "tqdm.")  # modules whose frames are not the ones that contain a loop

_open: dict[int, Loop] = {}  # the running loops of this process, the oldest first, by id() of their task
_boards: dict[str, Board] = {}  # boards that were opened here, by uuid
_left: deque[tuple[Task, CodeType, int]] = deque(maxlen=32)  # loops left early, with the place where each was left
_when_all_have_ended: list[Callable[[], object]] = []


# ------------------------------------------------------------------------------------------------------------ its task


def fresh(
    id: str, label: str | None, unit: str, board: str | Board | None, *, by_label: bool = True
) -> tuple[AnyBoard, AnyTask]:
    """A new task for a loop, and its board: a child of the current task, unless a board is named.

    id: what the id is made of where there is no label, or always, if not by_label. Raises HeadwayError, OSError,
    ImportError where no board can be had, and ValueError for an illegal name of a board.
    """
    outer: Any = current()
    if board is None and outer is not NOBODY:
        return part_of(outer, id, label, unit, by_label=by_label)
    if board is None and (shown := _shown_live()) is not None:
        with contextlib.suppress(errors.HeadwayError, OSError):  # full, say: then go on as if none were shown
            return shown, claimed(shown, id, label, unit, by_label=by_label)
    home: Any = board if hasattr(board, "task") else _opened(board)
    return home, claimed(home, id, label, unit, by_label=by_label)


def part_of(
    outer: AnyTask, id: str, label: str | None, unit: str, *, by_label: bool = True
) -> tuple[AnyBoard, AnyTask]:
    home = _home_of(outer)
    room = ID_BYTES - len(outer.id.encode()) - 1
    if room < len(id) + NUMBER_BYTES:  # nested too deeply for an id: then make it a sibling
        return home, claimed(home, id, label, unit, by_label=by_label)
    return home, claimed(outer, id, label, unit, room, by_label=by_label)


def _home_of(task: AnyTask) -> AnyBoard:
    """The board that a task is on."""
    if isinstance(task, StandinTask):
        return standin_of(task)
    from headway.engine.board import board_of

    return board_of(task)


def claimed(
    maker: AnyBoard | AnyTask, id: str, label: str | None, unit: str, room: int = ID_BYTES, *, by_label: bool = True
) -> AnyTask:
    """A new task of a board, or a child of a task, under the first free id. room: for the id, in bytes."""
    raw = ((label if by_label else None) or id).replace("\0", " ").encode("utf-8", "replace")
    base = raw[: room - NUMBER_BYTES].decode("utf-8", "ignore") or id
    for number in itertools.count(1):
        end = f"-{number}" if number > 1 else ""
        with contextlib.suppress(errors.TaskExists):
            return maker.task(base + end, unit=unit, label=label + end if label else None)
    raise AssertionError("numbers do not end")


def _shown_live() -> Board | None:
    """The board that this process shows live, if it is still there."""
    uuid = live.shown()
    board: Board | None = None if uuid is None else sys.modules["headway.engine.board"].known(uuid)
    return None if board is None or board._segment.retiring else board


def _opened(name: str | None) -> Board:
    """Open a board that this program has not opened itself: it is removed when the program ends."""
    from headway.engine import board as engine
    from headway.files import loops

    known = set(engine._boards.values())
    board = loops.opened(engine.open_or_make, name)
    if board not in known:
        _boards[board._segment.uuid] = board
    return board


# ------------------------------------------------------------------------------------------------------------ its life


class Loop:
    """A running loop. Only the process that began it acts: a forked child merely has a copy."""

    def __init__(self, home: AnyBoard, task: AnyTask, parts: dict[str | None, Loop] | None = None) -> None:
        self.task = task
        self.depth = 0
        self._home = home
        self._parts: dict[str | None, Loop] = {} if parts is None else parts  # loops inside it, by label
        self._pid = os.getpid()
        self._ended = False
        self._before: Any = None  # the task that was current when it began,
        self._outer: Loop | None = None  # and the loop of that task, if it has one

    @classmethod
    def again(cls, outer: Loop | None, label: str | None) -> Self | None:
        """A loop over the task of an ended loop with this label that ran inside `outer`, to use that task again."""
        last = None if outer is None else outer._parts.pop(label, None)  # taken out: only one of two threads has it
        if outer is None or last is None:
            return None
        if last._ended and last.task._again():
            return cls(last._home, last.task, last._parts)
        outer._parts.setdefault(label, last)
        return None

    def begin(self, label: str | None) -> None:
        """Note that it runs, and what it runs in: so it is ended at the latest when the program ends."""
        self._before = context.of_this_context()
        self._outer = _open.get(id(self._before))
        if self._outer is not None:
            self.depth = self._outer.depth + 1
            parts = self._outer._parts
            parts[label] = self
            if len(parts) > PARTS_MOST:
                del parts[next(iter(parts))]
        _open[id(self.task)] = self
        with contextlib.suppress(errors.HeadwayError, OSError):
            self.task.adopt()  # it runs from here on, however long the first item takes
        at_exit(_leave)

    def make_current(self) -> None:
        """Make its task the current one, until it ends: what begins meanwhile is a part of it. Idempotent."""
        before = context.of_this_context()
        if before is self.task:
            return
        self._before = before
        outer = _open.get(id(before))
        if outer is not None:
            self._outer = outer
        context.put(self.task)

    def end(self, error: BaseException | None) -> None:
        """The loop has ended: by the end of the iterable (None), by its exception, or early (GeneratorExit)."""
        if self._ended or self._pid != os.getpid():
            return
        if isinstance(error, GeneratorExit):
            place = _place_of_loop()
            if place is not None and not isinstance(self.task, StandinTask):
                _left.append((self.task, *place))
            self.finish("cancelled", "the loop was left early")
        else:
            self.finish(*ending(error))

    def finish(self, state: str, text: str | None) -> None:
        """End the task. If interrupted and called again, it completes the rest."""
        with contextlib.suppress(errors.HeadwayError, OSError):  # removed, say: the program goes on
            if state == "success":
                self.task.succeed()
            elif state == "failed":
                self.task.fail(text or "")
            else:
                self.task.cancel(text)
        if context.innermost() is self.task:
            context.put(self._context_after())
        _open.pop(id(self.task), None)
        self.has_finished()
        self._ended = True

    def has_finished(self) -> None:
        """Called once its task has ended, and again if that is interrupted."""

    def was_forked(self) -> None:
        """Called in a forked child, where it is a copy."""

    @property
    def ended(self) -> bool:
        """Whether its task was ended here."""
        return self._ended

    def _context_after(self) -> Any:
        """The task that was current before; if loops overlapped, that of one that still runs."""
        loop = self
        while loop._outer is not None and loop._outer._ended:
            loop = loop._outer
        return loop._before

    def has_place(self) -> bool:
        """May its bar be drawn, or do live bars use the terminal?"""
        address = self.address()
        return live.has_place(None if address is None else address[1])

    @property
    def board_name(self) -> str:
        """The name of the board that its task is on."""
        return self._home.name

    def address(self) -> tuple[str, str, str] | None:
        """Its board's name and uuid, and its id there; None on a board that no other process can read."""
        segment = getattr(self._home, "_segment", None)
        return None if segment is None else (segment.name, segment.uuid, self.task.id)

    def view(self) -> TaskView | None:
        """The view of its task, if it can be read."""
        try:
            return self._home.get(self.task.id)
        except (errors.HeadwayError, OSError):
            return None


def running() -> list[Loop]:
    """The loops of this process that run, the oldest first."""
    return list(_open.values())


def enclosing() -> Loop | None:
    """The loop whose task is the current one."""
    return _open.get(id(current()))


def when_all_have_ended(callback: Callable[[], object]) -> None:
    """Have callback() called at the end of the program, between the last end of a loop and the removal of boards."""
    _when_all_have_ended.append(callback)


def _place_of_loop() -> tuple[CodeType, int] | None:
    """The code that contains the loop, and the instruction at which it was left."""
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith(INSIDE):
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def _forget() -> None:
    """In a forked child: loops are the parent's."""
    for loop in running():
        loop.was_forked()
    _open.clear()
    _boards.clear()
    _left.clear()


os.register_at_fork(after_in_child=_forget)


def _leave() -> None:
    """At the end of the program: end open loops, and remove boards that were opened here, unless others use them."""
    error = uncaught()
    for loop in reversed(running()):
        loop.finish(*(ending(error) if error is not None else ("cancelled", LEFT_AT_EXIT)))
    if error is not None:
        _fail_what_was_left_by(error)
    for callback in _when_all_have_ended:
        callback()
    for board in _boards.values():
        if not (board._segment.closed or board._segment.retired or board._segment.recorder_alive):
            from headway.upkeep.removal import retire

            with contextlib.suppress(errors.HeadwayError, OSError):  # a full disk, say: then 'headway gc' does it
                retire(board)
    _boards.clear()


def _fail_what_was_left_by(error: BaseException) -> None:
    """Mark loops that were left by this exception, which ends the program, as failed."""
    places = set()
    link: BaseException | None = error
    for _ in range(100):  # chains may be circular
        if link is None:
            break
        trace = link.__traceback__
        while trace is not None:
            places.add((trace.tb_frame.f_code, trace.tb_lasti))
            trace = trace.tb_next
        link = link.__cause__ or link.__context__
    for task, code, instruction in _left:
        if (code, instruction) in places:
            with contextlib.suppress(errors.HeadwayError, OSError):
                task._transition("failed", ("cancelled",), error=failure_text(error))
