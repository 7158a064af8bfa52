"""Write the state of a board: as JSON, or as a snapshot file that headway.read and numpy.load read."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors, maintenance, snapshot
from headway.cli._output import print_json, say
from headway.cli._source import Source, add_board, find

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
A file appears whole or not at all: it is written beside its place and renamed.

examples:
  headway export nightly > nightly.json
  headway export nightly -o nightly.json
  headway export nightly -o nightly.npz    numpy.load("nightly.npz")["tasks"]["count"]
  headway export nightly --format npz      the board's own snapshot, where headway.read("nightly") finds it
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_board(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write to this file (default: standard output)"
    )
    parser.add_argument("--format", choices=("json", "npz"), help="default: npz for a FILE that ends so, else json")


def run(options: argparse.Namespace) -> int:
    output: Path | None = options.output
    as_npz = (options.format or ("npz" if output is not None and output.suffix == ".npz" else "json")) == "npz"
    source = find(options.board)
    if output is None:
        if as_npz:
            say(str(_own_snapshot(source)))
        else:
            print_json(source.to_dict())
        return 0
    _put(
        output, (lambda folder: snapshot.write(source.view, folder)) if as_npz else lambda folder: _json(source, folder)
    )
    return 0


def _own_snapshot(source: Source) -> Path:
    """Have the board write its snapshot now, if it is in shared memory; else it is the file that is there."""
    if source.path is not None:
        return source.path
    board = maintenance.attach(source.view.name)
    if board is None:
        raise errors.UnknownBoard(f"board {source.view.name!r} was removed meanwhile: nothing was written")
    with contextlib.closing(board):
        return board.write_snapshot()


def _json(source: Source, folder: Path) -> Path:
    path = folder / "board.json"
    with path.open("w", encoding="utf-8") as file:
        json.dump(source.to_dict(), file, indent=2, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    return path


def _put(output: Path, write: Callable[[Path], Path]) -> None:
    """Have a file written into a folder beside its place, and put it there; a pipe or device gets its bytes instead."""
    try:
        mode = output.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        raise errors.HeadwayError(f"{output} is a directory: name a file in it")
    if stat.S_ISREG(mode):
        place = Path(os.path.realpath(output))  # a link goes on to lead there
        with tempfile.TemporaryDirectory(prefix=".headway-", dir=place.parent) as folder:
            os.replace(write(Path(folder)), place)
    else:
        with tempfile.TemporaryDirectory(prefix="headway-") as folder:
            output.write_bytes(write(Path(folder)).read_bytes())
