"""Texts of known width that are safe on a terminal; numbers and times for people.

Labels and messages come from programs and their data. On the screen of whoever watches they must not move the cursor,
ring bells, reverse the writing direction, or be wider than was reckoned with.
"""

from __future__ import annotations

import unicodedata

__all__ = ["counted", "cut", "duration", "number", "pad", "plural", "rate", "safe", "width"]

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


_PREFIXES = ("k", "M", "G", "T", "P", "E")


def _short(value: float) -> str:
    """Three significant digits: 0.50, 95.2, 1.23k, 45.6M."""
    prefix = ""
    for bigger in _PREFIXES:
        if abs(value) < 999.5:
            break
        value /= 1000
        prefix = bigger
    size = abs(value)
    if not prefix and value == int(value):
        return f"{value:.0f}"
    return f"{value:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}{prefix}"


def number(value: int) -> str:
    """1,234,567 in full; shortened from ten million on."""
    return f"{value:,}" if abs(value) < 10_000_000 else _short(value)


def plural(count: int, noun: str) -> str:
    """1 worker, 2 workers."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def counted(count: int, total: int | None, unit: str = "") -> str:
    """2,100/5,000 bar."""
    text = number(count) if total is None else f"{number(count)}/{number(total)}"
    return f"{text} {unit}" if unit else text


def rate(value: float) -> str:
    """1.23k/s; a slow one by the minute or hour, where it is a number one can read."""
    for seconds, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if value * seconds >= 1 or value <= 0:
            return f"{_short(value * seconds)}/{unit}"
    return f"{value * 3600:.2g}/h"


def duration(seconds: float, *, whole: bool = False) -> str:
    """3.2 s, 42 s, 12:34, 1:02:03, 2 d 5 h. whole: no tenths, for what is an estimate."""
    if seconds < 9.95 and not whole:
        return f"{max(seconds, 0.0):.1f} s"
    total = round(max(seconds, 0.0))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60}:{total % 60:02}"
    if total < 86400:
        return f"{total // 3600}:{total // 60 % 60:02}:{total % 60:02}"
    days = total // 86400
    return f"{days} d {total // 3600 % 24} h" if days < 100 else f"{number(days)} d"
