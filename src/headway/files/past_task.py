"""A task of the history: as a view, and as a row of the database. Part of `headway.files.history`.

The columns have the names of the view's fields. Numbers and texts have columns of their own, so that SQL can query
them; lists and dicts are stored as JSON. Everything that is read is checked: an impossible value raises ValueError.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from headway.errors import CorruptBoard, DamagedSnapshot
from headway.tasks.states import FINAL_STATES
from headway.views.board_view import Raw, ShareView, StageView, TaskView
from headway.views.durations import KINDS, Durations
from headway.views.frame import frame_of
from headway.views.html import tasks_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "NO_SERIES", "PastTask", "PastTasks", "decode", "encode"]

NO_SERIES = "[[], []]"
_TIME_MAX = 2**63 / 1e9  # seconds; the range of a signed 64-bit count of nanoseconds


@dataclass(frozen=True, kw_only=True, repr=False)
class PastTask(TaskView):
    """A task from the history, ended or lost: a TaskView of its last moment, and its place on the board.

    uuid, slot, generation: its place, which no other task ever has; archived: when it was added to the history, in
    seconds since 1970; series: how its count grew, as points (seconds since 1970, count), () if no recorder ran.
    """

    uuid: str
    slot: int
    generation: int
    archived: float
    series: tuple[tuple[float, int], ...] = ()

    def __hash__(self) -> int:
        return hash((self.uuid, self.slot, self.generation, self.taken_at))

    def __repr__(self) -> str:
        return super().__repr__().replace("TaskView", "PastTask", 1)

    def to_dict(self) -> dict[str, Any]:
        """All fields and derived values, as JSON types."""
        return {**super().to_dict(), "series": [list(point) for point in self.series]}


class PastTasks(list[PastTask]):
    """Tasks of the history, the newest first: a list that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return tasks_html(self)

    def to_pandas(self) -> pd.DataFrame:
        """The tasks as a pandas DataFrame, as BoardView.to_pandas. Raises headway.errors.MissingExtra."""
        return frame_of(self)


# ---------------------------------------------------------------------------------------------------------- columns
# For each column: its SQL type, the function that writes a value, and the function that reads and checks it.


def _same(value: Any) -> Any:
    return value


def _expect(good: bool, value: object) -> None:
    if not good:
        raise ValueError(f"it holds {value!r:.60}")


# Those that read most values do without `_expect`: a call more for each would be a fifth of reading a row.


def _text(value: Any) -> str:
    if type(value) is not str:
        _expect(False, value)
    return str(value)


def _integer(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**64:
        _expect(False, value)
    return int(value)


def _signed(value: int) -> int:
    """The board has unsigned 64-bit numbers, SQLite signed ones."""
    return value - 2**64 if value >= 2**63 else value


def _unsigned(value: Any) -> int:
    return _integer(value) % 2**64


def _flag(value: Any) -> bool:
    _expect(value in (0, 1), value)
    return bool(value)


def _real(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        _expect(False, value)
    return float(value)


def _time(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _TIME_MAX:  # nor NaN
        _expect(False, value)
    return float(value)


def _state(value: Any) -> str:
    _expect(value in FINAL_STATES, value)
    return str(value)


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _rows(
    text: Any, *kinds: Callable[[Any], Any], some: tuple[Callable[[Any], Any], ...] = ()
) -> Iterable[tuple[Any, ...]]:
    """some: further values, which rows of older versions do not have."""
    rows = [] if text == "[]" else _load(text)
    _expect(isinstance(rows, list), rows)
    for row in rows:
        _expect(isinstance(row, list) and len(row) in (len(kinds), len(kinds) + len(some)), row)
        yield tuple(read(one) for read, one in zip((*kinds, *some), row, strict=False))


def _constant(name: str) -> Any:
    raise ValueError(f"its JSON holds {name}")


def _number(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


_JSON = json.JSONDecoder(parse_constant=_constant)
_RESULT = json.JSONDecoder(parse_float=_number, parse_constant=_number)  # as TaskView.result is read


def _load(text: Any, decoder: json.JSONDecoder = _JSON) -> Any:
    try:
        return decoder.decode(_text(text))
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


def _json_metric(value: Any) -> Any:
    """JSON has neither NaN nor infinity."""
    return value if math.isfinite(value) else repr(value)


def _metrics(text: Any) -> dict[str, float]:
    values = _load(text)
    _expect(isinstance(values, dict), values)
    return {name: float(value) if value in ("nan", "inf", "-inf") else _real(value) for name, value in values.items()}


def _result(text: Any) -> Any:
    return _load(text, _RESULT)


def _stages(text: Any) -> tuple[StageView, ...]:
    return tuple(StageView(*row) for row in _rows(text, _text, _optional(_time), _optional(_time)))


def _workers(text: Any) -> tuple[ShareView, ...]:
    kinds = (_integer, _integer, _optional(_integer), _optional(_time), _flag)
    return tuple(ShareView(*row) for row in _rows(text, *kinds, some=(_text, _optional(_time))))


def _durations(text: Any) -> Durations | None:
    """ "": the version that wrote the row did not time items."""
    if text == "":
        return None
    row = _load(text)
    _expect(isinstance(row, list) and len(row) == 4, row)
    counts, quick, slowest, item = row
    _expect(isinstance(counts, list) and len(counts) in (0, KINDS), counts)
    return Durations(tuple(map(_natural, counts)), _natural(quick), _time(slowest), _text(item))


def _natural(value: Any) -> int:
    _expect(_integer(value) >= 0, value)
    return int(value)


def _columns(series: Sequence[tuple[float, int]]) -> str:
    """JSON of the times, then of the counts: two lists of numbers are parsed faster than many pairs."""
    text = json.dumps([list(column) for column in zip(*series, strict=True)]) if series else NO_SERIES
    _series(text)  # checked, as it comes from a caller: nothing unreadable is written
    return text


def _series(text: Any) -> tuple[tuple[float, int], ...]:
    columns = _load(text)
    _expect(isinstance(columns, list) and len(columns) == 2, columns)
    times, counts = columns
    for column, read in ((times, _time), (counts, _integer)):
        _expect(isinstance(column, list) and set(map(type, column)) <= {int, float}, column)
        if column:  # if the least and the greatest are in range, all are
            read(min(column)), read(max(column))
    _expect(len(times) == len(counts) and set(map(type, counts)) <= {int}, columns)
    return tuple(zip(map(float, times), counts, strict=True))


# `dataclasses.astuple` copies every value, which took a fifth of archiving a task.
_share = attrgetter(*(field.name for field in dataclasses.fields(ShareView)))


def _listed(shares: Iterable[ShareView]) -> str:
    return json.dumps(list(map(_share, shares)))


def _timed(durations: Durations | None) -> str:
    if durations is None:
        return ""
    return json.dumps([list(durations.counts), durations.quick, durations.slowest, durations.item])


_TEXT = ("TEXT NOT NULL", _same, _text)
_INTEGER = ("INTEGER NOT NULL", _same, _integer)
_UNSIGNED = ("INTEGER NOT NULL", _signed, _unsigned)
_INTEGER_OR_NOT = ("INTEGER", _same, _optional(_integer))
_TIME = ("REAL NOT NULL", _same, _time)
_TIME_OR_NOT = ("REAL", _same, _optional(_time))
_SHARES = ("TEXT NOT NULL", _listed, _workers)

_FIELDS: dict[str, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "uuid": _TEXT,
    "slot": _INTEGER,
    "generation": _UNSIGNED,
    "archived": _TIME,
    "id": _TEXT,
    "label": _TEXT,
    "unit": _TEXT,
    "parent": ("TEXT", _same, _optional(_text)),
    "state": ("TEXT NOT NULL", _same, _state),
    "count": _INTEGER,
    "total": _INTEGER_OR_NOT,
    "base": _INTEGER,
    "stage": _TEXT,
    "message": _TEXT,
    "error": _TEXT,
    "metrics": (
        "TEXT NOT NULL",
        lambda metrics: json.dumps({name: _json_metric(value) for name, value in metrics.items()}),
        _metrics,
    ),
    "rate": ("REAL", _same, _optional(_real)),
    "created": _TIME_OR_NOT,
    "started": _TIME_OR_NOT,
    "ended": _TIME_OR_NOT,
    "stage_entered": _TIME_OR_NOT,
    "beat": _TIME_OR_NOT,
    "serial": _UNSIGNED,
    "owner": _UNSIGNED,
    "owner_pid": _INTEGER,
    "owner_alive": ("INTEGER NOT NULL", int, _flag),
    "resumed_from": _INTEGER_OR_NOT,
    "stages_left_out": _INTEGER,
    "lost_left_out": _INTEGER,
    "taken_at": _TIME,
    "stages": (
        "TEXT NOT NULL",
        lambda stages: json.dumps([[stage.name, stage.entered, stage.left] for stage in stages]),
        _stages,
    ),
    "workers": _SHARES,
    "workers_lost": _SHARES,
    "result": ("TEXT", _same, _optional(_result)),
    "series": ("TEXT NOT NULL", _columns, _series),
    "durations": ("TEXT NOT NULL DEFAULT ''", _timed, _durations),  # last, where version 4 added it
}
COLUMNS = {name: sql for name, (sql, _, _) in _FIELDS.items()}


def encode(raw: Raw, number: int, series: Sequence[tuple[float, int]], archived: float) -> dict[str, Any]:
    """The row for record `number` of a copy: values by column, and `version`, which orders copies of the same task.

    A damaged result, one that is not JSON, is left out. Raises ValueError for a task that has not ended and for an
    impossible series, IndexError, and CorruptBoard or DamagedSnapshot for an impossible record.
    """
    from headway.native.records import task_place

    view = TaskView.from_raw(raw, number)
    if not view.final:
        raise ValueError(f"task {view.id!r} is {view.state}: only tasks that have ended, or were lost, are archived")
    slot, generation, version = task_place(raw.tasks, number)
    more = {
        "uuid": raw.meta["uuid"],
        "slot": slot,
        "generation": generation,
        "archived": archived,
        "result": _result_text(view),
        "series": series,
    }
    row = {name: write(more[name] if name in more else getattr(view, name)) for name, (_, write, _) in _FIELDS.items()}
    return row | {"version": _signed(version)}


def _result_text(view: TaskView) -> str | None:
    try:
        return None if view.result is None else json.dumps(view.result)
    except (CorruptBoard, DamagedSnapshot, RecursionError):
        return None


def decode(row: Sequence[Any]) -> PastTask:
    """The task of a row, whose values are in the order of COLUMNS. Raises ValueError, which names the bad column."""
    values = {}
    for (name, (_, _, read)), value in zip(_FIELDS.items(), row, strict=True):
        try:
            values[name] = read(value)
        except ValueError as error:
            raise ValueError(f"column {name} of a task: {error}") from None
    return PastTask(**values)
