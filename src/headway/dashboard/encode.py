"""JSON and server-sent events as bytes."""

from __future__ import annotations

import json
import time
from typing import Any

__all__ = ["encode", "event", "with_now"]


def encode(value: Any) -> bytes:
    """JSON in ASCII: a result may hold lone surrogates, which UTF-8 cannot encode. Raises ValueError for NaN."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def with_now(fields: bytes) -> bytes:
    """An encoded object with the server's present time inserted first, so that the rest can be cached."""
    comma = b"," if len(fields) > 2 else b""
    return b'{"now":%.3f%b%b' % (time.time(), comma, fields[1:])


def event(kind: bytes, fields: bytes, id: str = "") -> bytes:
    """One server-sent event whose data is an encoded object. JSON has no line breaks outside of its escapes."""
    head = b"id: %b\n" % id.encode() if id else b""
    return b"%bevent: %b\ndata: %b\n\n" % (head, kind, with_now(fields))
