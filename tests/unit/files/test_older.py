"""Records of other versions: what is called the same is taken over, and nothing else is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.files import npz, older
from headway.native import records


def member(*fields: tuple[Any, ...], **columns: Any) -> bytes:
    """A .npy member of records, as an older version would have written it."""
    count = len(next(iter(columns.values())))
    array = np.zeros(count, np.dtype(list(fields)))
    for name, values in columns.items():
        array[name] = values
    return npz.npy_header(repr(list(fields)), count) + array.tobytes()


def read(content: bytes, *fields: tuple[Any, ...]) -> Any:
    return np.frombuffer(older.records(content, list(fields)), np.dtype(list(fields)))


def test_a_field_is_found_by_its_name_wherever_it_stands() -> None:
    old = member(("a", "<i8"), ("b", "<u4"), ("pad", "|V4"), a=[1, -2], b=[3, 4])
    found = read(old, ("b", "<u4"), ("a", "<i8"))
    assert (found["a"].tolist(), found["b"].tolist()) == ([1, -2], [3, 4])


def test_a_field_that_an_older_version_did_not_have_is_zero_and_one_that_is_not_known_is_left_out() -> None:
    found = read(
        member(("a", "<i8"), ("gone", "|S4"), a=[1], gone=[b"x"]), ("a", "<i8"), ("new", "<f8"), ("text", "|S8")
    )
    assert found.tolist() == [(1, 0.0, b"")]


@pytest.mark.parametrize(
    ("value", "old", "new", "reads"),
    [
        (7, "<u4", "<u8", 7),
        (-7, "<i4", "<i8", -7),
        (2**40, "<u8", "<u4", 2**32 - 1),
        (-(2**40), "<i8", "|i1", -128),
        (-1, "<i8", "<u8", 0),
        (b"abc", "|S8", "|S16", b"abc"),
        ("aé".encode(), "|S8", "|S4", "aé".encode()),
        ("abé".encode(), "|S8", "|S4", b"ab"),  # cut at a character, and with its end
        (1.5, "<f8", "<f8", 1.5),
    ],
)
def test_a_field_that_became_wider_or_narrower_keeps_what_it_can(value: Any, old: str, new: str, reads: Any) -> None:
    assert read(member(("a", old), a=[value]), ("a", new))["a"].tolist() == [reads]


def test_an_array_in_a_record_keeps_the_items_that_there_are() -> None:
    old = member(("m", "<f8", (2,)), ("n", "|S4", (3,)), m=[[1.0, 2.0]], n=[[b"a", b"b", b"c"]])
    found = read(old, ("n", "|S8", (2,)), ("m", "<f8", (3,)))
    assert found["m"].tolist() == [[1.0, 2.0, 0.0]]
    assert found["n"].tolist() == [[b"a", b"b"]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("a", "<f8"), ("a", "<i8")),
        (("a", "|S8"), ("a", "<i8")),
        (("a", "<f4"), ("a", "<f8")),
        (("a", ">i8"), ("a", "<i8")),
    ],
)
def test_what_has_become_another_kind_is_no_guess(old: tuple[str, str], new: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"has become|byte order"):
        older.records(member(old, a=[0]), [new])


@pytest.mark.parametrize(
    "description",
    ["[]", "['a']", "[('a',)]", "[('a', '<O8')]", "[('a', '<i8', (0,))]", "[('a', '<i8', ('b',))]", "7", "(" * 500],
)
def test_a_description_that_cannot_be_is_a_value_error(description: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        older.records(npz.npy_header(description, 1) + bytes(8), [("a", "<i8")])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.text("'[](){}:,<|iuSfV0123456789 abc", max_size=80))
def test_any_bytes_are_read_or_refused(payload: bytes, description: str) -> None:
    for content in (payload, npz.npy_header(description, 1) + payload):
        try:
            found = older.records(content, records.DTYPES["shares"])
        except ValueError:
            continue
        assert len(found) % records.RECORD_BYTES["shares"] == 0
