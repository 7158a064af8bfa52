"""Writes measured figures into a page of the docs, between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["markdown", "write"]

END = "<!-- end -->"


def markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, of which the first row is the head."""
    heads, *rows = table
    return ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]


def write(page: Path, command: str, lines: Sequence[str]) -> None:
    """Replace the lines that this command wrote before. Raises ValueError for a page without the marks."""
    begin = f"<!-- what `{command}` wrote -->"
    head, found, rest = page.read_text().partition(begin)
    _, end, tail = rest.partition(END)
    if not found or not end:
        raise ValueError(f"{page} has no lines {begin!r} and {END!r} to write between")
    page.write_text("\n".join([f"{head}{begin}", *lines, f"{END}{tail}"]))
