"""The values that trackers accept: any value becomes an id, a text, a number, price levels, or plain JSON.

These rules are only here. Programs pass what they have: UUIDs, enumerations, exceptions, NumPy and pandas objects,
their own data classes. A value that can be kept in some form is accepted. Any other one raises ValueError or TypeError,
which a tracker turns into False.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import islice
from typing import Any
from urllib.parse import quote

from headway.tasks.ending import failure_text

__all__ = [
    "digest_of",
    "encodable",
    "encode",
    "hours_of",
    "id_of",
    "is_digest",
    "levels_of",
    "members_of",
    "number_of",
    "path_of",
    "plain",
    "text_of",
]

DEPTH_MAX = 64  # levels of nested lists and dicts; deeper values are kept as text
VALUES_MAX = 1_000_000  # in one result
INTEGER_BITS_MAX = 14_000  # longer ones are kept in hexadecimal digits: Python refuses to read them in decimal ones
_PREFIX_BYTES = 40
_DIGEST = re.compile(r"~[0-9a-f]{32}\Z")


# -------------------------------------------------------------------------------------------------------- texts, ids


def text_of(value: object) -> str:
    """A text: a str as it is, the value of an Enum, "Type: text" of an exception, "" for None, str() of all else.

    Lone surrogates, which UTF-8 cannot hold, become backslash escapes.
    """
    if type(value) is str:
        return value if value.isascii() else _encodable(value)
    if value is None:
        return ""
    if isinstance(value, str):
        return _encodable(str.__str__(value))  # of an Enum of texts, its value
    if isinstance(value, Enum):
        return text_of(value.value)
    if isinstance(value, BaseException):
        return _encodable(failure_text(value))
    return _encodable(_shown(value))


def id_of(value: object) -> str:
    """An execution id: a text as it is, str() of anything else. Raises ValueError for None and for an empty one."""
    if type(value) is str and value.isascii():
        id = value
    elif isinstance(value, str):
        id = _encodable(str.__str__(value))
    else:
        id = "" if value is None else _encodable(_shown(value))
    if not id:
        raise ValueError(f"the execution id is {value!r}: give a text that is not empty")
    return id


def path_of(value: object) -> str | None:
    """A path: what bytes and path-like objects stand for, str() of anything else. None for what is empty."""
    with suppress(Exception):  # an array of several values is neither empty nor not
        if not value:
            return None
    try:
        path = str.__str__(os.fsdecode(value))  # type: ignore[arg-type]
        os.fsencode(path)
    except Exception:  # noqa: BLE001 - no path, or no text that a path can have; whatever a method of somebody raises
        return text_of(_shown(value))
    return path


def digest_of(id: str) -> str:
    """A short name for an id that cannot be used as it is: its beginning and a digest, legal in a path."""
    # Python reads file names that are not UTF-8 with surrogates.
    head = quote(id[:_PREFIX_BYTES], safe="", errors="surrogateescape")[:_PREFIX_BYTES]
    return f"{head}~{hashlib.sha256(id.encode(errors='surrogateescape')).hexdigest()[:32]}"


def is_digest(id: str) -> bool:
    """Does an id look like such a name?"""
    return _DIGEST.search(id) is not None


def encodable(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields from JSON, whose texts may hold lone surrogates, with texts that can be encoded in UTF-8."""
    for value in values.values():
        if type(value) is str and not value.isascii():
            return {name: text_of(one) if type(one) is str else one for name, one in values.items()}
    return values


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _shown(value: object) -> str:
    """str(), also of an object whose __str__ raises."""
    try:
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - whatever a __str__ of somebody raises
        return f"<{type(value).__name__}>"


# ----------------------------------------------------------------------------------------------------------- numbers


def number_of(value: object, *, whole: bool) -> Any:
    """A number, also from a text. What cannot be a number is kept as plain JSON.

    whole: an int, if nothing is lost by that. None, NaN and infinity become 0 then, else NaN: JSON has none of them.
    """
    found = plain(value)
    if isinstance(found, str):
        try:
            found = int(found) if whole and _is_integer(found) else float(found)
        except ValueError:
            return found
    if found is None or (isinstance(found, float) and not math.isfinite(found)):
        return 0 if whole else math.nan
    if whole:
        return int(found) if isinstance(found, bool | float) and found == int(found) else found
    try:
        return float(found) if isinstance(found, int) else found
    except OverflowError:
        return found


def _is_integer(text: str) -> bool:
    return text.strip().lstrip("+-").isdecimal() and len(text) < 4000


def hours_of(value: Any) -> float:
    """A number of hours. Raises ValueError or TypeError for anything else."""
    hours = float(value)
    if math.isnan(hours):
        raise ValueError(f"hours {value!r} is not a number: give 0 or more")
    return hours


# ------------------------------------------------------------------------------------------------------- plain JSON


def levels_of(value: object) -> list[Any]:
    """A list of price levels in plain JSON, from any collection, array or table; [] for None."""
    if value is None:
        return []
    found = plain(value)
    return found if isinstance(found, list) else [found]


def members_of(value: object, names: Collection[str]) -> dict[str, Any] | None:
    """The values of an object by name: of a mapping, a data class, a named tuple, or any object with attributes.

    None if it has none of `names`. Additional names are included.
    """
    if isinstance(value, type) or value is None:
        return None
    if isinstance(value, Mapping):
        found = {key if type(key) is str else _key(key): one for key, one in value.items()}
    else:
        found = {key: one for key, one in _attributes(value).items() if not key.startswith("_")}
        for name in names:
            if name not in found and (one := getattr(value, name, found)) is not found:
                found[name] = one
    return found if not found.keys().isdisjoint(names) else None


def _attributes(value: object) -> dict[str, Any]:
    if is_dataclass(value):
        own = {one.name: getattr(value, one.name) for one in fields(value)}
        return own | getattr(value, "__dict__", {})
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    found = getattr(value, "__dict__", None)
    return dict(found) if isinstance(found, Mapping) else {}


def plain(value: Any) -> Any:
    """A value in types that JSON has. NaN and infinity become None.

    Data classes become dicts, collections and arrays lists, dates ISO texts, numbers of other types floats, and
    anything else its text. Raises ValueError for more than a million values.
    """
    return _plain(value, (), [VALUES_MAX])


def _plain(value: Any, above: tuple[int, ...], left: list[int]) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _encodable(value)
    if value is None or kind is bool:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, Enum):
        return int(value) if value.bit_length() <= INTEGER_BITS_MAX else hex(value)
    _count(1, left)
    if len(above) >= DEPTH_MAX or id(value) in above:
        return _encodable(_shown(value))
    inside = (*above, id(value))
    if kind is list or kind is dict:  # most of what is no scalar: not asked all that follows
        many = len(value)
        _count(many, left)
        if kind is list:
            return [_plain(one, inside, left) for one in islice(value, many)]
        return {_key(key): _plain(one, inside, left) for key, one in islice(value.items(), many)}
    if isinstance(value, str | Enum | BaseException):
        number = isinstance(value, Enum) and isinstance(value.value, int | float)
        return _plain(value.value, inside, left) if number else text_of(value)  # type: ignore[union-attr]
    if isinstance(value, float):
        return _plain(float(value), above, left)
    if isinstance(value, dt.date | dt.time):
        return _encodable(value.isoformat())
    if kind.__module__ == "numpy" and getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):
        return _plain(value.astype(str).tolist(), inside, left)  # as numbers, times would have no unit
    size = getattr(value, "size", None)
    if isinstance(size, int) and size > left[0]:  # an array or a table: before it is made a list
        _count(size, left)
    for name in ("item", "tolist", "to_dict"):
        found = _converted(value, name)
        if found is not value:
            return _plain(found, inside, left)
    if isinstance(value, Mapping):
        many = len(value)
        _count(many, left)
        return {_key(key): _plain(one, inside, left) for key, one in islice(value.items(), many)}
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(one, inside, left) for key, one in _attributes(value).items()}
    if isinstance(value, Collection) and not isinstance(value, bytes | bytearray | memoryview):
        many = len(value)
        _count(many, left)
        return [_plain(one, inside, left) for one in islice(_ordered(value), many)]  # its length may be wrong
    if hasattr(kind, "__float__") and not hasattr(kind, "__iter__"):
        try:
            return _plain(float(value), above, left)
        except (TypeError, ValueError, OverflowError):
            pass  # not a number after all: it is kept as text
    return _encodable(_shown(value))


def _count(many: int, left: list[int]) -> None:
    """Count more values, before they are read: a range may have any number of them."""
    left[0] -= many
    if left[0] < 0:
        raise ValueError(f"it holds more than {VALUES_MAX} values: keep them in a file of your own, and name that")


def _converted(value: Any, name: str) -> Any:
    """A NumPy or pandas object in plain Python; any other value unchanged."""
    module = type(value).__module__.partition(".")[0]
    convert = getattr(value, name, None)
    if convert is None or isinstance(value, Mapping) or (name == "to_dict" and not hasattr(value, "columns")):
        return value
    if module == "unittest":
        return value
    if name == "item" and getattr(value, "ndim", None) != 0:
        return value
    try:
        found = convert("records") if name == "to_dict" else convert()
    except Exception:  # noqa: BLE001 - an object that only looks like one of NumPy or pandas
        return value
    if name == "item":
        return found if isinstance(found, bool | int | float | str | dt.date) else value
    return found if isinstance(found, list) else value


def _key(key: object) -> str:
    """A key of a JSON object, as the json module writes it."""
    if type(key) is str and key.isascii():
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else text_of(key)


def _ordered(value: Collection[Any]) -> Collection[Any]:
    if isinstance(value, set | frozenset):
        try:
            return sorted(value)
        except TypeError:  # values that cannot be ordered
            return value
    return value


_ENCODER = json.JSONEncoder(default=plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_BRACKETS = re.compile(r"[\[{\]}]")


def encode(value: Any) -> bytes:
    """JSON of a value, by the same rules. Raises ValueError for more than a million values."""
    try:
        text = _ENCODER.encode(value)  # already plain: the fast encoder in C
        if text.count("[") + text.count("{") <= DEPTH_MAX or _depth(text) <= DEPTH_MAX:
            return text.encode()
    except (TypeError, ValueError, RecursionError):  # NaN, a key that is not a text, a circular reference ...
        pass
    return _ENCODER.encode(plain(value)).encode()


def _depth(text: str) -> int:
    """An upper bound for the depth of nested lists and dicts: brackets in texts count, too."""
    depth = deepest = 0
    for one in _BRACKETS.findall(text):
        depth = depth + 1 if one in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest
