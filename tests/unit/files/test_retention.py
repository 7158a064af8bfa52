"""How long a history is kept."""

from __future__ import annotations

import math

import pytest

from headway import errors
from headway.files import retention
from headway.files.retention import Retention


def test_a_history_is_kept_for_thirty_days_and_a_million_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (retention.DAYS, retention.ROWS):
        monkeypatch.setenv(name, "")
    assert retention.chosen() == Retention(720.0, 1_000_000)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (retention.DAYS, "365", Retention(365 * 24.0)),
        (retention.DAYS, " 0.5 ", Retention(12.0)),
        (retention.DAYS, "inf", Retention(math.inf)),
        (retention.ROWS, "1", Retention(rows=1)),
        (retention.ROWS, "INF", Retention(rows=None)),
    ],
)
def test_the_environment_says_how_long(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: Retention
) -> None:
    monkeypatch.setenv(name, value)
    assert retention.chosen() == expected


@pytest.mark.parametrize("name", [retention.DAYS, retention.ROWS])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "a year", "0x1", "1e", "٣٤-"])
def test_nonsense_is_refused_by_name_with_what_is_legal(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(errors.InvalidVariable, match=f"^{name} is wrong: {value!r} .* give one above 0, or inf"):
        retention.chosen()
