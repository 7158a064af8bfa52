"""What an analysis found, and how far it has got: data classes that become plain JSON and come back.

Old programs rely on the names, fields and defaults, so these do not change. A program may change the objects that it
has: a tracker stores copies and returns copies.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self, TypeAlias

from headway import errors
from headway.analysis.values import encodable, encode, levels_of, members_of, number_of, plain, text_of

__all__ = [
    "RESULTS",
    "AnalysisProgress",
    "LeverageDecisionResult",
    "MLPredictionResult",
    "MarketContextResult",
    "Result",
    "SupportResistanceResult",
    "encoded_result",
    "local_time",
    "result_of",
    "taken_result",
]

Levels: TypeAlias = list[Any]
PENDING = "pending"  # the status of a result that was not stored yet


class _Record:
    """The base of the data classes. Fields that a class does not have are kept in `_more`, and read as attributes."""

    def __getattr__(self, name: str) -> Any:
        more = self.__dict__.get("_more")
        if more is not None and name in more:
            return more[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in types that JSON has: times in ISO format, NaN and infinity as None.

        Additional fields that the class does not have come last.
        """
        own = self.__dict__
        names = _NAMES[_class_of(self)]
        found = {name: _plain_field(kind, own.get(name)) for name, kind in names.items()}
        for name, value in own.items():
            if name not in names and name != "_more":
                found[name] = plain(value)
        for name, value in own.get("_more", {}).items():
            found.setdefault(name, plain(value))
        return found

    def copy(self) -> Self:
        """Return a copy that shares no mutable object with this one."""
        cls = type(self)
        one = cls.__new__(cls)
        values = one.__dict__
        values.update(self.__dict__)
        for name in _CHANGING.get(cls, values) if len(values) == len(_NAMES.get(cls, ())) else values:
            value = values[name]
            if isinstance(value, _Record):
                values[name] = value.copy()
            elif value and isinstance(value, list | dict):
                values[name] = _fresh(value)
        return one

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make an object from what to_dict returned. A missing field gets its default, unknown ones are kept.

        Raises headway.errors.InvalidRecord (a ValueError) if `values` is not such a record.
        """
        if not isinstance(values, Mapping):
            raise errors.InvalidRecord(f"{values!r:.60} is no {cls.__name__}: give an object as to_dict returns it")
        return cls._taken(values)

    @classmethod
    def _taken(cls, values: Mapping[str, Any]) -> Self:
        names = _NAMES[cls]
        if names.keys().isdisjoint(values):
            raise errors.InvalidRecord(f"{cls.__name__} has none of its fields: give an object as to_dict returns it")
        one = cls.__new__(cls)
        own = one.__dict__
        for name, kind in names.items():
            own[name] = _taken_field(kind, values[name]) if name in values else _DEFAULTS[kind]()
        if "status" in names and "status" not in values:
            own["status"] = PENDING
        if len(values) > len(names) or not names.keys() >= values.keys():
            more = {key: plain(value) for key, value in values.items() if key not in names}
            if more:
                own["_more"] = more
        return one

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) of what to_dict returns, for values of the types of the fields."""
        properties = {name: _schema_of(kind) for name, kind in _NAMES[cls].items()}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": cls.__name__,
            "type": "object",
            "properties": properties,
            "required": list(properties),
        }


@dataclass
class SupportResistanceResult(_Record):
    """Price levels that were found. supports, resistances: objects such as {"price": 100.0, "strength": 0.8}."""

    status: str
    supports_count: int = 0
    resistances_count: int = 0
    supports: Levels = field(default_factory=list)
    resistances: Levels = field(default_factory=list)
    error_message: str = ""

    def __post_init__(self) -> None:
        own = self.__dict__  # old programs give None for an empty list
        if own["supports"] is None:
            own["supports"] = []
        if own["resistances"] is None:
            own["resistances"] = []


@dataclass
class MLPredictionResult(_Record):
    """What a model predicted."""

    status: str
    predictions_count: int = 0
    confidence: float = 0.0
    error_message: str = ""


@dataclass
class MarketContextResult(_Record):
    """The trend, and the phase of the market."""

    status: str
    trend_direction: str = ""
    market_phase: str = ""
    error_message: str = ""


@dataclass
class LeverageDecisionResult(_Record):
    """The recommended leverage, and the confidence in it."""

    status: str
    recommended_leverage: float = 0.0
    confidence_level: float = 0.0
    risk_reward_ratio: float = 0.0
    error_message: str = ""


Result: TypeAlias = SupportResistanceResult | MLPredictionResult | MarketContextResult | LeverageDecisionResult


@dataclass
class AnalysisProgress(_Record):
    """One analysis: how far it has got, what it found, how it ended.

    start_time: local time. A result that was not stored yet has the status "pending".
    """

    symbol: str
    execution_id: str
    start_time: datetime
    current_stage: str = "initializing"
    overall_status: str = "running"
    support_resistance: SupportResistanceResult = field(default_factory=lambda: SupportResistanceResult(PENDING))
    ml_prediction: MLPredictionResult = field(default_factory=lambda: MLPredictionResult(PENDING))
    market_context: MarketContextResult = field(default_factory=lambda: MarketContextResult(PENDING))
    leverage_decision: LeverageDecisionResult = field(default_factory=lambda: LeverageDecisionResult(PENDING))
    final_signal: str = "analyzing"
    failure_stage: str = ""
    final_message: str = ""

    @classmethod
    def _taken(cls, values: Mapping[str, Any]) -> Self:
        for name in ("symbol", "execution_id", "start_time"):
            if values.get(name) is None:
                raise errors.InvalidRecord(f"{cls.__name__} lacks {name!r}: give an object as to_dict returns it")
        names = _NAMES[AnalysisProgress]
        if cls is AnalysisProgress and tuple(map(type, values.values())) == _WRITTEN and values.keys() == names.keys():
            one = cls.__new__(cls)  # as to_dict wrote it
            own = one.__dict__
            own.update(encodable(values))
            own["start_time"] = local_time(own["start_time"])
            for name in RESULTS:
                own[name] = taken_result(name, own[name])
            return one
        one = super()._taken(values)
        for name, default in _TEXTS.items():
            if values.get(name) is None:
                one.__dict__[name] = default
        return one


RESULTS: dict[str, type[Result]] = {
    "support_resistance": SupportResistanceResult,
    "ml_prediction": MLPredictionResult,
    "market_context": MarketContextResult,
    "leverage_decision": LeverageDecisionResult,
}
_KINDS = {"str": str, "int": int, "float": float, "Levels": list, "datetime": datetime} | {
    cls.__name__: cls for cls in RESULTS.values()
}
_HELD = {list, *RESULTS.values()}
_NAMES: dict[type, dict[str, Any]] = {  # of each class: its fields and their kinds
    cls: {one.name: _KINDS[str(one.type)] for one in fields(cls)} for cls in (AnalysisProgress, *RESULTS.values())
}
_CHANGING = {cls: [name for name, kind in names.items() if kind in _HELD] for cls, names in _NAMES.items()}
_TYPES = {cls: tuple(names.values()) for cls, names in _NAMES.items()}
_DEFAULTS: dict[Any, Any] = {str: str, int: int, float: float, list: list} | {
    cls: lambda cls=cls: cls(PENDING) for cls in RESULTS.values()
}
_WRITTEN = tuple(  # the types of a record's values in JSON
    str if kind in (str, datetime) else dict for kind in _TYPES[AnalysisProgress]
)
_TEXTS = {one.name: one.default for one in fields(AnalysisProgress) if isinstance(one.default, str)}


def _class_of(one: _Record) -> type:
    """The class of this module that an object is an instance of."""
    kind = type(one)
    return kind if kind in _NAMES else next(base for base in kind.__mro__ if base in _NAMES)


# ---------------------------------------------------------------------------------------------------------- results


def result_of(name: str, result: object) -> Any:
    """A result in plain types, from any data class, named tuple, mapping or object that has fields of this result.

    Raises TypeError if it has none of them.
    """
    cls = RESULTS[name]
    return cls._taken(_members(cls, name, result))


def encoded_result(name: str, result: object) -> bytes:
    """The JSON of a result, by the same rules. Raises TypeError if it has none of the fields."""
    cls = RESULTS[name]
    if type(result) is cls and tuple(map(type, result.__dict__.values())) == _TYPES[cls]:  # all types are right
        return encode(result.__dict__)
    return encode(result_of(name, result).to_dict())


def _members(cls: type[_Record], name: str, result: object) -> dict[str, Any]:
    found = members_of(result, _NAMES[cls])
    if found is None:
        raise TypeError(
            f"{name} is {result!r:.60}: give an object, a data class or a mapping with fields such as "
            f"{', '.join(list(_NAMES[cls])[:3])}"
        )
    if isinstance(result, _Record):
        found |= result.__dict__.get("_more", {})
    return found


def taken_result(name: str, values: Any) -> Any:
    """A result from its decoded JSON, which it takes over. None gives a pending one. Raises InvalidRecord."""
    cls = RESULTS[name]
    if values is None:
        return cls(PENDING)
    if (
        type(values) is dict
        and tuple(map(type, values.values())) == _TYPES[cls]
        and values.keys() == _NAMES[cls].keys()
    ):
        one = cls.__new__(cls)
        one.__dict__.update(encodable(values))
        return one
    return cls.from_dict(values)


# ------------------------------------------------------------------------------------------------- values of fields


def local_time(value: Any) -> datetime:
    """A time in local time without an offset, as programs compare it with datetime.now(). Raises InvalidRecord."""
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return found if found.tzinfo is None else found.astimezone().replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError, OSError):
        raise errors.InvalidRecord(f"start_time cannot be {value!r:.60}: give a time in ISO format") from None


def _taken_field(kind: Any, value: Any) -> Any:
    """A value as its field holds it."""
    if kind is str:
        return text_of(value)
    if kind is int or kind is float:
        return number_of(value, whole=kind is int)
    if kind is list:
        return levels_of(value)
    if kind is datetime:
        return local_time(value)
    if isinstance(value, kind):
        return value.copy()
    return kind(PENDING) if value is None else kind.from_dict(value)


def _plain_field(kind: Any, value: Any) -> Any:
    """The value of a field in types that JSON has, whatever a program has put there."""
    if type(value) is kind and kind in (str, int, float):  # as nearly always
        return plain(value)
    if kind is datetime:
        return local_time(value).isoformat() if isinstance(value, datetime) else plain(value)
    if isinstance(value, _Record):
        return value.to_dict()
    if kind in (str, int, float, list):
        return plain(_taken_field(kind, value))
    return plain(value)


def _fresh(value: Any) -> Any:
    """A copy of lists and dicts, and of those in them."""
    try:
        return marshal.loads(marshal.dumps(value))
    except ValueError:  # an object of a foreign class
        import copy

        return copy.deepcopy(value)


def _schema_of(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, _Record):
        return {name: value for name, value in kind.schema().items() if name != "$schema"}
    if kind is list:
        return {"type": "array"}
    names = {str: "string", int: "integer", float: ["number", "null"], datetime: "string"}
    return {"type": names[kind]}
