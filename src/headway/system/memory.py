"""How much memory the kernel would still give this process, before it begins to kill.

A page of /dev/shm is memory. Where a limit is passed while pages are taken, there is no error: a process is killed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Limit", "free_room", "limits"]

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Limit:
    """A limit on memory. free: bytes that it leaves; told: what it is; remedy: how to raise it."""

    free: int
    told: str
    remedy: str


def limits() -> Iterator[Limit]:
    """The limits on memory that concern this process; none where the kernel does not tell them.

    Swap counts as room, and so do pages and entries of files, which the kernel drops.
    """
    machine = _numbers(PROC / "meminfo")  # in KiB
    if "MemAvailable" in machine:
        free = (machine["MemAvailable"] + machine.get("SwapFree", 0)) << 10
        yield Limit(free, "this machine", "end programs that use memory")
    swap_free = machine.get("SwapFree", 0) << 10
    remedy = "raise the memory limit of this container or service"
    for folder in _cgroups(""):  # version 2
        most, used = _number(folder / "memory.max"), _number(folder / "memory.current")
        if most is not None and used is not None:
            swap_most, swap_used = _number(folder / "memory.swap.max"), _number(folder / "memory.swap.current")
            swap = swap_free if swap_most is None else min(swap_free, max(swap_most - (swap_used or 0), 0))
            told = f"the memory limit of {folder} ({most / 2**20:.1f} MiB)"
            yield Limit(most - used + _droppable(folder, "") + swap, told, remedy)
    for folder in _cgroups("memory"):  # version 1
        most, used = _number(folder / "memory.limit_in_bytes"), _number(folder / "memory.usage_in_bytes")
        if most is not None and used is not None and most < 1 << 60:  # more: no limit
            told = f"the memory limit of {folder} ({most / 2**20:.1f} MiB)"
            yield Limit(most - used + _droppable(folder, "total_") + swap_free, told, remedy)


def _cgroups(controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of those around it. controller: of version 1; "": version 2."""
    top = CGROUPS / controller
    with contextlib.suppress(OSError):
        for line in (PROC / "self" / "cgroup").read_text(errors="replace").splitlines():
            _, controllers, path = line.split(":", 2)
            if controller not in controllers.split(","):
                continue
            there = Path(os.path.normpath(f"{top}/{path}"))
            # In a container without a namespace of its own for these, the path is the host's: then it is not there.
            yield from (folder for folder in (there, *there.parents) if top in folder.parents)
            yield top
            return


def _droppable(folder: Path, prefix: str) -> int:
    """Bytes of this control group that the kernel takes back before it kills: pages and entries of files.

    Version 1 does not tell of the entries (`slab_reclaimable`).
    """
    found = _numbers(folder / "memory.stat")
    return sum(found.get(name, 0) for name in (f"{prefix}inactive_file", f"{prefix}active_file", "slab_reclaimable"))


def _number(path: Path) -> int | None:
    """The number in a file of the kernel; None without one ("max" is none)."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _numbers(path: Path) -> dict[str, int]:
    """The numbers in a file of lines "name number" or "name: number unit", by name."""
    found = {}
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, number, *_ = line.replace(":", " ").split()
            found[name] = int(number)
    return found


def free_room(place: str | Path) -> os.statvfs_result | None:
    """What the file system of this place has free; None where the system does not tell, so that writing has to."""
    with contextlib.suppress(OSError):
        return os.statvfs(place)
    return None
