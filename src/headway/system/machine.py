"""What the kernel says about this process and this machine: start time, name, boot, namespaces.

Nothing here decides who is alive on a board: the locked bytes of its segment do (see native/identity.h). Pid and start
time are shown to people, and tell two machines or containers apart.
"""

from __future__ import annotations

import os
import sys
import time
from functools import lru_cache

__all__ = ["boot_id", "host", "namespace", "process_name", "process_started_ns"]


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None  # there is no /proc (a bare chroot): each caller has a neutral answer


def process_started_ns() -> int:
    """When this process started, in nanoseconds since 1970; the present time if the kernel does not say.

    Source: proc_pid_stat(5), field 22.
    """
    stat = _read("/proc/self/stat")
    if stat is None:
        return time.time_ns()
    ticks = int(stat.rpartition(")")[2].split()[19])  # the name before ")" may hold blanks
    since_boot_ns = ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + since_boot_ns


def process_name() -> str:
    """A name of this process for people: the one that multiprocessing gave a child, else the script's."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None:
        name = str(multiprocessing.current_process().name)
        if name != "MainProcess":
            return name
    script = getattr(sys, "argv", None) or [""]
    return os.path.basename(script[0]) or "python"


@lru_cache(maxsize=1)
def boot_id() -> bytes:
    """16 bytes that identify this boot of the machine; zeros if the kernel does not say."""
    text = (_read("/proc/sys/kernel/random/boot_id") or "").strip().replace("-", "")
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    return found if len(found) == 16 else bytes(16)


def namespace(kind: str) -> int:
    """The inode of this process's namespace of a kind ("pid", "time"); 0 if there is none."""
    try:
        return os.stat(f"/proc/self/ns/{kind}").st_ino
    except OSError:
        return 0


def host() -> str:
    """The name of the host. It is part of the default directory: two hosts that share a home must not share files."""
    return os.uname().nodename or "localhost"
