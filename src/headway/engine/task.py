"""The class Task: the methods of tasks (tasks/methods.py) on a slot in shared memory (native Slot)."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from contextvars import Token
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.engine import attached, claims
from headway.engine.attached import Attachment
from headway.native import core
from headway.standin.records import Record  # here, as the first use may come where no module can be read any more
from headway.standin.task import StandinTask
from headway.system import machine, paths
from headway.tasks import checks
from headway.tasks.methods import Label, OnEnd, OnTick, TaskMethods
from headway.tasks.states import OPEN_STATES

if TYPE_CHECKING:
    from headway.views.task_view import TaskView

__all__ = ["Task", "create", "handle_of", "is_broken_pool", "running", "unpickled"]

_UUID = re.compile(r"[0-9a-f-]{1,64}\Z")

Alike = tuple[int | None, str, str, str | None]  # total, unit, label and parent of a task that stands apart


class Task(core.Slot, TaskMethods):  # CPython walks the classes up to the one that has a property: the busy ones first
    __doc__ = TaskMethods.__doc__
    __module__ = "headway"

    __slots__ = ("_alike", "_apart", "_at", "_board", "_host", "_joined", "_pid", "_token", "_uuid")

    _apart: StandinTask | None  # takes the task's place in this process where its board cannot be had
    _alike: Alike | None  # what it is made of, as another process said; None: that had the board
    _at: Attachment | None  # None: found on first use
    _board: str
    _uuid: str
    _pid: int
    _token: Token[Any] | None
    _joined: bool
    _host: str  # where a pickled handle comes from, "" for others

    @classmethod
    def _of(cls, at: Attachment, index: int, generation: int, id: str, joined: bool = False) -> Task:
        return cls._made(at, at.meta["name"], at.meta["uuid"], index, generation, id, joined)

    @classmethod
    def _made(
        cls, at: Attachment | None, board: str, uuid: str, index: int, generation: int, id: str, joined: bool
    ) -> Task:
        task = cls.__new__(cls)
        task._place(None if at is None else at.segment, index, generation, id)
        task._apart = None
        task._alike = None
        task._at = at
        task._board = board
        task._uuid = uuid
        task._pid = 0
        task._token = None
        task._joined = joined
        task._host = ""
        return task

    def __init__(self) -> None:
        raise TypeError("a Task is made by board.task(id) or found by board.attach(id)")

    def __reduce__(self) -> tuple[Any, ...]:
        host = self._host or machine.host()
        return unpickled, (*self._handed_down(), self._joined, host, self._alike_now())

    def __repr__(self) -> str:
        return f"<headway.Task {self.id!r} on board {self._board!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Task):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, tuple[int, int]]:
        """The key for comparing and hashing: no other task has the same."""
        return self._uuid, self._where

    def _handed_down(self) -> tuple[str, str, int, int, str]:
        """Everything that another process needs to find this task."""
        return self._board, self._uuid, *self._where, self.id

    def _alike_now(self) -> Alike | None:
        """What a stand-in of this task in another process is made of, if one stands in for it here."""
        if self._apart is None:
            return self._alike
        view = self._apart.view()
        return view.total, view.unit, view.label, view.parent

    def _leave_block(self, error: BaseException | None) -> None:
        """Leave a `with` block. The error of a pool whose worker died gets a note of what it had in hand."""
        if error is not None:
            self._note_who_died(error)
        TaskMethods._leave_block(self, error)

    def _note_who_died(self, error: BaseException) -> None:
        """Add to the error of a broken pool who died, and what they had in hand."""
        if not is_broken_pool(error):
            return
        with contextlib.suppress(errors.HeadwayError, OSError, ImportError):  # the error itself matters more
            from headway.views.words import who_died

            told = who_died(self.view())
            if told:
                error.add_note(f"headway: of the workers on task {self.id!r} died: {told}")

    def _attachment(self) -> Attachment:
        at = self._at
        if at is None:
            if not self._where[1] & 1:
                raise errors.BoardClosed(f"it was made in a process that could not have board {self._board!r}")
            at = self._at = attached.attached(self._board, self._uuid, self._host)
        return at

    def _segment(self) -> core.Segment | None:
        """The segment. None if this process, which got the handle from another one, cannot have the board.

        It was removed, say, or is another machine's. A worker's job goes on then, though nobody sees its progress: from
        here on the handle counts, writes and reads what a stand-in does. That is told once a process and board.
        """
        if self._apart is None:
            try:
                return self._attachment().segment
            except errors.HeadwayError as error:
                if isinstance(error, OSError):  # no memory, say: the next use may have it
                    raise
                self._stand_apart(error)
        return None

    def _stand_apart(self, error: errors.HeadwayError) -> None:
        with attached.guard:  # another thread may do so at the same time
            if self._apart is None:
                total, unit, label, parent = self._alike or (None, "it", "", None)
                self._apart = _standin(self._board, self.id, total, unit, label, parent)
        _tell_unseen(self._uuid, self.id, error)

    def _alone(self) -> StandinTask:
        assert self._apart is not None
        return self._apart

    def _loop(
        self, iterable: Any, sized: bool, on_end: OnEnd | None, on_tick: OnTick | None, label: Label | None
    ) -> Any:
        return (core.SizedTracker if sized else core.Tracker)(self, iterable, on_end, on_tick, label=label)

    def _part(
        self, id: str, total: int | None, unit: str, label: str, stall_after: float | None, resume: bool, join: bool
    ) -> Task:
        if self._segment() is None:
            return self._part_apart(id, total, unit, label, stall_after)
        at = self._attachment()
        if at.segment.closed:  # closed for this handle, but the board may be open again
            at = attached.known(self._uuid) or at
        try:
            return create(at, id, total, unit, label, stall_after, resume, join, self.id)
        except errors.BoardClosed as error:
            if at.segment.closed:
                raise  # the program itself closed or removed the board
            _tell_unseen(self._uuid, id, error)  # somebody else removed it
            return self._part_apart(id, total, unit, label, stall_after)

    def _part_apart(self, id: str, total: int | None, unit: str, label: str, stall_after: float | None) -> Task:
        """A part that nobody sees, in no process. Its generation is even, as that of no task on a board."""
        total = checks.check_task(id, total, unit, label)
        stall_after_ns = checks.check_stall_after(stall_after)
        part = Task._made(None, self._board, self._uuid, 0, int.from_bytes(os.urandom(8)) & ~1, id, False)
        part._apart = _standin(self._board, id, total, unit, label, self.id, stall_after_ns)
        return part

    def view(self) -> TaskView:
        """Return a view of the task at this moment.

        Raises headway.errors.UnknownTask if it is no longer on its board, headway.errors.BoardClosed.
        """
        if self._segment() is None:
            return self._alone().view()
        at = self._attachment()
        copied = at.opened().copy_task(*self._where)
        if copied is None:
            raise self._gone()
        return at.view_of(copied)


def is_broken_pool(error: BaseException) -> bool:
    """Is it what an executor raises when one of its workers died? The class is there only if somebody loaded it."""
    broken = getattr(sys.modules.get("concurrent.futures"), "BrokenExecutor", None)
    return broken is not None and isinstance(error, broken)


_told: set[tuple[int, str]] = set()  # (process, uuid of a board) that were told that nobody sees its work there
_TOLD_MOST = 10_000


def _tell_unseen(uuid: str, id: str, error: errors.HeadwayError) -> None:
    place = os.getpid(), uuid
    if place not in _told and len(_told) < _TOLD_MOST:
        _told.add(place)
        errors.tell(f"nobody sees what this process counts and writes on task {id!r}: {error}", errors.StaleTaskWarning)


def _standin(
    board: str, id: str, total: int | None, unit: str, label: str, parent: str | None, stall_after_ns: int = 0
) -> StandinTask:
    """A task of this process alone, on no board."""
    return StandinTask._of(Record(board, id, total, unit, label, parent, stall_after_ns))


def create(
    at: Attachment,
    id: str,
    total: int | None,
    unit: str,
    label: str,
    stall_after: float | None,
    resume: bool,
    join: bool,
    parent: str | None,
) -> Task:
    """Claim a slot for a task and return a handle on it. The arguments are those of `claims.claim`."""
    index, generation, joined = claims.claim(at, id, total, unit, label, stall_after, resume, join, parent)
    return Task._made(at, at.meta["name"], at.meta["uuid"], index, generation, id, joined)


def unpickled(
    board: str,
    uuid: str,
    index: int,
    generation: int,
    id: str,
    joined: bool = False,
    host: str = "",
    alike: Alike | None = None,
) -> Task:
    """The task of a pickled handle. Opens nothing: an error while unpickling would break a process pool."""
    task = Task._made(None, board, uuid, index, generation, id, joined)
    task._host = host
    task._alike = alike
    return task


def handle_of(task: Task) -> tuple[str, str, int, int, str]:
    """Everything that a process needs to find this task again, by `running`."""
    return task._handed_down()


def running(board: str, uuid: str, index: int, generation: int, id: str) -> Task | None:
    """The task of a handle that anybody may have written; None where it has ended, or cannot be had here."""
    try:
        if not _UUID.match(uuid):
            return None
        at = attached.attached(paths.check_name(board), uuid)
        if at.opened().find(checks.check_id(id)) != (index, generation):
            return None
        task = Task._of(at, index, generation, id)
        return task if task.state in OPEN_STATES else None
    except (errors.HeadwayError, OSError, ValueError):  # another machine's, another version's, removed
        return None
