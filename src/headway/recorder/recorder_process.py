"""The process that records one board, as headway.process.launch starts it."""

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
from headway.recorder.recorder import Recorder

__all__ = ["main"]


def main(name: str, uuid: str) -> None:
    """Record the board of this segment until it is no longer used: the life of a recorder process."""
    try:
        segment = segments.attach(segments.object_name(name, uuid), watching=True)
    except (FileNotFoundError, errors.HeadwayError):
        return  # removed, or damaged, since we were started; whoever opens it is told
    board = Board(segment, Path(segment.directory))
    try:
        recorder = Recorder.elected(board)
    except errors.HeadwayError:
        return  # another one was quicker

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: recorder.stop())
    try:
        recorder.run()
    except BaseException:
        _tell(board.directory, traceback.format_exc())
        raise


def _tell(directory: Path, text: str) -> None:
    """Nobody sees a recorder's standard error: why it failed stands in a file, which `headway doctor` shows."""
    path = directory / "recorder.log"
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)  # whatever it is: a link to a file that matters, say
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} pid {os.getpid()}\n{text}")
