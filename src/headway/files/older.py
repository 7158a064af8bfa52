"""Reads the records in files of other versions, by the names of their fields.

Snapshots outlive the release that wrote them. A field keeps its name and meaning for ever; a field with a new meaning
gets a new name. A field that an older file lacks reads as 0, which means "unknown" in every new field; a field that
this version does not know is left out.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

__all__ = ["Description", "records"]

Description: TypeAlias = "Sequence[tuple[Any, ...]] | str"

_MAGIC = b"\x93NUMPY\1\0"
_CODE = re.compile(r"([<>|])([SiufV])([0-9]{1,4})")
_OWN_ORDER = "<" if sys.byteorder == "little" else ">"


class _Field(NamedTuple):
    kind: str
    width: int
    items: int
    offset: int


def records(content: bytes, wanted: Description) -> bytes:
    """The records of a .npy member, converted to this description. Raises ValueError if that is impossible."""
    found, payload = _parsed(content)
    if isinstance(wanted, str) or isinstance(found, str):
        if wanted != found:
            raise ValueError(f"it holds {found!r:.40} instead of {wanted!r:.40}")
        return payload
    old, old_bytes = _fields(found)
    new, new_bytes = _fields(wanted)
    if not old_bytes or len(payload) % old_bytes:
        raise ValueError("it does not hold a whole number of records")
    count = len(payload) // old_bytes
    to = bytearray(count * new_bytes)
    for name, field in new.items():
        if field.kind != "V" and name in old:
            _copy(to, new_bytes, field, payload, old_bytes, old[name], count)
    return bytes(to)


def _parsed(content: bytes) -> tuple[Any, bytes]:
    begin = len(_MAGIC) + 2
    end = begin + int.from_bytes(content[begin - 2 : begin], "little")
    if not content.startswith(_MAGIC) or end > min(len(content), 1 << 14):
        raise ValueError("it does not begin like a .npy array")
    try:
        said = ast.literal_eval(content[begin:end].decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("its array is not described") from None
    if not isinstance(said, dict) or said.get("fortran_order") is not False or "descr" not in said:
        raise ValueError("its array is not described")
    return said["descr"], content[end:]


def _fields(description: Any) -> tuple[dict[str, _Field], int]:
    """Where each field is, by name, and the bytes of a record."""
    fields: dict[str, _Field] = {}
    offset = 0
    if not isinstance(description, list):
        raise ValueError(f"{description!r:.40} is not a list of fields")
    for one in description:
        items = one[2][0] if isinstance(one, tuple) and len(one) == 3 and isinstance(one[2], tuple) and one[2] else 1
        code = _CODE.fullmatch(one[1]) if isinstance(one, tuple) and len(one) > 1 and isinstance(one[1], str) else None
        if code is None or not isinstance(one[0], str) or type(items) is not int or not 0 < items < 1000:
            raise ValueError(f"{one!r:.60} is not a field")
        if code[1] not in ("|", _OWN_ORDER):
            raise ValueError("it was written on a machine of another byte order")
        fields[one[0]] = _Field(code[2], int(code[3]), items, offset)
        offset += int(code[3]) * items
    return fields, offset


def _copy(to: bytearray, to_bytes: int, new: _Field, of: bytes, of_bytes: int, old: _Field, count: int) -> None:
    same = (old.kind, old.width, old.items) == (new.kind, new.width, new.items)
    size = new.width * new.items
    for number in range(count):
        begin, at = number * of_bytes + old.offset, number * to_bytes + new.offset
        if same:
            to[at : at + size] = of[begin : begin + size]
            continue
        for item in range(min(old.items, new.items)):
            word = of[begin + item * old.width : begin + (item + 1) * old.width]
            to[at + item * new.width : at + (item + 1) * new.width] = _converted(word, old, new)


def _converted(word: bytes, old: _Field, new: _Field) -> bytes:
    if old.kind == new.kind == "S":
        text = word.partition(b"\0")[0]
        if len(text) >= new.width:
            text = text[: new.width - 1].decode("utf-8", "ignore").encode()  # cut at a character
        return text.ljust(new.width, b"\0")
    if old.kind in "iu" and new.kind in "iu":
        value = int.from_bytes(word, sys.byteorder, signed=old.kind == "i")
        bits = 8 * new.width - (new.kind == "i")
        least = -(1 << bits) if new.kind == "i" else 0
        return min(max(value, least), (1 << bits) - 1).to_bytes(new.width, sys.byteorder, signed=new.kind == "i")
    if (old.kind, old.width) == (new.kind, new.width):
        return word
    raise ValueError(f"a field has become {new.kind}{new.width} that was {old.kind}{old.width}")
