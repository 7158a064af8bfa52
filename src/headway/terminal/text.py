"""Texts of known width that are safe on a terminal.

Labels and messages come from programs and their data. On the screen of whoever watches they must not move the cursor,
ring bells, reverse the writing direction, or be wider than was measured.
"""

from __future__ import annotations

import unicodedata

__all__ = ["cut", "pad", "safe", "width"]

MARKS_MAX = 3  # combining marks on one character: more only paint over the neighbours

# Terminals disagree about what these join or modify, and so about the width: without them, each character stands alone.
_IGNORED = frozenset(
    (
        *(0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF),
        *range(0xFE00, 0xFE10),  # variation selectors
        *range(0x1F3FB, 0x1F400),  # skin tones
        *range(0xE0000, 0xE01F0),  # tags, more variation selectors
    )
)
_UNSHOWABLE = frozenset(("Cc", "Cf", "Cn", "Cs", "Zl", "Zp"))  # controls, directions, surrogates, unassigned, line ends
_MARKS = frozenset(("Mn", "Me"))


def safe(text: str, encoding: str | None = "utf-8") -> str:
    """The text as it may be shown: what is unprintable, or not in this encoding, as an escape such as \\x1b.

    A stream of text in memory (io.StringIO) has none: None.
    """
    encoding = encoding or "utf-8"
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(char)
        marks = marks + 1 if kind in _MARKS else 0
        if ord(char) in _IGNORED or marks > MARKS_MAX:
            continue
        if kind in _UNSHOWABLE:
            shown.append(char.encode("unicode_escape").decode("ascii"))
        elif kind == "Zs" and char != "\N{IDEOGRAPHIC SPACE}":
            shown.append(" ")
        else:
            shown.append(char.encode(encoding, "backslashreplace").decode(encoding))
    return "".join(shown)


def _columns(char: str) -> int:
    if unicodedata.category(char) in _MARKS or "\u1160" <= char <= "\u11ff":  # the latter: second halves of syllables
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def width(text: str) -> int:
    """Columns that a safe text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, columns: int, ellipsis: str = "…") -> str:
    """The text, or its beginning with an ellipsis, in at most so many columns."""
    if width(text) <= columns:
        return text
    room = columns - width(ellipsis)
    if room < 0:
        return "." * max(columns, 0)
    kept: list[str] = []
    for char in text:
        room -= _columns(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept).rstrip() + ellipsis


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """The text in exactly so many columns if it is not wider; right: at their end."""
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks
