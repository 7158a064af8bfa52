"""Starts helper processes, which are nobody's children: the recorder of a board, and who draws live bars."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import posix_ipc

from headway.native import core

if TYPE_CHECKING:
    from headway.native.core import Segment

__all__ = ["BOOTSTRAP", "FOLDER_OF_POSIX_IPC", "GUARD", "RECORDER", "beside", "ensure", "wanted"]

GUARD = "HEADWAY_RECORDER"  # set in the recorder, which starts none
BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
RECORDER = "headway.recorder.recorder_process"
FOLDER_OF_POSIX_IPC = os.path.dirname(posix_ipc.__file__)
# What bends the start of a Python: meant for the user's program, a trap for its helper.
_NOT_HANDED_DOWN = frozenset(
    ("PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONPROFILEIMPORTTIME")
)

_warned = False


def wanted() -> bool:
    """May boards be recorded here? Not with HEADWAY_RECORD=0, and not in a recorder."""
    return os.environ.get("HEADWAY_RECORD", "1") not in ("0", "") and GUARD not in os.environ


def ensure(segment: Segment) -> None:
    """Start the recorder of a board that should have one and has none alive; of several processes, one does.

    Never raises: progress is counted with or without it. Says once a process why it cannot.
    """
    if not wanted() or not segment.may_start_recorder():
        return
    try:
        beside(RECORDER, segment)
    except OSError as error:
        _warn(error.strerror or str(error))
    except ValueError as error:
        _warn(str(error))


def beside(module: str, segment: Segment, *arguments: str, descriptors: tuple[int, ...] = ()) -> int:
    """Start a process that runs `main` of a module of this package for a board. Returns its pid.

    `main` gets the board's name and uuid, and the arguments; the descriptors are 3, 4, ... there.
    Raises OSError, and ValueError where this program is run by no Python that could be started.
    """
    python = sys.executable or ""
    if getattr(sys, "frozen", False) or not os.path.basename(python).startswith(("python", "pypy")):
        raise ValueError(f"{python or 'this program'} is no Python that could run one")
    command = [python, "-P", str(BOOTSTRAP), module, FOLDER_OF_POSIX_IPC, segment.name, segment.uuid, *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_DOWN}
    environment[GUARD] = "1"
    try:
        return core.start_program(
            [os.fsencode(part) for part in command],
            [os.fsencode(f"{name}={value}") for name, value in environment.items()],
            descriptors,
        )
    except OSError as error:
        raise OSError(error.errno, f"{python} could not be started ({error})") from None


def _warn(reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"nobody records the boards of this program: {reason}; run 'headway record' beside it, or say record=False",
            RuntimeWarning,
            stacklevel=3,
        )
