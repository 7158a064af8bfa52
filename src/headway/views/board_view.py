"""What a board looked like at one moment: frozen views of its tasks and workers.

Views are made from the records of a snapshot, and only when they are needed: a snapshot of 10 000 tasks is a few arrays
of bytes until then. The stand-in without shared memory calls their constructors, so this module works without the
native modules. Times are seconds since 1970; values that depend on the clock are relative to `taken_at`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from headway.errors import Unsupported
from headway.tasks.checks import NEVER_NS
from headway.views.numbers import SMALL, STALL_AFTER_SECONDS, Counts, Pace, TimeLeft, gone_in, paces_of, time_left
from headway.views.task_view import Raw, ShareView, StageView, TaskView, in_hand_for

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from headway.native.rates import Rates

__all__ = ["BoardView", "Counts", "Raw", "ShareView", "StageView", "TaskView", "TimeLeft", "WorkerView", "parts_of"]

_NO_SHARES = (None, (), "", None, None, 0.0)  # of a worker that counts on nothing


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    """A process registered on the board. `tasks`: ids of running tasks it counts on, and of those lost with it.

    item: what it has in hand on one of them, or had when it died, "" if that is not known; of several the one that it
    took up last, at `item_since`; item_until: when the task of it ended, None: it has not. stall_after: the longest of
    its tasks.
    """

    __module__ = "headway"

    incarnation: int
    pid: int
    name: str = ""
    alive: bool = True
    started: float | None = None
    tasks: tuple[str, ...] = ()
    beat: float | None = None
    item: str = ""
    item_since: float | None = None
    item_until: float | None = None
    taken_at: float = 0.0
    stall_after: float = STALL_AFTER_SECONDS

    @property
    def idle(self) -> float | None:
        """Seconds since it last counted; None if it never did."""
        return None if self.beat is None else max(0.0, self.taken_at - self.beat)

    @property
    def item_seconds(self) -> float | None:
        """Seconds since it took up the item, as in a ShareView: of one that died, until the task ended."""
        return in_hand_for(self.item_since, self.item_until, self.taken_at)

    @property
    def stalled(self) -> bool:
        """Alive, with tasks, and has counted nothing for longer than `stall_after` seconds?"""
        return self.alive and bool(self.tasks) and (self.idle or 0.0) > self.stall_after

    def to_dict(self) -> dict[str, Any]:
        """All fields, derived ones included, in types that JSON has."""
        after = self.stall_after if math.isfinite(self.stall_after) else None
        derived = {"idle": self.idle, "item_seconds": self.item_seconds, "stalled": self.stalled}
        return {**asdict(self), "tasks": list(self.tasks), "stall_after": after, **derived}


class BoardView:
    """A whole board at one moment. Read only; tasks are decoded when they are needed."""

    __module__ = "headway"

    __slots__ = (
        "_clock",
        "_counts",
        "_meta",
        "_numbers",
        "_paces",
        "_raw",
        "_tasks",
        "_views",
        "_workers",
    )

    def __init__(
        self,
        meta: Mapping[str, Any],
        *,
        raw: Raw | None = None,
        tasks: Iterable[TaskView] = (),
        workers: Iterable[WorkerView] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._meta = dict(meta)
        self._raw = raw
        self._clock = clock
        self._counts: Counts | None = None
        self._numbers: dict[str, int] | None = None
        self._paces: tuple[Pace, ...] | None = None
        self._views: dict[int, TaskView] = {}
        self._tasks: tuple[TaskView, ...] | None = None
        self._workers: tuple[WorkerView, ...] | None = None
        if raw is None:
            self._tasks = tuple(sorted(tasks, key=lambda task: task.serial))
            self._workers = tuple(workers)

    @classmethod
    def from_raw(
        cls,
        raw: Raw,
        *,
        rates: Rates | None = None,
        clock: Callable[[], float] = time.time,
    ) -> BoardView:
        """The view of a copy.

        rates: fills in the tasks' rates, which a copy from shared memory does not have.
        clock: seconds since 1970, for `age`.
        """
        if rates is not None:
            tasks = bytearray(raw.tasks)
            rates.update(tasks, raw.meta["taken_ns"])
            raw = raw._replace(tasks=tasks)
        return cls(raw.meta, raw=raw, clock=clock)

    @classmethod
    def of(
        cls,
        name: str,
        tasks: Iterable[TaskView],
        workers: Iterable[WorkerView] = (),
        *,
        taken_at: float,
        sequence: int = 0,
        gone: Mapping[str, int] | None = None,
        stall_after_ns: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> BoardView:
        """A view of tasks that are not in shared memory. It has no `array`.

        gone: how many tasks gave up their slot, by state; stall_after_ns: what was given for the board, 0 = nothing.
        """
        meta = {
            "name": name,
            "uuid": "",
            "taken_ns": int(taken_at * 1e9),
            "sequence": sequence,
            "gone": dict(gone or {}),
            "stall_after_ns": stall_after_ns,
        }
        return cls(meta, tasks=tasks, workers=workers, clock=clock)

    def __repr__(self) -> str:
        from headway.views.words import tally

        return f"<BoardView {self.name!r} {', '.join(tally(self.counts).values()) or 'no tasks'}>"

    def _repr_html_(self) -> str:
        from headway.views.html import board_html

        return board_html(self)

    def __len__(self) -> int:
        """How many tasks are on the board."""
        return self._length() if self._tasks is None else len(self._tasks)

    def __iter__(self) -> Iterator[TaskView]:
        """The tasks on the board, in the order in which they were created; those not yet decoded are not kept."""
        if self._tasks is not None:
            return iter(self._tasks)
        return (self._views.get(number) or self._decoded(number) for number in self._order())

    def __contains__(self, id: object) -> bool:
        """Is there a task of this id on the board?"""
        return isinstance(id, str) and self.get(id) is not None

    @property
    def meta(self) -> Mapping[str, Any]:
        """The board's meta data, as a snapshot file keeps them."""
        return MappingProxyType(self._meta)

    @property
    def name(self) -> str:
        """The board's name."""
        return str(self._meta["name"])

    @property
    def uuid(self) -> str:
        """The segment's id in hexadecimal digits; "" for a board without a segment."""
        return str(self._meta["uuid"])

    @property
    def sequence(self) -> int:
        """Grows from one snapshot of a board to the next."""
        return int(self._meta.get("sequence", 0))

    @property
    def dropped(self) -> int:
        """Ended tasks that gave up their slot before they were archived."""
        return int(self._meta.get("dropped", 0))

    @property
    def path(self) -> Path | None:
        """The file that this view was read from."""
        return Path(self._meta["path"]) if "path" in self._meta else None

    @property
    def from_prev(self) -> bool:
        """Was this read from the previous snapshot, because the last one could not be read?"""
        return bool(self._meta.get("from_prev", False))

    @property
    def taken_at(self) -> float:
        """When the copy was taken: seconds since 1970."""
        return float(self._meta["taken_ns"] / 1e9)

    @property
    def age(self) -> float:
        """Seconds from `taken_at` to now."""
        return max(0.0, self._clock() - self.taken_at)

    @property
    def stall_after(self) -> float | None:
        """What `headway.open` was given as stall_after; None: each task goes by its own rhythm."""
        ns = self._meta.get("stall_after_ns")  # older files lack it, and a file may hold anything
        if type(ns) is not int or not 0 < ns <= NEVER_NS:
            return None
        return math.inf if ns == NEVER_NS else ns / 1e9

    @property
    def raw(self) -> Raw:
        """The records. Raises Unsupported for a view that was made without shared memory."""
        if self._raw is None:
            raise Unsupported(f"board {self.name!r} is not in shared memory: it has no records. Use `tasks`")
        return self._raw

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """The tasks as one structured array, read only, over the bytes of the copy. Needs NumPy."""
        import numpy as np

        from headway.native.records import DTYPES

        array = np.frombuffer(self.raw.tasks, dtype=np.dtype(DTYPES["tasks"]))
        array.flags.writeable = False
        return array

    @property
    def tasks(self) -> tuple[TaskView, ...]:
        """All tasks, in the order in which they were created."""
        if self._tasks is None:
            self._tasks = tuple(map(self._view, self._order()))
        return self._tasks

    @property
    def workers(self) -> tuple[WorkerView, ...]:
        """The processes registered on the board."""
        if self._workers is None:
            from headway.native.records import RECORD_BYTES, shares_of_workers, task_ids, worker_fields

            raw = self.raw
            shares = self._decode(shares_of_workers, raw.shares, raw.tasks)
            ids = self._decode(task_ids, raw.tasks) if shares else []
            views = []
            for number in range(len(raw.workers) // RECORD_BYTES["workers"]):
                values = self._decode(worker_fields, raw.workers, number)
                beat, numbers, item, since, until, after = shares.get(values["incarnation"], _NO_SHARES)
                values.update(beat=beat, tasks=tuple(ids[at] for at in numbers), taken_at=self.taken_at)
                values.update(item=item, item_since=since, item_until=until, stall_after=after or STALL_AFTER_SECONDS)
                views.append(WorkerView(**values))
            self._workers = tuple(views)
        return self._workers

    def _ids(self) -> list[str]:
        if self._raw is None:
            return [task.id for task in self.tasks]
        from headway.native.records import task_ids

        found: list[str] = self._decode(task_ids, self._raw.tasks)
        return found

    def get(self, id: str) -> TaskView | None:
        """The task of this id, or None."""
        if self._numbers is None:
            if self._raw is None:
                self._views = dict(enumerate(self.tasks))
            self._numbers = {one: number for number, one in enumerate(self._ids())}
        number = self._numbers.get(id)
        return None if number is None else self._view(number)

    @property
    def counts(self) -> Counts:
        """How many tasks of this run are in each state, including those that gave up their slot on the board."""
        if self._counts is None:
            if self._raw is None:
                there = Counts.of(self.tasks)
                found = {**there, "stalled": there.stalled}
            else:
                from headway.native.scans import counts

                found = self._decode(counts, self._raw.tasks, self.taken_at)
            self._counts = Counts(**found) + gone_in(self._meta)
        return self._counts

    @property
    def time_left(self) -> TimeLeft:
        """When the running tasks can be expected to end."""
        if self._raw is not None and self.counts.running > SMALL and self._paces is None:
            from headway.views import columns

            return columns.time_left(self.array, self.taken_at, self.counts)
        return time_left((pace.left for pace in self.paces), self.counts)

    @property
    def paces(self) -> tuple[Pace, ...]:
        """The progress of the running tasks, by the number of their record, without decoding the tasks."""
        if self._paces is None:
            if self._raw is None:
                self._paces = tuple(
                    Pace(number, task.stalled, task.rate, task.eta)
                    for number, task in enumerate(self.tasks)
                    if task.state == "running"
                )
            else:
                from headway.native.scans import running

                self._paces = paces_of(self._decode(running, self._raw.tasks), self.taken_at)
        return self._paces

    def to_pandas(self) -> pd.DataFrame:
        """The tasks as a pandas DataFrame, a row each, by id; times are timestamps in UTC.

        Metrics have a column each, `metrics.NAME`; stages and workers are left out. Raises headway.errors.MissingExtra
        where pandas is not installed.
        """
        from headway.views.frame import frame_of

        return frame_of(self.tasks)

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types that JSON has."""
        return {name: list(one) if isinstance(one, Iterator) else one for name, one in parts_of(self).items()}

    def _view(self, number: int) -> TaskView:
        view = self._views.get(number)
        if view is None:
            view = self._views[number] = self._decoded(number)
        return view

    def _decoded(self, number: int) -> TaskView:
        return TaskView.from_raw(self.raw, number)

    def _length(self) -> int:
        from headway.native.records import RECORD_BYTES

        return len(self.raw.tasks) // RECORD_BYTES["tasks"]

    def _order(self) -> list[int]:
        """The numbers of the records, in the order in which the tasks were created."""
        from headway.native.scans import serials

        order = self._decode(serials, self.raw.tasks)
        return sorted(range(len(order)), key=order.__getitem__)

    def _decode(self, read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except ValueError as error:
            raise self.raw.damage(error) from None


def parts_of(view: BoardView) -> dict[str, Any]:
    """What `to_dict` returns, with iterators for the tasks and workers: a large board is written piece by piece."""
    values = dict(view.meta)
    values["worker_capacity"] = values.pop("workers", None)  # "workers" are the processes themselves
    return {
        **values,
        "taken_at": view.taken_at,
        "counts": view.counts.to_dict(),
        "time_left": asdict(view.time_left),
        "tasks": (task.to_dict() for task in view),
        "workers": (worker.to_dict() for worker in view.workers),
    }
