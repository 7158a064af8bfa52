"""How long a history is kept: HEADWAY_HISTORY_DAYS and HEADWAY_HISTORY_ROWS, as the program has them that asks for a
recorder of its board. One recorder serves many boards, each as its program wants it."""

from __future__ import annotations

import math
from typing import NamedTuple

from headway import errors
from headway.system.program import DAYS, ROWS, history_texts

__all__ = ["DAYS", "ROWS", "Retention", "chosen", "kept"]


class Retention(NamedTuple):
    """Older rows are deleted, and the oldest ones beyond so many; math.inf and None: none are."""

    hours: float = 30 * 24.0
    rows: int | None = 1_000_000


def chosen(days: str | None = None, rows: str | None = None) -> Retention:
    """What these texts say, or the environment. Raises InvalidVariable, which names the value and what is legal."""
    if days is None or rows is None:
        days, rows = history_texts()
    keep = Retention()
    if days:
        keep = keep._replace(hours=24 * _days(days))
    if rows:
        keep = keep._replace(rows=None if rows.lower() == "inf" else _rows(rows))
    return keep


def kept(days: str | None = None, rows: str | None = None) -> Retention:
    """As `chosen`, but what is wrong is passed over: headway.open has refused it."""
    try:
        return chosen(days, rows)
    except errors.InvalidVariable:
        return Retention()


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
