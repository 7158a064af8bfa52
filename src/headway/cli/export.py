"""Write a board as JSON or as a snapshot for NumPy; or its tasks as CSV, as Parquet or as a JSON object a line."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors
from headway.cli._file import STANDARD_OUTPUT, put
from headway.cli._output import emit, say
from headway.cli._source import Source, add_board, find
from headway.exporters.tables import FORMATS, lines_of, object_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
A file appears whole or not at all: it is written beside its place and renamed. In CSV every field is in quotation
marks, and a text that a spreadsheet might run as a formula has an apostrophe in front.

examples:
  headway export nightly > nightly.json
  headway export nightly -o nightly.json
  headway export nightly --format ndjson    one task a line; only json and npz hold the whole board
  headway export nightly -o tasks.csv       pandas.read_csv("tasks.csv")
  headway export nightly -o tasks.parquet   duckdb: SELECT state, count(*) FROM 'tasks.parquet' GROUP BY state
  headway export nightly -o nightly.npz     numpy.load("nightly.npz")["tasks"]["count"]
  headway export nightly --format npz       the board's own snapshot, where headway.read("nightly") finds it
"""
_BINARY = ("npz", "parquet")
_ENDINGS = {
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".npz": "npz",
    ".parquet": "parquet",
}


def configure(parser: argparse.ArgumentParser) -> None:
    add_board(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write to this file (default, and -: standard output)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=(*FORMATS, *_BINARY), help="default: by the ending of FILE; json without one")
    form.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")


def run(options: argparse.Namespace) -> int:
    output: Path | None = options.output
    form: str = options.format or _format_of(output)
    if output is None and form == "parquet":
        output = STANDARD_OUTPUT
    if output == STANDARD_OUTPUT and form in _BINARY and sys.stdout.isatty():
        raise errors.HeadwayError(f"{form} is no text, and standard output is a terminal: name a file with -o")
    source = find(options.board)
    if output is None and form == "npz":
        say(str(_own_snapshot(source)))
    elif output is None or (output == STANDARD_OUTPUT and form in FORMATS):
        emit(_pieces(source, form))
    else:
        put(output, lambda folder: _write(source, form, folder))
    return 0


def _format_of(output: Path | None) -> str:
    """The format that the ending of a file stands for: JSON without an ending, and for a pipe or device."""
    if output is None or not output.suffix or (output.exists() and not output.is_file()):
        return "json"
    form = _ENDINGS.get(output.suffix.lower())
    if form is None:
        known = ", ".join(_ENDINGS)
        raise errors.HeadwayError(
            f"{output}: {output.suffix} is not the ending of a format: use one of {known}, or choose with --format"
        )
    return form


def _pieces(source: Source, form: str) -> Iterator[str]:
    """The text of a file, piece by piece."""
    return object_lines(source.parts()) if form == "json" else lines_of(source.view.name, source.view, form)


def _write(source: Source, form: str, folder: Path) -> Path:
    if form == "npz":
        from headway.files import snapshot

        return snapshot.write(source.view, folder)
    path = folder / "board"
    if form == "parquet":
        from headway.exporters import parquet

        parquet.write(path, source.view.name, source.view)
    else:
        with path.open("wb") as file:
            file.writelines(piece.encode("utf-8", "backslashreplace") for piece in _pieces(source, form))
    _force(path)
    return path


def _force(path: Path) -> None:
    """Force a file to the disk, before it takes the place of another."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _own_snapshot(source: Source) -> Path:
    """Have a board in shared memory write its snapshot now; else return the file that is there."""
    if source.path is not None:
        return source.path
    from headway.upkeep import listing

    board = listing.attach(source.view.name)
    if board is None:
        raise errors.UnknownBoard(f"board {source.view.name!r} was removed meanwhile: nothing was written")
    with contextlib.closing(board):
        return board.write_snapshot()
