"""The address of the recorder of a directory: where programs tell it of boards that want one.

One recorder serves all boards of a directory. It listens on a socket whose name stands in no file system (a name that
begins with NUL), so no count waits for a disk over it, and nothing of it is left over. Who binds the name has it, one
process at a time, and hands the socket to the recorder that it starts; the kernel frees the name when the last holder
has ended, however it ended. One message is one board. How nobody's message is lost is modelled in
tests/models/one_recorder.pml.

Recorders that could not serve each other's boards have different names: see `of`. Any user can take any name, so both
sides ask the kernel whose the other end is.
"""

from __future__ import annotations

import _socket  # socket would take a program some milliseconds, for names that are not needed here
import contextlib
import errno
import os
import struct
import sys
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple

from headway import errors
from headway.native import core
from headway.system import descriptors, machine, paths

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MESSAGE_MOST", "Taken", "Wish", "ask", "inherited", "is_ours", "of", "release", "take", "tell"]

Taken = _socket.socket
"""A socket that has a name, and listens."""

BACKLOG = 1024  # boards that are told while the recorder starts, say; more are asked for again some seconds later
MESSAGE_MOST = 1024
LEAVING_S = 0.05  # a recorder that leaves frees its name within a millisecond
NAP_S = 0.001
TEXT_MOST = 64
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid

_taken: set[Taken] = set()  # until they are handed over: a forked child would keep the name


class Wish(NamedTuple):
    """A board that wants a recorder, and how its history is to be kept: HEADWAY_HISTORY_DAYS and _ROWS, or ""."""

    name: str
    uuid: str
    days: str = ""
    rows: str = ""

    def encoded(self) -> bytes:
        """As a message."""
        return "\0".join(self).encode()

    @classmethod
    def read(cls, parts: Sequence[str]) -> Wish:
        """From what was sent or handed over. Raises ValueError."""
        wish = cls(*parts) if 2 <= len(parts) <= len(cls._fields) else cls("", "")
        paths.check_name(wish.name)
        if len(wish.uuid) != 32 or any(digit not in "0123456789abcdef" for digit in wish.uuid):
            raise ValueError(f"{wish.uuid!r} is no uuid")
        return wish._replace(days=wish.days[:TEXT_MOST], rows=wish.rows[:TEXT_MOST])

    @classmethod
    def decoded(cls, message: bytes) -> Wish:
        """From a message, which may hold anything. Raises ValueError."""
        return cls.read(message.decode().split("\0"))


def _ours() -> bytes:
    """What every name of this user begins with, in each version."""
    return f"\0headway-{os.geteuid()}-recorder-".encode()


def of(root: str) -> bytes:
    """The name for the boards of a directory.

    It is another one for each user, layout, version of Headway and niceness, and for processes that see another
    /dev/shm, other processes, files or clocks. Of two processes that share all that, a board has the same directory.
    """
    version = getattr(sys.modules["headway"], "__version__", "")
    spaces = [machine.namespace(kind) for kind in ("pid", "mnt", "user", "time")]
    told = repr((root, machine.shared_memory(), spaces, os.getpriority(os.PRIO_PROCESS, 0))).encode()
    digits = f"{zlib.crc32(told):08x}{zlib.crc32(told[::-1]):08x}"  # one shared by two directories does no harm
    return _ours() + f"{core.LAYOUT_VERSION}-{version}-{digits}".encode()


def _new() -> _socket.socket:
    """A socket that never waits, above the standard streams. Raises OSError."""
    made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_NONBLOCK)
    return made if made.fileno() > 2 else _socket.socket(fileno=descriptors.above(made.detach()))


def is_ours(connected: _socket.socket) -> bool:
    """Is the other end a process of this user?"""
    told = connected.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(told)[1] == os.geteuid())


def tell(name: bytes, wish: Wish) -> bool:
    """Tell the recorder of this name of a board. False if there is none, or it is leaving.

    True: it reads that before it leaves. Raises NotOwner if another user has the name, BlockingIOError if so many wait
    there already that the kernel takes no more, OSError.
    """
    telling = _new()
    try:
        try:
            telling.connect(name)
        except ConnectionRefusedError:
            return False
        if not is_ours(telling):
            raise errors.NotOwner(f"another user listens at {name[1:].decode()}")
        telling.send(wish.encoded(), _socket.MSG_NOSIGNAL)  # who has hung up again ends no program
        return True
    finally:
        telling.close()


def take(name: bytes) -> Taken | None:
    """Take the name, and listen. None if another process has it. Raises OSError."""
    taken = _new()
    _taken.add(taken)
    try:
        taken.bind(name)
        taken.listen(BACKLOG)
    except BaseException as error:  # Ctrl-C, too: nobody could be told of boards as long as this process lives
        release(taken)
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return None
        raise
    return taken


def release(taken: Taken) -> None:
    """This process's hold on the name ends."""
    _taken.discard(taken)
    taken.close()


def ask(name: bytes, wish: Wish) -> Taken | None:
    """Tell the recorder of a board, or take its name if there is none. Returns the socket then, for a new recorder.

    None: it was told. Raises NotOwner, OSError if neither is possible.
    """
    give_up = time.monotonic() + LEAVING_S
    while True:
        with contextlib.suppress(BlockingIOError):  # it reads them in a moment, or somebody keeps it from that
            if tell(name, wish):
                return None
            taken = take(name)
            if taken is not None:
                return taken
        if time.monotonic() >= give_up:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        time.sleep(NAP_S)


def inherited(name: bytes, fd: int) -> Taken | None:
    """The socket that this process was handed as this descriptor; None if it is not that of the name.

    One of another version, which was installed while a program was running, is closed: nobody would read there.
    """
    try:
        handed = _socket.socket(fileno=fd)
    except OSError:
        return None
    try:
        of_it = handed.getsockname()
        listens = isinstance(of_it, bytes) and handed.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN)
        if listens and of_it == name:
            os.set_inheritable(fd, False)
            return handed
        if listens and of_it.startswith(_ours()):
            handed.close()
            return None
    except OSError:
        pass
    handed.detach()
    return None


def _after_fork_in_child() -> None:
    for taken in list(_taken):
        release(taken)


os.register_at_fork(after_in_child=_after_fork_in_child)
