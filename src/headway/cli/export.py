"""Write the state of a board: as JSON, its tasks as lines of JSON or CSV, or all as a snapshot file for NumPy."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors
from headway.cli._file import put
from headway.cli._formats import FORMATS, emit, lines_of
from headway.cli._output import say
from headway.cli._source import Source, add_board, find

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
A file appears whole or not at all: it is written beside its place and renamed.

examples:
  headway export nightly > nightly.json
  headway export nightly -o nightly.json
  headway export nightly --format ndjson   one task a line; only json holds the whole board
  headway export nightly -o tasks.csv      pandas.read_csv("tasks.csv")
  headway export nightly -o nightly.npz    numpy.load("nightly.npz")["tasks"]["count"]
  headway export nightly --format npz      the board's own snapshot, where headway.read("nightly") finds it
"""
_ENDINGS = {".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv", ".npz": "npz"}


def configure(parser: argparse.ArgumentParser) -> None:
    add_board(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write to this file (default: standard output)"
    )
    parser.add_argument("--format", choices=(*FORMATS, "npz"), help="default: by the ending of FILE; json without one")


def run(options: argparse.Namespace) -> int:
    output: Path | None = options.output
    form: str = options.format or _format_of(output)
    source = find(options.board)
    if output is not None:
        put(output, lambda folder: _write(source, form, folder))
    elif form == "npz":
        say(str(_own_snapshot(source)))
    else:
        emit(_lines(source, form))
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


def _lines(source: Source, form: str) -> Iterator[str]:
    if form == "json":
        yield json.dumps(source.to_dict(), indent=2, allow_nan=False)
    else:
        yield from lines_of(source.view.name, source.view.tasks, form)


def _write(source: Source, form: str, folder: Path) -> Path:
    if form == "npz":
        from headway.files import snapshot

        return snapshot.write(source.view, folder)
    path = folder / "board"
    with path.open("wb") as file:
        file.writelines(line.encode("utf-8", "backslashreplace") + b"\n" for line in _lines(source, form))
        file.flush()
        os.fsync(file.fileno())
    return path


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
