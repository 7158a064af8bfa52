"""The rooms of the package: which folder may import from which, and what the sources really import."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MODULES",
    "PACKAGE",
    "ROOMS",
    "ROOT",
    "height_of",
    "imports_of",
    "imports_of_cython",
    "imports_of_python",
    "may_import",
    "room_of",
]

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "headway"

# The lowest layer first. A module imports only from rooms before its own in this list and from its own; rooms on one
# line do not import each other. Names without a folder are modules at the root of the package.
ROOMS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("errors",), "the package's exceptions and warnings"),
    (("native",), "the layout, the hot path, locks, copies and records: C and Cython"),
    (("system",), "paths, file locks, shared memory, facts about this machine; whether boards work here"),
    (("tasks",), "what a task is, whoever holds its numbers: states, checks, methods, results, the current task"),
    (("views",), "what a board and a task show at one moment"),
    (("files",), "snapshots and history"),
    (("process",), "helper processes: how they start, what they are told; how this process leaves"),
    (("standin",), "boards of one process, without native modules"),
    (("engine",), "boards in shared memory"),
    (("recorder",), "the process that writes a board's files and archives its tasks"),
    (("upkeep",), "finds, removes and diagnoses boards"),
    (("api",), "`open`, `current`, `read`: they choose between the engine, its stand-in and files"),
    (("terminal",), "text and bars for a terminal: drawing, no policy"),
    (("bars",), "one loop with one bar; live bars of a board"),
    (("pools",), "a function over items, in processes or threads, with its progress"),
    (("top",), "the full-screen view"),
    (
        ("analysis", "exporters", "demo"),
        "analysis trackers; other formats; the demo",
    ),
    (("integrations",), "other libraries: what counts from them, and what mirrors their bars"),
    (("dashboard",), "boards in a browser"),
    (("__init__",), "the public names"),
    (("cli",), "the command `headway`, a module for each of its commands"),
    (("__main__",), "`python -m headway`"),
)
_HEIGHT = {room: height for height, (rooms, _) in enumerate(ROOMS) for room in rooms}

SOURCES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyx", ".pxi"))
_IMPORTERS = ("import_module", "__import__")


def name_of(path: Path) -> str:
    """`engine.board` for engine/board.py, `cli` for cli/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}


def room_of(module: str) -> str:
    """The room of a module: its folder, or itself at the root of the package."""
    return module.partition(".")[0]


def height_of(module: str) -> int | None:
    """How far up the building a module's room is; None for one that has no place there."""
    return _HEIGHT.get(room_of(module))


def may_import(importer: str, imported: str) -> bool:
    """Does the order of the rooms allow it? Whether modules of one room go in circles is asked elsewhere."""
    mine, theirs = height_of(importer), height_of(imported)
    if mine is None or theirs is None:
        return False
    return theirs < mine or room_of(importer) == room_of(imported)


def _meant(dotted: str, name: str | None = None) -> str | None:
    """The module of the package that `import dotted`, or `from dotted import name`, runs; None for a foreign one."""
    if dotted.partition(".")[0] != "headway":
        return None
    inner = dotted.partition(".")[2]
    if name is not None:
        deeper = f"{inner}.{name}" if inner else name
        if deeper in MODULES or deeper in _HEIGHT:
            return deeper
    return inner or "__init__"


def _absolute(module: str, level: int, base: str | None) -> str:
    """The full name behind a relative import in `module`."""
    if not level:
        return base or ""
    path = MODULES.get(module)
    is_package = path is not None and path.name == "__init__.py"
    parts = ["headway", *([] if module == "__init__" else module.split("."))]
    kept = parts[: len(parts) - level + (1 if is_package else 0)]
    return ".".join([*kept, *([base] if base else [])])


def imports_of_python(module: str, source: str) -> Iterator[tuple[int, str]]:
    """(line, module of the package) of each import, wherever it stands: at the top, in a function, for types only."""
    for node in ast.walk(ast.parse(source)):
        found: list[str | None] = []
        if isinstance(node, ast.Import):
            found = [_meant(alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node.level, node.module)
            found = [_meant(base, alias.name) for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _IMPORTERS:
            text = node.args[0] if node.args else None
            if isinstance(text, ast.JoinedStr):
                text = text.values[0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found = [_meant(text.value.strip("."))]
        for meant in found:
            if meant is not None:
                yield getattr(node, "lineno", 0), meant


def imports_of_cython(module: str, source: str) -> Iterator[tuple[int, str]]:
    """The same of a source in Cython: imports and cimports."""
    for number, line in enumerate(source.splitlines(), 1):
        if match := re.match(r"\s*from\s+(\.*)([\w.]*)\s+c?import\s+\(?([^#)]*)", line):
            base = _absolute(module, len(match[1]), match[2])
            names = [name.split()[0] for name in match[3].split(",") if name.strip()]
            found = [_meant(base, name) for name in names] or [_meant(base)]  # or the names follow below
        elif match := re.match(r"\s*c?import\s+([\w., ]+)", line):
            found = [_meant(name.split()[0]) for name in match[1].split(",") if name.strip()]
        else:
            continue
        for meant in found:
            if meant is not None:
                yield number, meant


def imports_of(module: str) -> Iterator[tuple[int, str]]:
    """(line, module of the package) of each import of a module."""
    path = MODULES[module]
    reader = imports_of_python if path.suffix == ".py" else imports_of_cython
    return reader(module, path.read_text())
