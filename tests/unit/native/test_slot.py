"""Results of tasks."""

from __future__ import annotations

import numpy as np
import pytest

from headway import errors
from headway.native import core
from headway.native import records as native_records
from tests.unit.native.handles import claim, in_child


@pytest.mark.parametrize("json", [b"", b"1", b"x" * 7, b"x" * 8, b"x" * 63, b"x" * 64])
def test_a_result_is_what_was_written(json: bytes, segment: core.Segment) -> None:
    task = claim(segment)
    task._write_result(b"something longer before it")
    assert task._write_result(json)
    assert task._read_result()[0] == json
    raw = segment.copy_task(*task._where)
    assert raw is not None
    place = native_records.result_place(raw[5], 0, len(raw[6]))
    assert (raw[6][slice(*place)] if place else b"") == json


def test_results_lie_apart_so_that_each_is_copied_word_by_word(segment: core.Segment) -> None:
    for id in "abc":
        claim(segment, id)._write_result(b"12345")
    _, _, _, _, _, index, results, _ = segment.copy()
    offsets = np.frombuffer(index, np.dtype(native_records.DTYPES["index"]))["offset"]
    assert list(offsets) == [0, 8, 16]
    assert results == b"12345\0\0\0" * 3


def test_a_result_too_large_is_refused_and_the_old_one_kept(segment: core.Segment) -> None:
    task = claim(segment)
    task._write_result(b"old")
    with pytest.raises(errors.ResultTooLarge, match="has 65 bytes of JSON, its place 64"):
        task._write_result(b"x" * 65)
    assert task._read_result()[0] == b"old"


def test_a_result_is_replaced_only_if_it_is_still_the_one_that_was_read(segment: core.Segment) -> None:
    task = claim(segment)
    _, first = task._read_result()
    assert task._write_result(b"1", first)
    assert not task._write_result(b"2", first)
    json, second = task._read_result()
    assert json == b"1"
    in_child(lambda: task._write_result(b"3", second))
    assert not task._write_result(b"4", second)
    assert task._read_result()[0] == b"3"
