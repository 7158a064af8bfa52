"""How commands write a file: whole, or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["put"]


def put(output: Path, write: Callable[[Path], Path]) -> None:
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
