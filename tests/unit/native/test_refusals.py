"""What is refused says the value, the place and the remedy, before anything has changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from headway.native import core
from tests.unit.native.handles import LIMIT, claim, tasks_of

FULL = {f"m{i}": i for i in range(8)}


class Liar(dict[str, float]):
    """Says that it is shorter than it is."""

    def __len__(self) -> int:
        return 1


def assign(name: str, value: Any) -> Callable[[core.Slot], None]:
    return lambda task: setattr(task, name, value)


CASES: dict[str, tuple[Callable[[core.Slot], object], type[Exception], str]] = {
    "a count of a part": (
        lambda task: task.update(1.5),  # type: ignore[arg-type]
        TypeError,
        "n 1.5 is not a whole number: items are counted whole, choose a smaller unit",
    ),
    "a count that is none": (
        lambda task: task.update("7"),  # type: ignore[arg-type]
        TypeError,
        "n '7' is not a whole number: items are counted whole, choose a smaller unit",
    ),
    "a count without an end": (
        lambda task: task.update(math.inf),  # type: ignore[arg-type]
        TypeError,
        "n inf is not a whole number: items are counted whole, choose a smaller unit",
    ),
    "a count beyond 48 bits": (
        lambda task: task.update(LIMIT),
        OverflowError,
        f"task 'a': adding {LIMIT} would take its count out of range (±{LIMIT - 1} a process)",
    ),
    "a count beyond 64 bits": (
        lambda task: task.update(-(2**64)),
        OverflowError,
        f"task 'a': adding {-(2**64)} would take its count out of range (±{LIMIT - 1} a process)",
    ),
    "no stage": (assign("stage", None), TypeError, "stage must be a str, not None (NoneType)"),
    "a stage that is a number": (assign("stage", 3), TypeError, "stage must be a str, not 3 (int)"),
    "a message of bytes": (assign("message", b"x"), TypeError, "message must be a str, not b'x' (bytes)"),
    "a total of a part": (
        assign("total", 2.5),
        TypeError,
        f"total 2.5 is not a whole number: give 0 to {2**63 - 1}, or None if it is unknown",
    ),
    "a total below 0": (
        assign("total", -1),
        ValueError,
        f"total -1 is out of range: give 0 to {2**63 - 1}, or None if it is unknown",
    ),
    "a total beyond 64 bits": (
        assign("total", 2**70),
        ValueError,
        f"total {2**70} is out of range: give 0 to {2**63 - 1}, or None if it is unknown",
    ),
    "a metric that is a text": (
        lambda task: task._set(metrics={"loss": "low"}),  # type: ignore[dict-item]
        TypeError,
        "metric 'loss' must be a number, not 'low' (str)",
    ),
    "metrics without names": (
        lambda task: task._set(metrics=[1.0]),  # type: ignore[arg-type]
        TypeError,
        "metrics must be a dict of floats by name, not [1.0] (list)",
    ),
    "a metric with a number for a name": (
        lambda task: task._set(metrics={1: 1.0}),  # type: ignore[dict-item]
        TypeError,
        "metric name must be a str, not 1 (int)",
    ),
    "a metric with a long name": (
        lambda task: task._set(metrics={"x" * 24: 1.0}),
        ValueError,
        f"metric name {'x' * 24!r} has 24 bytes of UTF-8: shorten it to 23",
    ),
    "nine metrics": (
        lambda task: task._set(metrics={**FULL, "m8": 8}),
        ValueError,
        "9 metrics are too many: a task has 8",
    ),
    "nine metrics that say they are one": (
        lambda task: task._set(metrics=Liar({**FULL, "m8": 8})),
        ValueError,
        "there are more than 8 metrics, though their length is 1",
    ),
}


def shown(segment: core.Segment) -> list[object]:
    record = tasks_of(segment)["a"]
    names = ("count", "state", "total", "stage", "message", "metric_name", "version")
    return [record[name].tolist() if name == "metric_name" else record[name] for name in names]


@pytest.mark.parametrize(("work", "kind", "text"), CASES.values(), ids=CASES)
def test_a_refusal_says_what_is_wrong_and_what_to_do(
    work: Callable[[core.Slot], object], kind: type[Exception], text: str, segment: core.Segment
) -> None:
    task = claim(segment, total=10)
    before = shown(segment)
    with pytest.raises(kind) as caught:
        work(task)
    assert type(caught.value) is kind
    assert str(caught.value) == text
    assert shown(segment) == before


def test_a_ninth_metric_is_refused_when_the_task_has_eight(segment: core.Segment) -> None:
    task = claim(segment)
    task._set(metrics=FULL)
    with pytest.raises(ValueError, match="task 'a' has 8 metrics already: reuse their names"):
        task._set(metrics={"m8": 1.0})
    task._set(metrics={"m7": 1.0})
    assert task._metrics == {**FULL, "m7": 1.0}


@pytest.mark.parametrize(
    ("id", "kind", "text"),
    [
        (5, TypeError, "task id must be a str, not 5 (int)"),
        (None, TypeError, "task id must be a str, not None (NoneType)"),
        ("", ValueError, "task id is empty: give it 1 to 95 bytes of UTF-8"),
        ("a\0b", ValueError, "task id 'a\\x00b' contains a NUL character: leave it out"),
        ("é" * 48, ValueError, f"task id {'é' * 48!r} has 96 bytes of UTF-8: shorten it to 95"),
        ("\ud800", ValueError, "task id '\\ud800' is not valid Unicode: give it without lone surrogates"),
    ],
)
def test_what_cannot_be_an_id_is_refused_wherever_one_is_given(
    id: Any, kind: type[Exception], text: str, segment: core.Segment
) -> None:
    for work in (core.check_id, segment.find, segment.copy_found, lambda id: segment.claim(id, "", "it")):
        with pytest.raises(kind) as caught:
            work(id)
        assert str(caught.value) == text
    assert not tasks_of(segment)
