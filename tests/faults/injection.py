"""Has chosen system calls of a process fail, or a signal arrive at them: a full disk, a broken one, no descriptors.

By ptrace, as `syscalls` kills: the call is not made, and the process is told an errno. For x86-64, whose registers it
writes. For scripts that stay small and without threads.
"""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tests.faults.syscalls import number_of
from tests.faults.tracing import SYSTEM_CALL, poke, ptrace, start

__all__ = ["CALLS", "Injected", "during"]

_SYSCALL, _DETACH = 24, 17
_RAX, _ORIG_RAX = 80, 120  # in the kernel's `struct user`
_NEVER = (1 << 64) - 1  # as the number of a call: the kernel makes none, and answers what we put there

BOUND_S = 30.0  # an operation that takes longer hangs

CALLS = {
    "read": 0, "write": 1, "mmap": 9, "mprotect": 10, "pread64": 17, "pwrite64": 18, "writev": 20, "madvise": 28,
    "dup": 32, "dup2": 33, "flock": 73, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "rename": 82, "mkdir": 83,
    "link": 86, "unlink": 87, "fchmod": 91, "futex": 202, "clock_nanosleep": 230, "openat": 257, "mkdirat": 258,
    "newfstatat": 262, "unlinkat": 263, "renameat": 264, "linkat": 265, "fallocate": 285, "dup3": 292,
    "renameat2": 316,
}  # fmt: skip


@dataclass(frozen=True)
class Injected:
    """What came of it: how many calls could have been chosen, whether one was, how the operation's end was told."""

    met: int
    hit: bool
    code: int


def during(
    operation: Callable[[], object],
    afterwards: Callable[[], object],
    calls: Collection[str],
    at: int,
    *,
    error: int = 0,
    lasting: bool = False,
) -> Injected:
    """Do the operation in a child, with something happening at the n-th of these calls, counted from 1 (0: never).

    error: the call fails with this errno; lasting: at all later ones, too; calls: by name. Then afterwards() runs,
    undisturbed, in the same child; what it raises is printed, and makes code 1. A child that takes too long is killed:
    TimeoutError.
    """
    if platform.machine() != "x86_64":
        raise SystemExit("the registers of other processors than x86-64 are not known here")
    wanted = {CALLS[name] for name in calls}
    pid = start(lambda: operation, afterwards)
    met, hit, deadline = 0, False, time.monotonic() + BOUND_S
    forwarded = 0
    while True:
        ptrace(_SYSCALL, pid, 0, forwarded)
        forwarded = 0
        status = _wait(pid, deadline)
        if not os.WIFSTOPPED(status):
            raise AssertionError(f"the child ended with wait status {status} in what it was to do")
        stopped_by = os.WSTOPSIG(status)
        if stopped_by == signal.SIGSTOP:
            break
        if stopped_by != SYSTEM_CALL:
            forwarded = stopped_by
            continue
        number = number_of(pid)
        if number not in wanted:
            continue
        met += 1
        if met != at and not (lasting and at and met > at):
            continue
        hit = True
        if error:
            _fail(pid, error, deadline)
    ptrace(_DETACH, pid, 0, 0)
    os.kill(pid, signal.SIGCONT)
    status = _wait(pid, deadline)
    return Injected(met, hit, os.waitstatus_to_exitcode(status))


def _fail(pid: int, error: int, deadline: float) -> None:
    """Have the call that a child is about to make fail."""
    poke(pid, _ORIG_RAX, _NEVER)
    ptrace(_SYSCALL, pid)
    _wait(pid, deadline)
    poke(pid, _RAX, (1 << 64) - error)


def _wait(pid: int, deadline: float) -> int:
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise TimeoutError(f"a child was not done after {BOUND_S:g} s")
        time.sleep(0)
