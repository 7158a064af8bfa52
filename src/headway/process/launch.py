"""Starts helper processes: the recorder of the boards of a directory, and the process that draws live bars.

They are not children of the program: it never has to wait for them, and they outlive it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import posix_ipc

from headway import errors
from headway.native import core
from headway.process import address
from headway.system.program import history_texts

if TYPE_CHECKING:
    from headway.native.core import Segment

__all__ = [
    "AT_EXIT_S",
    "BOOTSTRAP",
    "FOLDER_OF_POSIX_IPC",
    "GUARD",
    "LISTENING",
    "RECORDER",
    "beside",
    "ensure",
    "ensure_at_exit",
    "pass_on",
    "wanted",
]

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

AT_EXIT_S = 0.15  # so long a program that ends waits for the recorder that it told; one at work takes a millisecond
AT_EXIT_NAP_S = 0.005

_warned = False
_told_of: dict[str, int] = {}  # boards, by uuid, of which the process of this pid has told a recorder
_told: set[str] = set()  # boards that cannot be written, by uuid


def wanted() -> bool:
    """May this process start a recorder? Not with HEADWAY_RECORD=0, and not in a helper process."""
    return os.environ.get("HEADWAY_RECORD", "1") not in ("0", "") and GUARD not in os.environ


def ensure(segment: Segment, *, opens: bool = False) -> None:
    """See to a recorder for a board that should have one and has none. If several processes call it, one does.

    The recorder at work for this directory is told of the board, which takes it up at once; if there is none, it is
    started. If the board has none some seconds later all the same, as that one is stopped, say, one is started for this
    board alone.

    It never raises: progress is counted with or without a recorder. If none can be started, or if the recorder says
    that it cannot write, the first of the board's processes that notices warns, for all of its workers; and each that
    opens the board by its name.
    """
    if not wanted():
        return
    _tell_errors(segment, opens)
    asked = segment.may_start_recorder()
    if not asked:
        return
    try:
        _see_to(segment, in_vain=asked > 1)
    except OSError as error:
        _warn(segment, opens, error.strerror or str(error))
    except ValueError as error:
        _warn(segment, opens, str(error))


def ensure_at_exit(segment: Segment, until: float) -> None:
    """At the end of a program: see to a recorder once more, if it has told one and there is none.

    until: by the monotonic clock, so long it waits for the one that it told, which may have been killed before it was
    elected: nobody looks again once the program has gone. One that is started needlessly finds another one elected, and
    ends.
    """
    if _told_of.get(segment.uuid) != os.getpid() or not wanted():
        return
    while segment.recorder_wanted and not segment.retired and not segment.recorder_alive:
        if time.monotonic() >= until:
            _see_to(segment, in_vain=True)
            return
        time.sleep(AT_EXIT_NAP_S)


def _see_to(segment: Segment, *, in_vain: bool) -> None:
    root = os.path.dirname(segment.directory)
    if pass_on(root, address.Wish(segment.name, segment.uuid, *history_texts()), in_vain=in_vain):
        _told_of[segment.uuid] = os.getpid()


def pass_on(root: str, wish: address.Wish, *, in_vain: bool = False) -> bool:
    """Tell the recorder of this directory of a board, or start one. Returns whether it was told.

    Raises OSError, ValueError.

    in_vain: one was told before, which did not take the board up.
    """
    name = address.of(root)
    listening = None
    try:
        try:
            # Who has been told in vain is not told again: it may be the one that failed, and would be elected again.
            listening = address.take(name) if in_vain else address.ask(name, wish)
            if listening is None and not in_vain:
                return True
        except (OSError, errors.HeadwayError):  # no sockets here, no descriptor, another user at that name, or too many
            pass  # this board has one for itself
        beside(RECORDER, root, *wish, descriptors=() if listening is None else (listening.fileno(),))
        return False
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


def _tell_errors(segment: Segment, opens: bool) -> None:
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
    if segment.may_tell(number) or opens:
        errors.tell(text)


def _warn(segment: Segment, opens: bool, reason: str) -> None:
    global _warned
    if (segment.may_tell(0) or opens) and not _warned:
        _warned = True
        errors.tell(f"the boards of this program have no recorder: {reason}; run 'headway record', or use record=False")
