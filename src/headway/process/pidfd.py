"""Descriptors of processes, and what takes their place where the kernel or Python has none.

There are none on Linux before 5.3, where a sandbox denies the call, and in Pythons that were built with old headers.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal

from headway.system import descriptors

__all__ = ["GONE", "kill", "open_pidfd", "started", "told_by"]

GONE = "Pid:\t-1\n"  # `told_by` of a process that has ended and was waited for


def open_pidfd(pid: int) -> int:
    """A descriptor of a process, readable when it has ended; -1 if there are none here, or if it has ended already.

    Raises OSError if no descriptor is left.
    """
    opener = getattr(os, "pidfd_open", None)
    if opener is None:
        return -1
    try:
        descriptor = descriptors.above(opener(pid))
    except ProcessLookupError:
        return -1
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        return -1
    return descriptor


def told_by(descriptor: int) -> str | None:
    """Whose descriptor this is, in the kernel's words; None for one of another kind.

    They change once, when the process is gone. By `fstat` all of them, and much else, are one file before Linux 6.9.
    """
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="utf-8", errors="replace") as file:
            return next((line for line in file if line.startswith("Pid:")), None)
    except OSError:
        return None


def started(pid: int) -> str | None:
    """When a process started, in the kernel's words; None if it has ended. With the pid it names one process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def kill(descriptor: int, pid: int, since: str | None) -> bool:
    """Kill a process by its descriptor; by its pid if that is -1 and the process still started at `since`.

    Returns whether it was there.
    """
    with contextlib.suppress(OSError):
        if descriptor >= 0:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            return True
        if since is not None and started(pid) == since:
            os.kill(pid, signal.SIGKILL)
            return True
    return False
