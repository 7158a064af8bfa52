"""What clients are told of an error: a code for programs, a text for people."""

from __future__ import annotations

import os

from headway import errors

__all__ = ["CODES", "UNREADABLE", "code_of", "detail_of"]

CODES = {
    errors.UnknownBoard: "unknown-board",
    errors.DamagedSnapshot: "damaged-snapshot",
    errors.DamagedHistory: "damaged-history",
    errors.LayoutMismatch: "layout-mismatch",
    errors.NotOwner: "not-owner",
    errors.LockTimeout: "busy",
}
UNREADABLE = "unreadable"


def code_of(error: Exception) -> str:
    """The code of an error for clients."""
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), UNREADABLE)


def detail_of(error: Exception) -> str:
    """What is told of an error to people: of one of the system, the file and the reason, without its number."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)
