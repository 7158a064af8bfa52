"""Whether boards work on this system, and the one warning if they do not."""

from __future__ import annotations

import os
import sys

from headway import errors

__all__ = ["disabled", "lines_only", "silenced", "unusable", "warn_once", "without_modules"]

SHM = "/dev/shm"
DESCRIPTORS = "/proc/self/fd"  # a segment is opened a second time by its path there

_warned = False


def disabled() -> bool:
    """Has the user switched Headway off (HEADWAY_DISABLE=1)?"""
    return os.environ.get("HEADWAY_DISABLE", "") not in ("", "0")


def silenced() -> bool:
    """Has the user switched bars and lines off (HEADWAY_BARS=0)? Boards are kept all the same."""
    return os.environ.get("HEADWAY_BARS", "1") == "0"


def lines_only() -> bool:
    """Does the user want lines even on a terminal (HEADWAY_BARS=lines)?"""
    return os.environ.get("HEADWAY_BARS", "") == "lines"


def without_modules() -> str | None:
    """Why not even the files of boards can be read here, with the remedy; None if they can."""
    if not sys.platform.startswith("linux"):
        return f"boards live in Linux shared memory, and this is {sys.platform}: set HEADWAY_DISABLE=1 to do without"
    try:
        import posix_ipc  # noqa: F401 - only to see whether it can be imported

        from headway.native import core  # noqa: F401 - likewise
    except ImportError as error:
        if "interpreter" in str(error):  # "does not support loading in subinterpreters", "Interpreter change detected"
            return f"native modules cannot be loaded in a subinterpreter ({error}): open boards in the main interpreter"
        return (
            f"a native module is missing ({error}): install Headway anew for this Python, "
            f"{sys.version_info.major}.{sys.version_info.minor} ('pip install --force-reinstall headway'),"
            " on 64-bit Linux"
        )
    return None


def unusable() -> str | None:
    """Why no board can be opened here, with the remedy; None if boards work."""
    reason = without_modules()
    if reason is not None:
        return reason
    if not os.path.isdir(SHM):
        return f"there is no {SHM}: mount a tmpfs there ('mount -t tmpfs -o size=64m shm {SHM}')"
    if not os.access(SHM, os.W_OK | os.X_OK):
        return f"{SHM} cannot be written: mount it writable, with mode 1777"
    if not os.path.isdir(DESCRIPTORS):
        return f"there is no {DESCRIPTORS}: mount /proc ('mount -t proc proc /proc')"
    return None


def warn_once(reason: str) -> None:
    """Warn, once per process, that progress is counted in this process only."""
    global _warned
    if not _warned:
        _warned = True
        errors.tell(f"Headway counts in this process only, nobody else sees it: {reason}")
