"""What an analysis found, and how far it has got: data classes that become plain JSON and come back checked.

The names, fields and defaults are those of programs that were written before; they stay as they are. The objects may be
changed by who holds them: a tracker stores copies and hands out copies.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from typing import Any, Self, TypeAlias, get_type_hints

from headway import errors
from headway.native import core
from headway.tasks.results import dump_result

__all__ = [
    "RESULTS",
    "AnalysisProgress",
    "LeverageDecisionResult",
    "MLPredictionResult",
    "MarketContextResult",
    "Result",
    "SupportResistanceResult",
    "check_id",
    "check_text",
]

Levels: TypeAlias = list[dict[str, Any]]


def check_id(execution_id: object) -> str:
    """Return an execution id if it is one: 1 to 95 bytes of UTF-8 without NUL. Raises ValueError for anything else."""
    if not isinstance(execution_id, str):
        raise ValueError(f"execution id {execution_id!r} is no text: give 1 to 95 bytes of UTF-8 without NUL")
    plain = str.__str__(execution_id)  # of an enumeration of texts its value
    core.check_id(plain)
    return plain


def check_text(text: object, what: str) -> str:
    """Return a text as a plain str that UTF-8 can hold. Raises TypeError for anything but a str."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {type(text).__name__}: {text!r:.60}")
    plain = str.__str__(text)
    return plain if plain.isascii() else plain.encode("utf-8", "replace").decode()


class _Record:
    """What the data classes share: JSON out, JSON in, and a schema of it, all read off their fields."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in types that JSON has: times in ISO format, numbers that are none (NaN, infinity) as None.

        Raises TypeError for what JSON cannot hold.
        """
        return {one.name: _plain(getattr(self, one.name)) for one in fields(self)}  # type: ignore[arg-type]

    def copy(self) -> Self:
        """Return a copy that shares nothing with this one that could change."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        for name, value in values.items():
            if isinstance(value, _Record):
                values[name] = value.copy()
            elif isinstance(value, list):
                values[name] = copy.deepcopy(value)
        return type(self)(**values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make one from what to_dict gave. A field that is missing or None takes its default, unknown ones are ignored.

        Raises InvalidRecord (a ValueError) that names the field whose value cannot be.
        """
        if not isinstance(values, Mapping):
            raise errors.InvalidRecord(f"{values!r:.60} is no {cls.__name__}: give an object as to_dict returns it")
        found = {}
        for one in fields(cls):  # type: ignore[arg-type]
            value = values.get(one.name)
            if value is not None or (_kinds(cls)[one.name] is float and one.name in values):
                found[one.name] = _checked(cls, one.name, value)
            elif one.default is MISSING and one.default_factory is MISSING:
                raise errors.InvalidRecord(f"{cls.__name__} lacks {one.name!r}: give an object as to_dict returns it")
        return cls(**found)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) of what to_dict returns."""
        properties = {name: _schema_of(kind) for name, kind in _kinds(cls).items()}
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
    """The leverage that is advised, and how sure that is."""

    status: str
    recommended_leverage: float = 0.0
    confidence_level: float = 0.0
    risk_reward_ratio: float = 0.0
    error_message: str = ""


Result: TypeAlias = SupportResistanceResult | MLPredictionResult | MarketContextResult | LeverageDecisionResult


@dataclass
class AnalysisProgress(_Record):
    """One analysis: how far it is, what it found, how it ended.

    start_time: local time. A result that was not given yet has the status "pending".
    """

    symbol: str
    execution_id: str
    start_time: datetime
    current_stage: str = "initializing"
    overall_status: str = "running"
    support_resistance: SupportResistanceResult = field(default_factory=lambda: SupportResistanceResult("pending"))
    ml_prediction: MLPredictionResult = field(default_factory=lambda: MLPredictionResult("pending"))
    market_context: MarketContextResult = field(default_factory=lambda: MarketContextResult("pending"))
    leverage_decision: LeverageDecisionResult = field(default_factory=lambda: LeverageDecisionResult("pending"))
    final_signal: str = "analyzing"
    failure_stage: str = ""
    final_message: str = ""


RESULTS: dict[str, type[Result]] = {
    "support_resistance": SupportResistanceResult,
    "ml_prediction": MLPredictionResult,
    "market_context": MarketContextResult,
    "leverage_decision": LeverageDecisionResult,
}

# ------------------------------------------------------------------------------------------------- values of fields


_known_kinds: dict[Any, dict[str, Any]] = {}


def _kinds(cls: Any) -> dict[str, Any]:
    """The types of the fields of a class."""
    if cls not in _known_kinds:
        hints = get_type_hints(cls)
        _known_kinds[cls] = {one.name: hints[one.name] for one in fields(cls)}
    return _known_kinds[cls]


def _plain(value: Any) -> Any:
    if value is None or type(value) in (int, bool):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return check_text(value, "text")
    if isinstance(value, _Record):
        return value.to_dict()
    if isinstance(value, datetime):
        return value.isoformat()
    return json.loads(dump_result(value))


def _checked(cls: type[_Record], name: str, value: Any) -> Any:
    kind = _kinds(cls)[name]
    try:
        return _converted(kind, value)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, errors.InvalidRecord):
            raise
        wanted = getattr(kind, "__name__", str(kind))
        raise errors.InvalidRecord(f"{cls.__name__}.{name} cannot be {value!r:.60}: give {wanted}") from None


def _converted(kind: Any, value: Any) -> Any:
    """A value as its field holds it. None only comes for numbers: JSON has no NaN."""
    if kind is str:
        return check_text(value, "text")
    if kind is datetime:
        return value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if kind is float:
        if isinstance(value, str):
            raise TypeError
        return math.nan if value is None else float(value)
    if kind is int:
        if isinstance(value, str) or value != int(value):
            raise TypeError
        return int(value)
    if kind == Levels:
        if not isinstance(value, list) or not all(isinstance(level, dict) for level in value):
            raise TypeError
        return [dict(level) for level in value]
    return value if isinstance(value, kind) else kind.from_dict(value)


def _schema_of(kind: Any) -> dict[str, Any]:
    if kind == Levels:
        return {"type": "array", "items": {"type": "object"}}
    if isinstance(kind, type) and issubclass(kind, _Record):
        return {name: value for name, value in kind.schema().items() if name != "$schema"}
    names = {str: "string", int: "integer", float: ["number", "null"], datetime: "string"}
    return {"type": names[kind]}
