"""One loop, one bar, no set-up: `for item in headway.track(items)`.

The loop is a task like any other, on a board that is opened when it is needed and removed when the program ends; its
last state stays as a snapshot. There is no thread; how the bar is drawn: `headway.bars.shown`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from headway import errors
from headway.api import current
from headway.bars import shown
from headway.process import live
from headway.process.leaving import at_exit, uncaught
from headway.standin.board import StandinBoard, StandinTask, open_board
from headway.standin.board import board_of as standin_of
from headway.standin.nobody import NOBODY
from headway.system import paths, support
from headway.tasks import checks
from headway.tasks import current as context
from headway.tasks.counting import length_of, total_kept
from headway.tasks.ending import LEFT_AT_EXIT, ending, failure_text

if TYPE_CHECKING:
    from types import CodeType

    from headway.bars.shown import Output
    from headway.engine.board import Board
    from headway.engine.task import Task
    from headway.views.board_view import TaskView

__all__ = ["track"]

T = TypeVar("T")
AnyBoard: TypeAlias = "Board | StandinBoard"
AnyTask: TypeAlias = "Task | StandinTask"

ID = "track"
ID_BYTES = 95
NUMBER_BYTES = 6  # what distinguishes loops of one name: -2, -3, ...
EVERY_S = 0.1
BEGUN_WAIT_S, ENDED_WAIT_S = 0.5, 3.0  # at most, for another thread that is showing loops
PARTS_MOST = 32  # loops inside one loop that are recognized by their label when they run again

_open: dict[int, _Loop] = {}  # the running loops of this process, the oldest first, by id() of their task
_boards: dict[str, Board] = {}  # boards that were opened here, by uuid
_left: deque[tuple[Task, CodeType, int]] = deque(maxlen=32)  # loops left early, with the place where each was left
_output: Output | None = None  # where they are shown
_showing = threading.Lock()
_show_again = 0.0


@overload
def track(
    iterable: Iterable[T],
    label: str | None = None,
    total: int | None = None,
    *,
    unit: str = "it",
    leave: bool = True,
    disable: bool = False,
    board: str | Board | None = None,
) -> Iterator[T]: ...
@overload
def track(
    iterable: AsyncIterable[T],
    label: str | None = None,
    total: int | None = None,
    *,
    unit: str = "it",
    leave: bool = True,
    disable: bool = False,
    board: str | Board | None = None,
) -> AsyncIterator[T]: ...
def track(
    iterable: Any,
    label: str | None = None,
    total: int | None = None,
    *,
    unit: str = "it",
    leave: bool = True,
    disable: bool = False,
    board: str | Board | None = None,
) -> Any:
    """Iterate, count, and show a bar: on a terminal below all that is printed; elsewhere lines on standard error.

    label: for people; total: items, default: the iterable's length; unit: of an item, bytes are "B" and "iB"; leave:
    keep the last row; disable: only iterate; board: a board, or its name, default: the one that this process shows
    live, else HEADWAY_BOARD, else the program's name. An item counts when the next one is requested. While a board is
    shown live, its bars use the terminal, and a loop draws none of its own.

    The task's id is the label, else "track"; if a loop of that id is running, in this program or another one, it is
    "track-2", and so on. Inside a `with` block of a task, or inside another loop, it is a child of that task, on the
    same board; a loop that runs many times inside another one is one task, which shows the last run. Within the loop
    it is `headway.current()`. It succeeds at the end of the iterable, fails if the iterable raises, and is cancelled if
    the loop is left early; if it was left by an exception that ends the program, it has failed.

    With HEADWAY_BARS=0 nothing is shown, with HEADWAY_DISABLE=1 nothing is counted either. HEADWAY_LINES_S: seconds
    between two lines where there is no terminal. Where no board is possible, one warning says so, and the loop is
    counted in this process only. Raises TypeError, and ValueError for an illegal board name or total.
    """
    if disable or support.disabled():
        return NOBODY.track(iterable, total=total)
    checks.check_text("" if label is None else label, "label")
    checks.check_text(unit, "unit")
    outer = _open.get(id(current()))
    loop = None if outer is None or board is not None else outer.part(label)
    if loop is None:
        loop = _Loop(*_begin(label, unit, board), leave=leave)
    else:
        total = total_kept(length_of(iterable) if total is None else total)
        loop.task.total = total
    try:
        tracker = loop.task._tracker(iterable, total, loop.end, loop.tick)
        loop.begin(label)
    except BaseException as error:
        loop.finish(*ending(error))
        raise
    return tracker


# ------------------------------------------------------------------------------------------------------------ its task


def _begin(label: str | None, unit: str, board: str | Board | None) -> tuple[AnyBoard, AnyTask]:
    """The task of a loop, and its board; the stand-ins where no board is possible."""
    outer: Any = current()
    reason = None if isinstance(outer, StandinTask) else support.unusable()
    if reason is None:
        try:
            if board is None and outer is not NOBODY:
                return _part_of(outer, label, unit)
            if board is None and (shown := _shown_live()) is not None:
                with contextlib.suppress(errors.HeadwayError, OSError):  # full, say: then go on as if none were shown
                    return shown, _claimed(shown, label, unit, ID_BYTES)
            home: Any = board if hasattr(board, "task") else _opened(board)
            return home, _claimed(home, label, unit, ID_BYTES)
        except (errors.HeadwayError, OSError, ImportError) as error:  # a full /dev/shm keeps no loop from its work
            reason = str(error)
    support.warn_once(reason)
    name: Any = paths.default_name(strict=False) if board is None else getattr(board, "name", board)
    alone = open_board(name)
    return alone, _claimed(alone, label, unit, ID_BYTES)


def _part_of(outer: AnyTask, label: str | None, unit: str) -> tuple[AnyBoard, AnyTask]:
    home = _home_of(outer)
    room = ID_BYTES - len(outer.id.encode()) - 1
    if room < len(ID) + NUMBER_BYTES:  # nested too deeply for an id: then make it a sibling
        return home, _claimed(home, label, unit, ID_BYTES)
    return home, _claimed(outer, label, unit, room)


def _home_of(task: AnyTask) -> AnyBoard:
    """The board that a task is on."""
    if isinstance(task, StandinTask):
        return standin_of(task)
    from headway.engine.board import board_of

    return board_of(task)


def _claimed(maker: AnyBoard | AnyTask, label: str | None, unit: str, room: int) -> AnyTask:
    """A new task of a board, or a child of a task, under the first free id. room: for the id, in bytes."""
    raw = (label or ID).replace("\0", " ").encode("utf-8", "replace")
    base = raw[: room - NUMBER_BYTES].decode("utf-8", "ignore") or ID
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


class _Loop:
    """A running loop. Only the process that began it acts: a forked child merely has a copy."""

    def __init__(
        self, home: AnyBoard, task: AnyTask, parts: dict[str | None, _Loop] | None = None, *, leave: bool = True
    ) -> None:
        self.task = task
        self.depth = 0
        self.leave = leave
        self.began = 0.0
        self._home = home
        self._parts: dict[str | None, _Loop] = {} if parts is None else parts  # loops inside it, by label
        self._pid = os.getpid()
        self._ended = False
        self._before: Any = None  # the task that was current when it began,
        self._outer: _Loop | None = None  # and the loop of that task, if it has one

    def part(self, label: str | None) -> _Loop | None:
        """A loop over the task of an ended loop with this label that ran inside this one, to use that task again."""
        last = self._parts.get(label)
        if last is None or not last._ended or not last.task._again():
            return None
        return _Loop(last._home, last.task, last._parts)

    def begin(self, label: str | None) -> None:
        """Make its task the current one, and show the loop."""
        global _output
        self._before = context.of_this_context()
        context.put(self.task)
        self._outer = _open.get(id(self._before))
        if self._outer is not None:
            self.depth = self._outer.depth + 1
            parts = self._outer._parts
            parts[label] = self
            if len(parts) > PARTS_MOST:
                del parts[next(iter(parts))]
        self.began = time.monotonic()
        if not _open:
            # It was closed, or is not a real stream; or what shows it cannot be loaded, after a chroot, say.
            with contextlib.suppress(OSError, ValueError, AttributeError, ImportError):
                _output = shown.output_here()
        _open[id(self.task)] = self
        with contextlib.suppress(errors.HeadwayError, OSError):
            self.task.adopt()  # it runs from here on, however long the first item takes
        at_exit(_leave)
        output = _output
        _show(self.began, at_once=output is not None and not output.knows(self))

    def tick(self) -> None:
        """Update what is shown. Called at most ten times a second."""
        if self._pid == os.getpid() and not self._ended:
            _show(time.monotonic())

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
        """End the task, and show it for the last time. If interrupted and called again, it completes the rest."""
        global _output
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
        if self.depth == 0:
            _show(time.monotonic(), ended=self)
        self._ended = True
        if not _open:
            _output = None

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


def _place_of_loop() -> tuple[CodeType, int] | None:
    """The code that contains the loop, and the instruction at which it was left."""
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith("headway."):
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def _forget() -> None:
    """In a forked child: loops and bars are the parent's."""
    global _output, _showing
    _showing = threading.Lock()
    _output = None
    shown.forget()
    _open.clear()
    _boards.clear()
    _left.clear()


os.register_at_fork(after_in_child=_forget)


def _leave() -> None:
    """At the end of the program: end open loops, and remove boards that were opened here, unless others use them."""
    error = uncaught()
    for loop in reversed(list(_open.values())):
        loop.finish(*(ending(error) if error is not None else ("cancelled", LEFT_AT_EXIT)))
    if error is not None:
        _fail_what_was_left_by(error)
    with contextlib.suppress(OSError, ValueError):  # the terminal is gone, or the stream is closed
        shown.close()
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


# ------------------------------------------------------------------------------------------------------------- its bar


def _show(now: float, *, at_once: bool = False, ended: _Loop | None = None) -> None:
    """Show the running loops, nested ones below those that contain them. now: monotonic seconds.

    at_once: it cannot wait for the next tick; ended: an outermost loop, to be shown for the last time.
    """
    global _show_again
    output = _output
    if output is None or (now < _show_again and not at_once and ended is None):
        return
    # If another thread is doing this just now, it shows our loops too, or the next tick does. A begin waits for it.
    if not _showing.acquire(timeout=ENDED_WAIT_S if ended is not None else BEGUN_WAIT_S if at_once else 0):
        return
    try:
        _show_again = now + EVERY_S
        loops = [loop for loop in list(_open.values()) if loop.has_place()]
        if ended is not None and ended.has_place():
            output.end(ended, loops, now)
        else:
            output.show(loops, now)
    except (OSError, ValueError, MemoryError):  # the terminal is gone, or standard error was closed: nobody can see it
        return
    finally:
        _showing.release()
