"""What the kernel reports about this machine: its name, its boot, the namespaces of this process.

These distinguish machines and containers. They do not decide which processes are alive on a board: the locks on its
segment do (see native/identity.h).
"""

from __future__ import annotations

import os
from functools import lru_cache

__all__ = ["boot_id", "host", "namespace", "shared_memory"]


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None  # there is no /proc (a bare chroot): each caller has a neutral answer


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


def shared_memory() -> str:
    """A text that identifies the /dev/shm of this process as long as anybody uses it; "" if it cannot be told.

    No two file systems in use have one number of a device within a boot, and no two folders of one file system one
    inode: containers may have folders of one disk there.
    """
    try:
        found = os.stat("/dev/shm")
    except OSError:
        return ""
    return f"{boot_id().hex()} {found.st_dev} {found.st_ino}" if any(boot_id()) else ""


def host() -> str:
    """The name of the host. It is part of the default directory, as two hosts with one home must not share files."""
    return os.uname().nodename or "localhost"
