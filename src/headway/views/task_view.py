"""A frozen view of one task at one moment. See `headway.views.board_view` for whole boards."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.errors import CorruptBoard, DamagedSnapshot
from headway.tasks.metrics import Metrics
from headway.tasks.states import FINAL_STATES
from headway.views import numbers
from headway.views.durations import Durations
from headway.views.numbers import STALL_AFTER_SECONDS

__all__ = ["Durations", "Raw", "ShareView", "StageView", "TaskView", "in_hand_for"]


class Raw(NamedTuple):
    """One consistent copy of a board: its meta data, and arrays of records as bytes (record.h)."""

    meta: dict[str, Any]
    tasks: bytes | bytearray
    stages: bytes
    shares: bytes
    workers: bytes
    result_index: bytes
    results: bytes
    durations: bytes | None = b""  # None: a file of before, which did not time items

    @property
    def taken_at(self) -> float:
        """When the copy was taken."""
        return float(self.meta["taken_ns"] / 1e9)

    def damage(self, error: Exception) -> DamagedSnapshot | CorruptBoard:
        """The error to raise for a corrupt record of this copy."""
        if "path" in self.meta:
            return DamagedSnapshot(f"{self.meta['path']} is corrupt: {error}. Delete the file")
        name = self.meta.get("name")
        return CorruptBoard(
            f"the shared memory of board {name!r} is corrupt: {error}. End its processes and remove the board"
        )


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage that a task entered. `left` is None while the task is in it."""

    name: str
    entered: float | None
    left: float | None = None


@dataclass(frozen=True, slots=True)
class ShareView:
    """A process that counts, or counted, on a task. `count` is its share; None: it shared its place with others.

    item: what it has in hand, or had when it died, "" if it is not known; item_seconds: since it took that up. Of a
    process that died it is not known when: the time goes on until the task ends.
    """

    pid: int
    incarnation: int
    count: int | None
    beat: float | None
    alive: bool
    item: str = ""
    item_seconds: float | None = None


def _none() -> None:
    return None


@functools.cache  # an import statement takes a third of the time that a view takes to make
def _native() -> Callable[..., TaskView]:
    from headway.native.records import task_view

    return task_view


@dataclass(frozen=True, kw_only=True, repr=False)
class TaskView:
    """One task at one moment.

    Texts that were never set are "", times None. `rate` is in units a second, None while nothing is known of it, and 0
    while the task is stalled.
    `stall_after`: seconds without a sign of life after which it is stalled, as was given for it or for the board, else
    three times as long as its slowest item took so far, and 10 s at least; infinity: never.
    `workers` count on the task, or did so and ended in good order (then they are not `alive`; if several had the same
    counter in turn, only the last one is listed). `workers_lost` died while it ran. Once the task has ended, all are in
    `workers`. `durations`: how long its items took; None where that was not noted.
    """

    __module__ = "headway"

    id: str
    label: str = ""
    unit: str = ""
    parent: str | None = None
    state: str = "pending"
    count: int = 0
    total: int | None = None
    base: int = 0
    stage: str = ""
    message: str = ""
    error: str = ""
    metrics: Mapping[str, float] = field(default_factory=Metrics)  # made when first asked for, as those at the end
    rate: float | None = None
    created: float | None = None
    started: float | None = None
    ended: float | None = None
    stage_entered: float | None = None
    beat: float | None = None
    serial: int = 0
    owner: int = 0
    owner_pid: int = 0
    owner_alive: bool = False
    resumed_from: int | None = None
    stages_left_out: int = 0
    lost_left_out: int = 0
    taken_at: float = 0.0
    stall_after: float = STALL_AFTER_SECONDS
    # Made when first asked for; a factory instead of a default, so that the class has no such attribute.
    stages: tuple[StageView, ...] = field(default_factory=tuple)
    workers: tuple[ShareView, ...] = field(default_factory=tuple)
    workers_lost: tuple[ShareView, ...] = field(default_factory=tuple)
    result: Any = field(default_factory=_none)
    durations: Durations | None = field(default_factory=_none)

    @classmethod
    def from_raw(cls, raw: Raw, number: int = 0) -> TaskView:
        """The view of record `number`. Raises IndexError, and headway.errors.CorruptBoard or DamagedSnapshot."""
        try:
            return _native()(cls, raw, raw.tasks, number, raw.meta["taken_ns"] / 1e9)
        except ValueError as error:
            raise raw.damage(error) from None

    def __post_init__(self) -> None:
        if self.stalled:
            object.__setattr__(self, "rate", 0.0)

    if not TYPE_CHECKING:  # hidden from type checkers, which would accept any attribute name

        def __getattr__(self, name: str) -> Any:
            values = self.__dict__
            if name not in _LAZY or "_source" not in values:
                raise AttributeError(f"TaskView has no attribute {name!r}")
            raw, number = values["_source"]
            try:
                values.update(_LAZY[name](self, raw, number))
            except (ValueError, RecursionError) as error:
                raise raw.damage(error) from None
            return values[name]

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def __hash__(self) -> int:
        return hash((self.id, self.serial, self.taken_at))

    def __repr__(self) -> str:
        total = "" if self.total is None else f"/{self.total}"
        return f"<TaskView {self.id!r} {self.state} {self.count}{total} {self.unit}".rstrip() + ">"

    def _repr_html_(self) -> str:
        from headway.views.html import task_html

        return task_html(self)

    @property
    def final(self) -> bool:
        """Is the state final: success, failed, cancelled or lost?"""
        return self.state in FINAL_STATES

    @property
    def fraction(self) -> float | None:
        """How much of the total is counted, from 0 to 1; None without a total, or if the count is above it."""
        return numbers.fraction(self.count, self.total)

    @property
    def eta(self) -> float | None:
        """Seconds until the total is reached at the present rate; None if that is unknown."""
        return numbers.seconds_left(self.state, self.count, self.total, self.rate)

    @property
    def elapsed(self) -> float:
        """Seconds that this run has taken so far, or took; 0 before it began."""
        if self.started is None:
            return 0.0
        return max(0.0, (self.taken_at if self.ended is None else self.ended) - self.started)

    @property
    def idle(self) -> float | None:
        """Seconds since the last sign of life; None once the task has ended."""
        return None if self.final else numbers.idle(self.beat, self.started, self.created, self.taken_at)

    @property
    def stalled(self) -> bool:
        """Running, and without a sign of life for longer than `stall_after` seconds?"""
        return self.state == "running" and numbers.is_stalled(self.state, self.idle, self.stall_after)

    def to_dict(self) -> dict[str, Any]:
        """Everything, what is derived included, in types that JSON has. `error` of a lost task tells where it died."""
        from headway.views.words import error_told

        values = {one.name: getattr(self, one.name) for one in fields(self)}
        values["metrics"] = {name: _json_number(value) for name, value in self.metrics.items()}
        for name in ("stages", "workers", "workers_lost"):
            values[name] = [asdict(one) for one in values[name]]
        values["stall_after"] = _json_number(self.stall_after)
        values["durations"] = None if self.durations is None else self.durations.to_dict()
        values["error"] = error_told(self)
        for name in ("final", "fraction", "eta", "elapsed", "idle", "stalled"):
            values[name] = getattr(self, name)
        return values


def _json_number(value: float) -> float | None:
    """JSON has neither NaN nor infinity."""
    return value if math.isfinite(value) else None


def _number(digits: str) -> float | None:
    return _json_number(float(digits))


def _metrics(_view: TaskView, raw: Raw, number: int) -> dict[str, Any]:
    from headway.native.records import task_metrics

    return {"metrics": Metrics(task_metrics(raw.tasks, number))}


def _stages(view: TaskView, raw: Raw, number: int) -> dict[str, Any]:
    from headway.native.records import stage_rows

    rows = stage_rows(raw.stages, number)
    left = [entered for _, entered in rows[1:]] + [view.ended if view.final else None]
    return {"stages": tuple(StageView(*row, until) for row, until in zip(rows, left, strict=False))}


def _shares(view: TaskView, raw: Raw, number: int) -> dict[str, Any]:
    from headway.native.records import share_rows

    ended = view.final and view.state != "lost"
    workers: list[ShareView] = []
    lost: list[ShareView] = []
    for pid, incarnation, count, beat, alive, item, since in share_rows(raw.shares, number):
        took = in_hand_for(since, view.ended, view.taken_at)
        share = ShareView(pid, incarnation, count, beat, alive == 1, item, took)
        (workers if alive or ended else lost).append(share)
    return {"workers": tuple(workers), "workers_lost": tuple(lost)}


def in_hand_for(since: float | None, ended: float | None, taken_at: float) -> float | None:
    """Seconds that an item has been in hand, on a task that ended then, if it did. None where that is not known."""
    return None if since is None else max(0.0, (taken_at if ended is None else ended) - since)


def _result(_view: TaskView, raw: Raw, number: int) -> dict[str, Any]:
    from headway.native.records import result_place

    place = result_place(raw.result_index, number, len(raw.results))
    if place is None:
        return {"result": None}
    text = bytes(raw.results[slice(*place)])
    return {"result": json.loads(text, parse_constant=_number, parse_float=_number)}


def _durations(view: TaskView, raw: Raw, number: int) -> dict[str, Any]:
    from headway.native.records import duration_row

    if raw.durations is None:
        return {"durations": None}
    counts, items, slowest, item, untimed = duration_row(raw.durations, number) or ((), 0, 0.0, "", False)
    if untimed and not any(counts):
        return {"durations": None}
    return {"durations": Durations(counts, 0 if untimed else max(0, view.count - items), slowest, item)}


_LAZY: dict[str, Callable[[TaskView, Raw, int], dict[str, Any]]] = {
    "metrics": _metrics,
    "stages": _stages,
    "workers": _shares,
    "workers_lost": _shares,
    "result": _result,
    "durations": _durations,
}
