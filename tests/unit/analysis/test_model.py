"""The data of an analysis: plain JSON out, checked JSON in, a schema that tells what it is, pickles."""

from __future__ import annotations

import copy
import json
import math
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from headway import errors
from headway.analysis import (
    AnalysisProgress,
    LeverageDecisionResult,
    MarketContextResult,
    MLPredictionResult,
    SupportResistanceResult,
)
from headway.analysis.model import RESULTS

if TYPE_CHECKING:
    from collections.abc import Callable

BEGAN = datetime(2024, 3, 31, 2, 30, 0, 123456)  # noqa: DTZ001 - local time, as start_time is
CLASSES = [AnalysisProgress, *RESULTS.values()]

texts = st.text(st.characters(codec="utf-8"))
numbers = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | texts, st.lists, max_leaves=4)
levels = st.lists(st.dictionaries(texts, plain, max_size=3), max_size=3)
analyses = st.builds(
    AnalysisProgress,
    texts,
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
    st.datetimes(),
    texts,
    st.sampled_from(["running", "success", "failed"]),
    st.builds(SupportResistanceResult, texts, st.integers(), st.integers(), levels, levels, texts),
    st.builds(MLPredictionResult, texts, st.integers(), numbers, texts),
    st.builds(MarketContextResult, texts, texts, texts, texts),
    st.builds(LeverageDecisionResult, texts, numbers, numbers, numbers, texts),
    texts,
    texts,
    texts,
)


def analysis() -> AnalysisProgress:
    return AnalysisProgress("BTC", "one", BEGAN)


def test_the_fields_and_their_defaults_are_those_of_older_programs() -> None:
    assert analysis().to_dict() == {
        "symbol": "BTC",
        "execution_id": "one",
        "start_time": "2024-03-31T02:30:00.123456",
        "current_stage": "initializing",
        "overall_status": "running",
        "support_resistance": {
            "status": "pending",
            "supports_count": 0,
            "resistances_count": 0,
            "supports": [],
            "resistances": [],
            "error_message": "",
        },
        "ml_prediction": {"status": "pending", "predictions_count": 0, "confidence": 0.0, "error_message": ""},
        "market_context": {"status": "pending", "trend_direction": "", "market_phase": "", "error_message": ""},
        "leverage_decision": {
            "status": "pending",
            "recommended_leverage": 0.0,
            "confidence_level": 0.0,
            "risk_reward_ratio": 0.0,
            "error_message": "",
        },
        "final_signal": "analyzing",
        "failure_stage": "",
        "final_message": "",
    }


def test_every_instance_has_lists_of_its_own() -> None:
    first, second = SupportResistanceResult("ok"), SupportResistanceResult("ok")
    first.supports.append({"price": 1.0})
    assert second.supports == []
    assert analysis().support_resistance is not analysis().support_resistance


@given(analyses)
def test_json_goes_out_and_comes_back(one: AnalysisProgress) -> None:
    values = json.loads(json.dumps(one.to_dict(), allow_nan=False))
    assert values == one.to_dict()
    back = AnalysisProgress.from_dict(values)
    assert back == one
    assert type(back.ml_prediction.confidence) is float
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one.copy() == one


@given(analyses)
def test_what_comes_out_is_what_the_schema_says(one: AnalysisProgress) -> None:
    Draft202012Validator(AnalysisProgress.schema()).validate(one.to_dict())


@pytest.mark.parametrize("cls", CLASSES)
def test_the_schema_is_one_and_refuses_what_is_none(cls: Any) -> None:
    Draft202012Validator.check_schema(cls.schema())
    validator = Draft202012Validator(cls.schema())
    values = (analysis() if cls is AnalysisProgress else cls("ok")).to_dict()
    assert validator.is_valid(values)
    assert set(cls.schema()["properties"]) == set(values)
    for name in values:
        assert not validator.is_valid({key: value for key, value in values.items() if key != name})
        assert not validator.is_valid({**values, name: object})


def test_a_schema_knows_that_there_are_numbers_that_json_has_not() -> None:
    one = MLPredictionResult("ok", 1, math.nan)
    assert one.to_dict()["confidence"] is None
    Draft202012Validator(MLPredictionResult.schema()).validate(one.to_dict())
    assert math.isnan(MLPredictionResult.from_dict(one.to_dict()).confidence)


def test_numpy_becomes_plain() -> None:
    found: Any = [{"price": np.float32(0.5), "at": np.array([1, 2])}]
    one: Any = SupportResistanceResult("ok", np.int64(3), 0, found)  # type: ignore[arg-type]
    assert json.loads(json.dumps(one.to_dict()))["supports"] == [{"price": 0.5, "at": [1, 2]}]
    assert one.to_dict()["supports_count"] == 3


def test_what_json_cannot_hold_is_told_as_text() -> None:
    levels = [{"at": range, "of": datetime(2024, 1, 2, 3)}]  # noqa: DTZ001 - local time
    found = SupportResistanceResult("ok", supports=levels).to_dict()
    assert found["supports"] == [{"at": "<class 'range'>", "of": "2024-01-02T03:00:00"}]
    assert SupportResistanceResult("ok", supports=None, resistances=None).supports == []  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("values", [None, 5, "text", [], {}])
def test_what_is_no_record_is_refused(cls: Any, values: Any) -> None:
    with pytest.raises(errors.InvalidRecord, match="to_dict"):
        cls.from_dict(values)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"symbol": None}, "symbol"),
        ({"execution_id": None}, "execution_id"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"start_time": 5}, "start_time"),
        ({"support_resistance": "text"}, "SupportResistanceResult"),
        ({"support_resistance": {"price": 5}}, "SupportResistanceResult"),
    ],
)
def test_what_no_record_can_hold_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(errors.InvalidRecord, match=named) as caught:
        AnalysisProgress.from_dict({**analysis().to_dict(), **change})
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("predictions_count", "3", 3),
        ("predictions_count", 3.0, 3),
        ("predictions_count", "many", "many"),
        ("predictions_count", 1.5, 1.5),
        ("predictions_count", None, 0),
        ("predictions_count", math.inf, 0),
        ("confidence", "0.5", 0.5),
        ("confidence", 1, 1.0),
        ("confidence", "high", "high"),
        ("confidence", 10**400, 10**400),
        ("status", None, ""),
        ("error_message", ["a"], "['a']"),
    ],
)
def test_a_value_of_another_type_becomes_what_its_field_is_where_it_can(name: str, given: Any, found: Any) -> None:
    one = MLPredictionResult.from_dict({"status": "ok", name: given})
    assert getattr(one, name) == found
    assert type(getattr(one, name)) is type(found)


def test_fields_that_are_missing_take_their_defaults_and_unknown_ones_are_kept() -> None:
    least = {"symbol": "BTC", "execution_id": "one", "start_time": BEGAN.isoformat()}
    assert AnalysisProgress.from_dict(least) == analysis()
    assert AnalysisProgress.from_dict({**least, "ml_prediction": None, "final_signal": None}) == analysis()
    more = {
        "of tomorrow": [5],
        "to_dict": "a field of this name",
        "ml_prediction": {"confidence": 0.5, "sigma": {"of": 1}},
    }
    one = AnalysisProgress.from_dict({**least, **more})
    assert one.ml_prediction.status == "pending"
    for other in (one, one.copy(), pickle.loads(pickle.dumps(one)), AnalysisProgress.from_dict(one.to_dict())):
        assert other.to_dict() == {
            **analysis().to_dict(),
            **more,
            "ml_prediction": {**MLPredictionResult("pending", confidence=0.5).to_dict(), "sigma": {"of": 1}},
        }
    assert one.ml_prediction.sigma == {"of": 1}
    with pytest.raises(AttributeError, match="sigmas"):
        one.ml_prediction.sigmas  # noqa: B018


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-3))])
def test_a_time_with_an_offset_becomes_local_time_without(zone: timezone) -> None:
    moment = BEGAN.replace(tzinfo=zone)
    one = AnalysisProgress.from_dict(analysis().to_dict() | {"start_time": moment.isoformat()})
    assert one.start_time.tzinfo is None
    assert one.start_time.timestamp() == moment.timestamp()
    assert AnalysisProgress("BTC", "one", moment).to_dict()["start_time"] == one.start_time.isoformat()


def test_a_copy_shares_nothing() -> None:
    one = analysis()
    one.support_resistance.supports.append({"price": 1.0, "of": [1]})
    other = one.copy()
    changes: list[Callable[[], object]] = [
        lambda: other.support_resistance.supports[0]["of"].append(2),
        lambda: setattr(other.ml_prediction, "status", "ok"),
    ]
    for change in changes:
        change()
    assert one.support_resistance.supports == [{"price": 1.0, "of": [1]}]
    assert one.ml_prediction.status == "pending"
