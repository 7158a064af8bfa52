"""JSON and server-sent events as bytes."""

from __future__ import annotations

import json
import time

import pytest

from headway.dashboard.encode import encode, event, with_now


def test_json_is_ascii_whatever_the_texts() -> None:
    assert encode({"a": "é\ud800"}) == b'{"a":"\\u00e9\\ud800"}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_not_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"a": value})


@pytest.mark.parametrize("fields", [{}, {"a": 1}])
def test_the_clock_of_the_server_comes_first(fields: dict[str, int]) -> None:
    before = time.time()
    told = json.loads(with_now(encode(fields)))
    assert list(told) == ["now", *fields]
    assert before - 0.001 <= told.pop("now") <= time.time() + 0.001
    assert told == fields


def test_an_event_is_one_line_of_data_and_has_an_id_where_there_is_one() -> None:
    head, kind, data, *rest = event(b"patch", encode({"text": "a\nb"}), "uuid:3").split(b"\n")
    assert (head, kind, rest) == (b"id: uuid:3", b"event: patch", [b"", b""])
    assert json.loads(data.removeprefix(b"data: "))["text"] == "a\nb"
    assert event(b"beat", b"{}").startswith(b"event: beat\n")
