"""How long a history is kept: HEADWAY_HISTORY_DAYS and HEADWAY_HISTORY_ROWS, as the recorder's environment has them."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from headway import errors

__all__ = ["Retention", "chosen"]

DAYS, ROWS = "HEADWAY_HISTORY_DAYS", "HEADWAY_HISTORY_ROWS"


class Retention(NamedTuple):
    """Older rows are deleted, and the oldest ones beyond so many; math.inf and None: none are."""

    hours: float = 30 * 24.0
    rows: int | None = 1_000_000


def chosen() -> Retention:
    """What the environment says. Raises InvalidVariable, which names the value and what is legal."""
    days, rows = (os.environ.get(name, "").strip() for name in (DAYS, ROWS))
    keep = Retention()
    if days:
        keep = keep._replace(hours=24 * _days(days))
    if rows:
        keep = keep._replace(rows=None if rows.lower() == "inf" else _rows(rows))
    return keep


def _days(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise errors.InvalidVariable(f"{DAYS} is wrong: {text!r} is not a number of days; give one above 0, or inf")
    return value


def _rows(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 2**63:
        raise errors.InvalidVariable(f"{ROWS} is wrong: {text!r} is not a number of rows; give one above 0, or inf")
    return int(text)
