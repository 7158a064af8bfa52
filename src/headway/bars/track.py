"""One loop, one bar, no set-up: `for item in headway.track(items)`.

The loop is a task like any other, on a board that is opened when it is needed and removed when the program ends; its
last state stays as a snapshot. There is no thread; how the bar is drawn: `headway.bars.shown`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from headway import errors
from headway.api import current
from headway.bars import shown
from headway.bars.loop import AnyBoard, AnyTask, Loop, claimed, enclosing, fresh, running, when_all_have_ended
from headway.bars.parts import parts_of
from headway.standin.board import StandinTask, open_board
from headway.standin.nobody import NOBODY
from headway.system import paths, support
from headway.tasks import checks
from headway.tasks.counting import length_of, total_kept
from headway.tasks.ending import ending

if TYPE_CHECKING:
    from headway.bars.shown import Output
    from headway.engine.board import Board
    from headway.views.task_view import TaskView

__all__ = ["ShownLoop", "loop_for", "track"]

T = TypeVar("T")

ID = "track"
EVERY_S = 0.1
BEGUN_WAIT_S, ENDED_WAIT_S = 0.5, 3.0  # at most, for another thread that is showing loops

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
    loop, is_new = loop_for(ID, label, unit, board)
    if is_new:
        loop.leave = leave
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


def loop_for(id: str, label: str | None, unit: str, board: str | Board | None) -> tuple[ShownLoop, bool]:
    """A loop that has not begun, and whether its task is new: not if it ran inside the enclosing loop before.

    id: what the id is made of where there is no label.
    """
    again = None if board is not None else ShownLoop.again(enclosing(), label)
    return (ShownLoop(*_claimed(id, label, unit, board)), True) if again is None else (again, False)


def _claimed(id: str, label: str | None, unit: str, board: str | Board | None) -> tuple[AnyBoard, AnyTask]:
    """The task of a loop, and its board; the stand-ins where no board is possible."""
    reason = None if isinstance(current(), StandinTask) else support.unusable()
    if reason is None:
        try:
            return fresh(id, label, unit, board)
        except (errors.HeadwayError, OSError, ImportError) as error:  # a full /dev/shm keeps no loop from its work
            reason = str(error)
    support.warn_once(reason)
    name: Any = paths.default_name(strict=False) if board is None else getattr(board, "name", board)
    alone = open_board(name)
    return alone, claimed(alone, id, label, unit)


# ------------------------------------------------------------------------------------------------------------ its life


class ShownLoop(Loop):
    """A loop that is shown."""

    leave = True
    with_parts = False
    began = 0.0

    def begin(self, label: str | None) -> None:
        """Make its task the current one, and show the loop."""
        global _output
        is_first = not _loops()
        super().begin(label)
        self.make_current()
        shown_around = self._outer
        while shown_around is not None and not isinstance(shown_around, ShownLoop):
            shown_around = shown_around._outer  # the bar of another library is drawn by that
        self.depth = 0 if shown_around is None else shown_around.depth + 1
        self.began = time.monotonic()
        if is_first:
            # It was closed, or is not a real stream; or what shows it cannot be loaded, after a chroot, say.
            with contextlib.suppress(OSError, ValueError, AttributeError, ImportError):
                _output = shown.output_here()
        output = _output
        _show(self.began, at_once=output is not None and not output.knows(self))

    def parts(self) -> list[tuple[TaskView, int]]:
        """The running parts of its task, and how deep each is below it."""
        try:
            return parts_of(self._home, self.task.id)
        except (errors.HeadwayError, OSError):
            return []

    def tick(self) -> None:
        """Update what is shown. Called at most ten times a second."""
        if self._pid == os.getpid() and not self._ended:
            _show(time.monotonic())

    def has_finished(self) -> None:
        """Show it for the last time."""
        global _output
        if self.depth == 0:
            _show(time.monotonic(), ended=self)
        if not _loops():
            _output = None


def _loops() -> list[ShownLoop]:
    return [loop for loop in running() if isinstance(loop, ShownLoop)]


def _forget() -> None:
    """In a forked child: bars are the parent's."""
    global _output, _showing
    _showing = threading.Lock()
    _output = None
    shown.forget()


os.register_at_fork(after_in_child=_forget)


def _close() -> None:
    with contextlib.suppress(OSError, ValueError):  # the terminal is gone, or the stream is closed
        shown.close()


when_all_have_ended(_close)


# ------------------------------------------------------------------------------------------------------------- its bar


def _show(now: float, *, at_once: bool = False, ended: ShownLoop | None = None) -> None:
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
        loops = [loop for loop in _loops() if loop.has_place()]
        if ended is not None and ended.has_place():
            output.end(ended, loops, now)
        else:
            output.show(loops, now)
    except (OSError, ValueError, MemoryError):  # the terminal is gone, or standard error was closed: nobody can see it
        return
    finally:
        _showing.release()
