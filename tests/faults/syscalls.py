"""Kills a process at a chosen system call of what it does: before the kernel has done anything of it.

By ptrace, so that it needs no build of its own and no tool. For scripts that stay small and without threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
import traceback
from collections.abc import Callable

__all__ = ["calls", "killed_at"]

_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_SYSGOOD, _EXITKILL = 1, 1 << 20
_ENTRY = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, pid: int, address: int = 0, data: object = None) -> None:
    if _libc.ptrace(request, pid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace({request:#x}): {os.strerror(number)}")


def _start(operation: Callable[[], object]) -> int:
    """The pid of a child that is about to do this, stopped."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            operation()
            os.kill(os.getpid(), signal.SIGSTOP)  # what follows is no part of it
            code = 0
        finally:
            if code:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
    if not os.WIFSTOPPED(os.waitpid(pid, 0)[1]):
        raise AssertionError("the child that was to be traced has ended")
    _ptrace(_SETOPTIONS, pid, 0, _SYSGOOD | _EXITKILL)
    return pid


def _number(pid: int) -> int | None:
    """The number of the system call that a stopped process is about to make; None if it is about to come back."""
    info = ctypes.create_string_buffer(88)
    _ptrace(_GET_SYSCALL_INFO, pid, len(info), ctypes.addressof(info))
    kind, number = struct.unpack_from("B23xQ", info)
    return number if kind == _ENTRY else None


def _run(operation: Callable[[], object], kill_at: int | None) -> tuple[list[int], bool]:
    """The system calls that were made, by number, and whether the child was killed at one."""
    pid = _start(operation)
    made: list[int] = []
    while True:
        _ptrace(_SYSCALL, pid)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            raise AssertionError(f"the child ended with wait status {status} in what it was to do")
        stopped_by = os.WSTOPSIG(status)
        if stopped_by == signal.SIGSTOP:
            break
        if stopped_by != signal.SIGTRAP | 0x80:
            raise AssertionError(f"the child got signal {stopped_by}")
        number = _number(pid)
        if number is not None:
            made.append(number)
            if len(made) == kill_at:
                break
    killed = len(made) == kill_at
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return made, killed


def calls(operation: Callable[[], object]) -> list[int]:
    """The numbers of the system calls that the operation makes, in order. It is done, in a process that is no more."""
    return _run(operation, None)[0]


def killed_at(number: int, operation: Callable[[], object]) -> bool:
    """Kill a child at the n-th system call of the operation, counted from 1. False if it made fewer."""
    return _run(operation, number)[1]
