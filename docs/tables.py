"""Writes the tables of README.md and ARCHITECTURE.md that are made from the code: python -m docs.tables

A table stands between two comments, `<!-- table: NAME -->` and `<!-- end of table -->`. A test compares.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from headway.cli.main import COMMANDS, parser_of
from tests.rooms import ROOMS

__all__ = ["TABLES", "written"]

ROOT = Path(__file__).resolve().parents[1]


def rooms() -> str:
    """The rooms of the package, from the ground up."""
    rows = ["| room | holds |", "| --- | --- |"]
    for names, holds in ROOMS:
        rows.append(f"| {', '.join(f'`{name}`' for name in names)} | {holds} |")
    return "\n".join(rows)


def commands() -> str:
    """The commands with their arguments, in the order in which `headway --help` lists them."""
    rows = ["| command | what it does |", "| --- | --- |"]
    for name, does in COMMANDS.items():
        words = ["headway", name, *(_placeholder(action) for action in parser_of(name)._get_positional_actions())]
        rows.append(f"| `{' '.join(words)}` | {does} |")
    return "\n".join(rows)


def _placeholder(action: argparse.Action) -> str:
    name = str(action.metavar)
    return {"?": f"[{name}]", "*": f"[{name}...]", "...": f"[{name}...]"}.get(str(action.nargs), name)


TABLES = {"rooms": (ROOT / "ARCHITECTURE.md", rooms), "commands": (ROOT / "README.md", commands)}


def written(name: str) -> str:
    """The text of the page that a table is on, with that table as the code has it now."""
    page, make = TABLES[name]
    pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end of table -->)", re.DOTALL)
    text, found = pattern.subn(lambda match: f"{match[1]}\n{make()}\n\n{match[2]}", page.read_text())
    if found != 1:
        raise ValueError(f"{page} has {found} places for the table {name!r}: it needs one")
    return text


if __name__ == "__main__":
    for name, (page, _) in TABLES.items():
        page.write_text(written(name))
