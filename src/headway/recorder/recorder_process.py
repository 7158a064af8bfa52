"""The main function of a recorder process, which headway.process.launch starts."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
from pathlib import Path

from headway import errors
from headway.engine import segments
from headway.engine.board import Board
from headway.recorder import old_loops
from headway.recorder.recorder import Recorder
from headway.system import descriptors

__all__ = ["main"]


def main(name: str, uuid: str) -> None:
    """Record the board of this segment until no process uses it any more."""
    try:
        segment = segments.attach(segments.object_name(name, uuid), watching=True)
    except (FileNotFoundError, errors.HeadwayError):
        return  # it was removed or damaged since we were started; the next process that opens it gets the error
    board = Board(segment, Path(segment.directory))
    try:
        recorder = Recorder.elected(board)
    except errors.HeadwayError:
        return  # another process became the recorder

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: recorder.stop())
    try:
        reason = recorder.run()
        if recorder.gave_up:
            _tell(board.directory, f"{reason}\n")
    except BaseException:
        _tell(board.directory, traceback.format_exc())
        raise
    old_loops.tidy(board.directory.parent)


def _tell(directory: Path, text: str) -> None:
    """Write why the recorder failed into a file, which `headway doctor` shows: nobody sees its standard error."""
    path = directory / "recorder.log"
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)  # it may be a link to a file that matters
        descriptor = descriptors.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} pid {os.getpid()}\n{text}")
