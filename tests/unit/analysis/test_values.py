"""What the trackers make of any value: the rules, one by one. Over the calls of the trackers: test_contract.py."""

from __future__ import annotations

import collections
import enum
import itertools
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from headway.analysis import values


class Level(NamedTuple):
    price: float


@dataclass
class Found:
    price: float
    at: Any = None


class Side(enum.Enum):
    LONG = "long"
    SHORT = -1


def circle() -> list[Any]:
    one: list[Any] = []
    one.append(one)
    return one


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({2: "a", None: "b", True: "c", Side.LONG: "d"}, {"2": "a", "null": "b", "true": "c", "long": "d"}),
        ([Side.LONG, Side.SHORT], ["long", -1]),
        ((1, (2,)), [1, [2]]),
        (Level(1.5), [1.5]),
        ([Found(1.5, Found(2.5))], [{"price": 1.5, "at": {"price": 2.5, "at": None}}]),
        ({3, 1, 2}, [1, 2, 3]),
        (range(3), [0, 1, 2]),
        (collections.deque([1]), [1]),
        (float("nan"), None),
        ([float("inf")], [None]),
        (datetime(2024, 1, 2, 3, tzinfo=UTC), "2024-01-02T03:00:00+00:00"),
        (date(2024, 1, 2), "2024-01-02"),
        (timedelta(hours=1), "1:00:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (Decimal("1.5"), 1.5),
        (Fraction(1, 2), 0.5),
        (b"a", "b'a'"),
        (1 + 2j, "(1+2j)"),
        ("a\ud800b", "a\\ud800b"),
        (ValueError("boom"), "ValueError: boom"),
        (np.float32(1.5), 1.5),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.datetime64("2024-01-02T03:04:05.123456789"), "2024-01-02T03:04:05.123456789"),
        (np.array(["2024-01-02"], dtype="datetime64[ns]"), ["2024-01-02T00:00:00.000000000"]),
        (pd.Series([1.5]), [1.5]),
        (pd.DataFrame({"price": [1.5], "of": ["a"]}), [{"price": 1.5, "of": "a"}]),
        (pd.Timestamp("2024-01-02"), "2024-01-02T00:00:00"),
        (circle(), ["[[...]]"]),
    ],
)
def test_a_value_becomes_plain_json(value: Any, expected: Any) -> None:
    assert values.plain(value) == expected
    assert json.loads(values.encode(value)) == expected


def test_an_integer_too_long_for_decimal_digits_is_kept_in_hexadecimal_ones() -> None:
    number = 1 << 20_000
    assert values.plain([number]) == json.loads(values.encode([number])) == [hex(number)]


def test_what_lies_too_deep_is_kept_as_text() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    for found in (values.plain(deep), json.loads(values.encode(deep))):
        depth = 0
        while isinstance(found, list):
            (found,) = found
            depth += 1
        assert depth == values.DEPTH_MAX
        assert isinstance(found, str)


def test_what_has_no_end_is_refused_soon() -> None:
    doubled: Any = [1]
    for _ in range(60):
        doubled = [doubled, doubled]
    for endless in (range(10**12), doubled):
        with pytest.raises(ValueError, match="more than 1000000 values"):
            values.plain(endless)


def test_an_iterator_is_not_consumed() -> None:
    iterator = iter([1, 2])
    assert "iterator object" in values.plain(iterator)
    assert list(iterator) == [1, 2]


def test_a_digest_is_short_stands_in_a_path_and_is_known_as_one() -> None:
    for id in ("x" * 5000, "/" * 95, "a\0b", "🚀" * 40):
        name = values.digest_of(id)
        assert values.is_digest(name)
        assert len(name.encode()) <= 95
        assert not set(name) & set("/\0")
        assert name != values.digest_of(id + "x")
    assert not values.is_digest("BTC-1h")


def test_a_collection_without_end_is_taken_as_long_as_it_says_it_is() -> None:
    class Endless(list[int]):
        def __len__(self) -> int:
            return 3

        def __iter__(self) -> Any:
            return itertools.count()

    assert values.plain({"a": Endless()}) == {"a": [0, 1, 2]}


def test_an_array_that_is_too_large_is_refused_before_it_is_made_a_list() -> None:
    class Huge(np.ndarray[Any, Any]):
        def tolist(self) -> Any:
            raise AssertionError("it was looked at")

    with pytest.raises(ValueError, match="more than 1000000 values"):
        values.plain(np.zeros(2_000_000, dtype="u1").view(Huge))
