"""Writes the output file of a command: whole, or not at all."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from headway import errors

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STANDARD_OUTPUT", "put"]

STANDARD_OUTPUT = Path("-")


def put(output: Path, write: Callable[[Path], Path]) -> None:
    """Put a file in place. write: writes it into the folder that it is given, and returns its path.

    The folder lies beside the place, and the file is moved from there; a pipe, a device or STANDARD_OUTPUT is written
    to instead. Raises HeadwayError for a directory, OSError that names `output`.
    """
    try:
        mode = stat.S_IFIFO if output == STANDARD_OUTPUT else output.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        raise errors.HeadwayError(f"{output} is a directory: name a file in it")
    try:
        if stat.S_ISREG(mode):
            place = Path(os.path.realpath(output))  # of a link: the file that it points to
            with tempfile.TemporaryDirectory(prefix=".headway-", dir=place.parent) as folder:
                os.replace(write(Path(folder)), place)
        else:
            with tempfile.TemporaryDirectory(prefix="headway-") as folder, write(Path(folder)).open("rb") as made:
                _pour(made, output)
    except OSError as error:
        if isinstance(error, errors.HeadwayError | BrokenPipeError):
            raise
        raise OSError(error.errno, error.strerror, str(output)) from None  # not the name of our temporary folder


def _pour(made: BinaryIO, output: Path) -> None:
    if output == STANDARD_OUTPUT:
        sys.stdout.flush()
        shutil.copyfileobj(made, sys.stdout.buffer)
    else:
        with output.open("wb") as stream:
            shutil.copyfileobj(made, stream)
