"""Starts helper processes: the recorder of the boards of a directory, and the process that draws live bars.

They are not children of the program: it never has to wait for them, and they outlive it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import posix_ipc

from headway import errors
from headway.native import core
from headway.process import address
from headway.system.program import history_texts

if TYPE_CHECKING:
    from headway.native.core import Segment

__all__ = ["BOOTSTRAP", "FOLDER_OF_POSIX_IPC", "GUARD", "LISTENING", "RECORDER", "beside", "ensure", "wanted"]

GUARD = "HEADWAY_RECORDER"  # set in the environment of helper processes, which start no recorder
BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
RECORDER = "headway.recorder.recorder_process"
LISTENING = 3  # the descriptor by which a recorder gets the socket at its address
FOLDER_OF_POSIX_IPC = os.path.dirname(posix_ipc.__file__)
# These variables change how Python starts. The user set them for the program; they would break its helpers.
_NOT_HANDED_DOWN = frozenset(
    ("PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONPROFILEIMPORTTIME")
)

FAILED_LEAST = 8  # attempts in two seconds or more, before a program is told

_warned = False
_told: set[str] = set()  # boards that cannot be written, by uuid


def wanted() -> bool:
    """May this process start a recorder? Not with HEADWAY_RECORD=0, and not in a helper process."""
    return os.environ.get("HEADWAY_RECORD", "1") not in ("0", "") and GUARD not in os.environ


def ensure(segment: Segment) -> None:
    """See to a recorder for a board that should have one and has none. If several processes call it, one does.

    The recorder at work for this directory is told of the board, which takes it up at once; if there is none, it is
    started. If the board has none some seconds later all the same, as that one is stopped, say, one is started for this
    board alone.

    It never raises: progress is counted with or without a recorder. If none can be started, or if the recorder says
    that it cannot write, it warns once per process.
    """
    if not wanted():
        return
    _tell_errors(segment)
    asked = segment.may_start_recorder()
    if not asked:
        return
    try:
        _see_to(segment, in_vain=asked > 1)
    except OSError as error:
        _warn(error.strerror or str(error))
    except ValueError as error:
        _warn(str(error))


def _see_to(segment: Segment, *, in_vain: bool) -> None:
    root = os.path.dirname(segment.directory)
    wish = address.Wish(segment.name, segment.uuid, *history_texts())
    listening = None
    try:
        listening = address.ask(address.of(root), wish)
        if listening is None and not in_vain:
            return
    except BlockingIOError:  # so many wait there already that this one is asked for again
        if not in_vain:
            return
    except (OSError, errors.HeadwayError):  # no sockets here, no descriptor, another user at that name: one for itself
        pass
    try:
        beside(RECORDER, root, *wish, descriptors=() if listening is None else (listening.fileno(),))
    finally:
        if listening is not None:
            address.release(listening)


def beside(module: str, *arguments: str, descriptors: tuple[int, ...] = ()) -> int:
    """Start a process that runs `main` of a module of this package. Returns its pid.

    `main` gets the arguments; the descriptors have the numbers 3, 4, ... in that process.
    Raises OSError, and ValueError if `sys.executable` is not a Python that could run it.
    """
    python = sys.executable or ""
    if getattr(sys, "frozen", False) or not _is_python(python):
        raise ValueError(f"{python or 'this program'} is not a Python that could run a helper process")
    command = [python, "-P", str(BOOTSTRAP), module, FOLDER_OF_POSIX_IPC, *arguments]
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


def _is_python(program: str) -> bool:
    """Is this program a Python, by its name, that of what it links to, or its content? One that embeds one is not."""
    names = {os.path.basename(path).lower() for path in (program, os.path.realpath(program))}
    return bool(program) and (any(name.startswith(("python", "pypy")) for name in names) or _is_copy(program))


@functools.cache
def _is_copy(program: str) -> bool:
    """Is this program a copy, under a name of its own, of the interpreter that it has its library from?"""
    major, minor = sys.version_info[:2]
    other = f"{sys.base_exec_prefix}/bin/python{major}.{minor}"
    with contextlib.suppress(OSError):
        if os.stat(program).st_size == os.stat(other).st_size:
            with open(program, "rb") as one, open(other, "rb") as two:
                while (piece := one.read(1 << 16)) == two.read(1 << 16):
                    if not piece:
                        return True
    return False


def _tell_errors(segment: Segment) -> None:
    """Warn once, if the recorder of a board says that its files cannot be written."""
    failed, number = segment.recorder_errors
    if not number or segment.uuid in _told:
        return
    where = f"board {segment.name!r} in {segment.directory}"
    if number == errno.ENOENT:
        text = f"the directory of {where} was removed while it was in use: it is made anew, what it held is gone"
    elif number == errno.ESTALE:
        text = f"the directory of {where} was given to another board: this one is counted, but not recorded any more"
    elif failed >= FAILED_LEAST or not segment.recorder_wanted:
        text = (
            f"{where} is counted, but its snapshots and its history cannot be written: {os.strerror(number)}; "
            f"'headway doctor' says what to do"
        )
    else:
        return  # it may pass
    _told.add(segment.uuid)
    errors.tell(text)


def _warn(reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        errors.tell(f"the boards of this program have no recorder: {reason}; run 'headway record', or use record=False")
