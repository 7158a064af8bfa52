"""How commands print: JSON for programs, tables for people, and never a control character of a program's text."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

from headway.terminal.row import Style
from headway.terminal.text import cut, pad, safe, width

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["add_json", "columns", "complain", "emit", "print_json", "say", "table"]


def add_json(parser: argparse._ActionsContainer, help: str = "print JSON") -> None:
    parser.add_argument("--json", action="store_true", help=help)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print JSON in ASCII, whatever the encoding of the output; on one line if indent is None."""
    print(json.dumps(value, indent=indent, allow_nan=False), flush=indent is None)


def columns() -> int:
    """The width of the output: that of the terminal, else COLUMNS, else 120."""
    return max(shutil.get_terminal_size((120, 24)).columns - 1, 20) if sys.stdout.isatty() else _wide()


def _wide() -> int:
    """COLUMNS, or else 120: a file has no width at which lines would have to be cut."""
    import os

    text = os.environ.get("COLUMNS", "")
    return max(int(text) - 1, 20) if text.isdecimal() and int(text) else 120


def say(text: str = "", columns: int | None = None) -> None:
    """Print one line, with unprintable characters as escapes. columns: cut it to this width."""
    style = Style.of(sys.stdout)
    shown = safe(text, style.encoding)
    print(shown if columns is None else cut(shown, columns, style.ellipsis))


def emit(pieces: Iterable[str]) -> None:
    """Print text for programs, piece by piece, in UTF-8 whatever the locale; on a terminal line by line, with
    unprintable characters as escapes.
    """
    if sys.stdout.isatty():
        rest = ""
        for piece in pieces:
            *whole, rest = (rest + piece).split("\n")
            for line in whole:
                say(line.removesuffix("\r"))
        if rest:
            say(rest)
        return
    sys.stdout.flush()
    for piece in pieces:
        sys.stdout.buffer.write(piece.encode("utf-8", "backslashreplace"))


def complain(reason: str) -> None:
    """Print on standard error why something was not done."""
    print(f"headway: {safe(reason, sys.stderr.encoding)}", file=sys.stderr)


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Lines of a table. rows: the first one holds the heads; right: the numbers of the right-aligned columns."""
    encoding = Style.of(sys.stdout).encoding
    cells = [[safe(cell, encoding) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(pad(cell, widths[at], right=at in right) for at, cell in enumerate(row)).rstrip() for row in cells
    ]
