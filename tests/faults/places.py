"""Runs a program in places where something is missing: system calls that are denied, file systems that are not there.

python -m tests.faults.places [--long] [WORD...]

Each place is a seccomp filter or a set of mounts around one run of `smoke.py`. Whatever is missing, the program ends
with 0, prints every line, and its loops count. A board is opened without a warning; or it is refused by a typed error,
and loops warn once that they are counted in this process only. Needs root, for the mounts.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import json
import os
import platform
import secrets
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from headway.system import locks

ROOT = Path(__file__).resolve().parents[2]
SMOKE = Path(__file__).with_name("smoke.py")
BOUND_S = 60.0

# Numbers of system calls: of x86-64, of AArch64 (0: there is none).
CALLS = {
    "clock_nanosleep": (230, 115),
    "clone3": (435, 435),
    "close_range": (436, 436),
    "copy_file_range": (326, 285),
    "dup3": (292, 24),
    "fchmod": (91, 52),
    "flock": (73, 32),
    "fsync": (74, 82),
    "getrandom": (318, 278),
    "inotify_init1": (294, 26),
    "kill": (62, 129),
    "linkat": (265, 37),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "memfd_create": (319, 279),
    "openat2": (437, 437),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "ptrace": (101, 117),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "setsid": (112, 157),
    "statfs": (137, 43),
    "statx": (332, 291),
    "sysinfo": (99, 179),
    "utimensat": (280, 88),
}


@dataclass(frozen=True)
class Place:
    """A place. denied: calls with the errors that they end with; shell: what is done in a mount namespace before."""

    name: str
    denied: tuple[tuple[str, int], ...] = ()
    shell: str = ""
    opens: bool = True
    home: bool = False  # without HEADWAY_DIR: below the home of a user
    quick: bool = False
    warnings: int = 0  # of what is missing there, each once


def denied(call: str, number: int, *, opens: bool = True, quick: bool = False) -> Place:
    return Place(f"{call} ends with {errno.errorcode[number]}", ((call, number),), opens=opens, quick=quick)


READ_ONLY = (
    "for place in /tmp /var/tmp /; do mount --bind $place $place && mount -o remount,ro,bind $place || exit 9; done"
)
PLACES = [
    denied("pidfd_open", errno.ENOSYS, quick=True),
    denied("pidfd_open", errno.EPERM),
    denied("pidfd_send_signal", errno.ENOSYS),
    denied("flock", errno.ENOLCK, opens=False, quick=True),
    denied("flock", errno.ENOSYS, opens=False),
    denied("fchmod", errno.EPERM),
    denied("fsync", errno.EINVAL),
    denied("linkat", errno.EPERM, quick=True),
    denied("sched_setscheduler", errno.EPERM),
    denied("sched_setaffinity", errno.EPERM),
    denied("prlimit64", errno.EPERM),
    # A helper in the session of its program would be ended with it by Ctrl-C: no recorder, no live bars, each is said.
    Place("setsid ends with EPERM", (("setsid", errno.EPERM),), warnings=2),
    denied("clone3", errno.ENOSYS),
    denied("close_range", errno.ENOSYS),
    denied("copy_file_range", errno.ENOSYS),
    denied("statx", errno.ENOSYS),
    denied("openat2", errno.ENOSYS),
    denied("getrandom", errno.ENOSYS),
    denied("memfd_create", errno.ENOSYS),
    denied("inotify_init1", errno.EMFILE),
    denied("membarrier", errno.ENOSYS),
    denied("clock_nanosleep", errno.ENOSYS),
    denied("ptrace", errno.EPERM),
    denied("prctl", errno.EPERM),
    denied("statfs", errno.ENOSYS, quick=True),
    denied("sysinfo", errno.EPERM),
    denied("utimensat", errno.EPERM),
    Place("a read-only root without a temporary directory", shell=READ_ONLY, opens=False, home=True, quick=True),
    Place("no /dev/shm", shell="mount -t tmpfs -o ro tmpfs /dev", opens=False, quick=True),
    Place("a read-only /dev/shm", shell="mount -t tmpfs -o ro tmpfs /dev/shm", opens=False),
    Place("a /dev/shm of 64 KiB", shell="mount -t tmpfs -o size=64k tmpfs /dev/shm", opens=False, quick=True),
    Place("a /dev/shm of two files", shell="mount -t tmpfs -o nr_inodes=2 tmpfs /dev/shm", opens=False),
    Place("a /dev/shm without limits", shell="mount -t tmpfs -o size=0,nr_inodes=0 tmpfs /dev/shm"),
    Place("no /proc", shell="mount -t tmpfs tmpfs /proc", opens=False, quick=True),
    Place("a /proc of processes alone", shell="mount -t proc -o subset=pid proc /proc"),
    Place("no /sys", shell="mount -t tmpfs tmpfs /sys"),
    Place("files of no length", shell="ulimit -f 0", opens=False, quick=True),
]


def deny(calls: tuple[tuple[str, int], ...]) -> None:
    """Have these system calls fail from here on, in this process and its children. Source: seccomp(2), bpf(4)."""
    column = {"x86_64": 0, "aarch64": 1}[platform.machine()]
    load, equal, answer, allow, error = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000
    program = [struct.pack("HBBI", load, 0, 0, 0)]
    for call, number in calls:
        program.append(struct.pack("HBBI", equal, 0, 1, CALLS[call][column]))
        program.append(struct.pack("HBBI", answer, 0, 0, error | number))
    program.append(struct.pack("HBBI", answer, 0, 0, allow))
    code = ctypes.create_string_buffer(b"".join(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    filter_ = Program(len(program), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.byref(filter_), 0, 0):  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
        raise OSError(ctypes.get_errno(), "no seccomp filter")


def end_recorders(folder: Path) -> None:
    """End the recorders of the boards in this folder, which would outlive the place for some seconds."""
    for lock in folder.glob(f"*/{locks.RECORDER}"):
        holder = locks.lock_holder(lock.parent)
        if holder is not None:
            with contextlib.suppress(OSError):
                os.kill(int(holder.split()[1]), signal.SIGKILL)


def run(place: Place, methods: tuple[str, ...]) -> str:
    """What was wrong in a place, "" for nothing."""
    name = f"places-{secrets.token_hex(4)}"
    expected = ["began", "loop 4950", "opened" if place.opens else "refused"]
    if place.opens:
        expected += ["counted 1000 success", *(f"pool {method} 400 [0, 0]" for method in methods)]
        expected += ["copied 1000", "read [1000]"]
    expected += ["loop again 45", "ended"]
    with tempfile.TemporaryDirectory(prefix="headway-places-", ignore_cleanup_errors=True) as folder:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "always", "HEADWAY_DIR": folder}
        if place.home:
            environment |= {"HOME": "/nowhere"}
            del environment["HEADWAY_DIR"]
        words = [sys.executable, "-m", "tests.faults.places", "--within", place.name, name, *methods]
        mounts = f'mount -t tmpfs -o mode=1777 tmpfs /dev/shm && {place.shell or ":"} && exec "$@"'
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", mounts, "sh", *words],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            said, errors = process.communicate(timeout=BOUND_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, errors = process.communicate()
            return f"it was not done after {BOUND_S:.0f} s: {said}{errors}"
        finally:
            end_recorders(Path(folder))
    lines = ["refused" if line.startswith("refused ") else line for line in said.splitlines()]
    warnings = [line for line in errors.splitlines() if "Warning: " in line and "multi-threaded" not in line]
    most = place.warnings + (not place.opens)
    if process.returncode or lines != expected or "Traceback" in errors or len(warnings) > most:
        return f"code {process.returncode}, {len(warnings)} warnings\n{said}{errors}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only places that contain one of these")
    parser.add_argument("--long", action="store_true", help="all places, and pools of all kinds")
    given = parser.parse_args()
    methods = ("fork", "spawn", "forkserver") if given.long else ("fork",)
    wrong = tried = 0
    for place in PLACES:
        if (given.words and not any(word in place.name for word in given.words)) or not (
            given.long or given.words or place.quick
        ):
            continue
        tried += 1
        told = run(place, methods)
        if told:
            wrong += 1
            print(f"{place.name}: {told}", file=sys.stderr)
    print(json.dumps({"tried": tried, "of": "places", "failed": wrong, "note": ""}))
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--within"]:
        (found,) = (place for place in PLACES if place.name == sys.argv[2])
        if found.denied:
            deny(found.denied)
        os.execv(sys.executable, [sys.executable, str(SMOKE), *sys.argv[3:]])
    sys.exit(main())
