"""Results: JSON in and out of a slot, merged without holding a lock."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from headway import errors

__all__ = ["LARGE_RESULT", "changed", "dump_result", "load_result", "merged"]

MERGE_SECONDS = 5.0  # give up if other processes keep changing the result for so long
LARGE_RESULT = re.compile(r"result-[0-9a-f]{32}\.json")  # the file of a result that does not fit into its slot


class _Place(Protocol):
    @property
    def id(self) -> str: ...

    def _read_result(self) -> tuple[bytes, int]: ...
    def _write_result(self, json: bytes, expected: int | None = None) -> bool: ...


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays as plain numbers and lists, without importing NumPy."""
    for name in ("item", "tolist"):
        convert = getattr(value, name, None)
        if convert is not None and (name == "tolist" or getattr(value, "ndim", 1) == 0):
            return convert()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(
        f"a result cannot hold a value of type {type(value).__name__} ({value!r:.60}): "
        f"give numbers, texts, lists, dicts"
    )


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, str | int | None):
        return value
    return _finite(_plain(value))


def dump_result(value: Any) -> bytes:
    """JSON bytes of a result; b"" for None. NaN and infinities become null. Raises TypeError for what is no JSON."""
    if value is None:
        return b""
    try:
        text = json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def load_result(raw: bytes) -> Any:
    """The value of JSON bytes; None for b"". Raises CorruptBoard for anything else: dump_result wrote it."""
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError as error:
        raise errors.CorruptBoard(f"a result is not JSON ({error}): its slot is damaged") from None


def changed(place: _Place, change: Callable[[Any], Any]) -> bytes:
    """Replace the result of a task by what change(result) returns, and do so again if somebody else wrote meanwhile.

    Nobody waits on a lock. Each try that fails means that another process's succeeded, so work goes on; the time is
    bounded all the same. Returns the JSON that was written.
    """
    give_up = time.monotonic() + MERGE_SECONDS
    tries = 0
    while True:
        raw, seen = place._read_result()
        encoded = dump_result(change(load_result(raw)))
        if place._write_result(encoded, seen):
            return encoded
        tries += 1
        if time.monotonic() >= give_up:
            raise errors.LockTimeout(
                f"the result of task {place.id!r} changed {tries} times while it was being merged: write it less often"
            )
        if tries > 3:
            # The last digits of the clock do for chance: `random` could not be imported after a chroot, say.
            time.sleep(time.perf_counter_ns() % 1000 / 1000 * min(tries, 50) * 20e-6)


def merged(place: _Place, values: Mapping[str, Any]) -> dict[str, Any]:
    """Add keys to the result of a task; processes that do so at once lose nothing. Returns the whole."""

    def merge(present: Any) -> dict[str, Any]:
        if present is not None and not isinstance(present, dict):
            raise TypeError(
                f"task {place.id!r} has the result {present!r:.60}, which is not an object that keys can be added to: "
                f"assign task.result instead"
            )
        return {**(present or {}), **values}

    whole: dict[str, Any] = json.loads(changed(place, merge))
    return whole
