"""Mistakes that somebody could make, planted in a copy of the package: what looks for mistakes has to find them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

__all__ = ["Edit", "plant"]

Edit: TypeAlias = tuple[str, str, str]  # a file of the package, what stands there once, what is to stand there


def plant(package: Path, edits: Iterable[Edit]) -> None:
    """Change files of a copy of the package. AssertionError where what is to be changed does not stand there once."""
    for file, old, new in edits:
        path = package / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has {text.count(old)} times: {old}"
        path.write_text(text.replace(old, new))
