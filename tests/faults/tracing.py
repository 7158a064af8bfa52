"""A child that a test traces, by system call or by instruction: by ptrace, which needs no build of its own.

For scripts that stay small and without threads. A tracer that ends takes its children along.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable

__all__ = ["PC", "STACK", "SYSTEM_CALL", "killed", "peek", "poke", "ptrace", "register", "run_to", "start", "step"]

PC, STACK = 128, 152  # of rip and rsp in the kernel's `struct user`, on x86-64
SYSTEM_CALL = signal.SIGTRAP | 0x80  # what a child stops by at a system call
_TRACEME, _PEEKTEXT, _PEEKUSER, _POKETEXT, _POKEUSER, _CONT, _SINGLESTEP, _SETOPTIONS = 0, 1, 3, 4, 6, 7, 9, 0x4200
_BREAKPOINT = 0xCC  # int3
_SYSGOOD, _EXITKILL = 1, 1 << 20

_call = ctypes.CDLL(None, use_errno=True).ptrace
_call.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_call.restype = ctypes.c_long


def ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    """The system call; what it reads comes back without a sign, and its errors are OSError."""
    ctypes.set_errno(0)
    answer: int = _call(request, pid, address, data)
    if answer == -1 and (number := ctypes.get_errno()):
        raise OSError(number, f"ptrace({request:#x}): {os.strerror(number)}")
    return answer & (1 << 64) - 1


def start(prepare: Callable[[], Callable[[], object]], afterwards: Callable[[], object] | None = None) -> int:
    """The pid of a child that has prepared something and is about to do it, stopped.

    It stops once more, by SIGSTOP, when it has done it. Let go on, it does what comes afterwards, and ends.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            operation = prepare()
            ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            operation()
            os.kill(os.getpid(), signal.SIGSTOP)  # what follows is no part of it
            if afterwards is not None:
                afterwards()
            code = 0
        finally:
            if code:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
    if not os.WIFSTOPPED(os.waitpid(pid, 0)[1]):
        raise AssertionError("the child that was to be traced has ended")
    ptrace(_SETOPTIONS, pid, 0, _SYSGOOD | _EXITKILL)
    return pid


def killed(pid: int) -> None:
    """End a traced child."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def step(pid: int) -> int:
    """Have a stopped child do one instruction. Returns the signal by which it stopped: SIGTRAP, if no other came."""
    ptrace(_SINGLESTEP, pid)
    return _stopped(pid)


def run_to(pid: int, address: int) -> None:
    """Have a stopped child go on until it is about to do the instruction at this address."""
    word = peek(pid, address)
    ptrace(_POKETEXT, pid, address, word & ~0xFF | _BREAKPOINT)
    ptrace(_CONT, pid)
    stopped_by = _stopped(pid)
    if stopped_by != signal.SIGTRAP or register(pid, PC) != address + 1:
        raise AssertionError(f"the child got signal {stopped_by} on its way")
    ptrace(_POKETEXT, pid, address, word)
    poke(pid, PC, address)


def _stopped(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    if not os.WIFSTOPPED(status):
        raise AssertionError(f"the child ended with wait status {status} in what it was to do")
    return os.WSTOPSIG(status)


def register(pid: int, offset: int) -> int:
    """A register of a stopped child, by its place in `struct user`."""
    return ptrace(_PEEKUSER, pid, offset)


def poke(pid: int, offset: int, value: int) -> None:
    """Set a register of a stopped child, by its place in `struct user`."""
    ptrace(_POKEUSER, pid, offset, value)


def peek(pid: int, address: int) -> int:
    """Eight bytes of a stopped child's memory."""
    return ptrace(_PEEKTEXT, pid, address)
