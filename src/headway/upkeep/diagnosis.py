"""Finds what is wrong, or soon will be, with the boards of this user and with the machine. Prints nothing."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headway import errors
from headway.engine import segments
from headway.files import changes, history, snapshot
from headway.files import directory as files_of_boards
from headway.native import core
from headway.process import launch
from headway.system import locks, machine, memory, paths, shm, support
from headway.upkeep import removal
from headway.views import words

__all__ = ["Finding", "diagnose"]

SMALL_BYTES = 32 << 20  # of /dev/shm: three boards of the default size fill it
FULL_SHARE = 0.9
LOGIND = ("/etc/systemd/logind.conf", "/etc/systemd/logind.conf.d", "/run/systemd/logind.conf.d")
SYSTEMD = Path("/run/systemd/system")  # there if systemd runs
SYSTEM_UIDS = 1000  # RemoveIPC does not apply to users below this uid


@dataclass(frozen=True)
class Finding:
    """The result of one check. level: ok, warning or error; remedy: what to do, "" for nothing."""

    level: str
    about: str
    told: str
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


def diagnose() -> list[Finding]:
    """Check everything. Nothing is changed."""
    findings = [*_switches(), *_old_module(), *_shared_memory(), *_logout()]
    try:
        directories = files_of_boards.directories()
    except errors.UnusableDirectory as error:
        if not any(one.about == "directory" for one in findings):
            told = f"{error.filename}: {error.strerror}"
            findings.append(Finding("error", "directory", told, "set HEADWAY_DIR"))
        return findings
    for directory in directories:
        findings += _board(directory)
    findings += _strays(directories)
    return findings


def _switches() -> Iterator[Finding]:
    reason = support.unusable()
    if reason is not None:
        yield Finding("error", "platform", reason, "see the message")
    if support.disabled():
        yield Finding("warning", "environment", "HEADWAY_DISABLE is set: nothing is counted", "unset HEADWAY_DISABLE")
    if not launch.wanted():
        yield Finding(
            "warning",
            "environment",
            "HEADWAY_RECORD=0: boards that programs open from here have no recorder",
            "unset HEADWAY_RECORD, or run 'headway record'",
        )
    try:
        roots = paths.roots()
    except errors.UnusableDirectory as error:
        yield Finding("error", "directory", error.strerror or str(error), "set HEADWAY_DIR")
        return
    if not any(map(_can_be_used, roots)):
        told = f"no board can be opened: {' and '.join(map(str, roots))} cannot be written"
        yield Finding("error", "directory", told, "set HEADWAY_DIR to a directory that can be")
        return
    for root in roots:
        if root.exists() and not os.access(root, os.W_OK | os.X_OK):
            yield Finding(
                "error", "directory", f"{root} cannot be written", f"chmod u+rwx '{root}', or set HEADWAY_DIR"
            )


def _can_be_used(root: Path) -> bool:
    """Can this user write to it, or make it?"""
    there = next(place for place in (root, *root.parents) if place.exists())
    return os.access(there, os.W_OK | os.X_OK)


def _old_module() -> Iterator[Finding]:
    """Warn of a file_based_progress_tracker.py in this folder, which Python imports instead of Headway's."""
    path = Path.cwd() / "file_based_progress_tracker.py"
    if path.is_file():
        told = f"programs of this folder import {path}, not the tracker of Headway, which has the same name"
        yield Finding("warning", "analysis", told, f"move it away: mv '{path}' '{path}.old'")


def _shared_memory() -> Iterator[Finding]:
    found = memory.free_room(shm.SHM)
    if found is None:
        return  # _switches reports it
    size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    told = f"{shm.SHM} has {words.size(size)}, {words.size(free)} of them free"
    if ours := _taken():
        told += f"; your boards take {words.size(ours)} ('headway ls --sizes')"
    mount = f"mount -o remount,size=1g {shm.SHM} (in a container: start it with --shm-size=1g)"
    if size and size < SMALL_BYTES:
        yield Finding("warning", "shared memory", f"{told}: room for few boards of the default size", mount)
    elif size and free < (1 - FULL_SHARE) * size:
        yield Finding("warning", "shared memory", told, "headway gc")
    else:
        yield Finding("ok", "shared memory", told)


def _taken() -> int:
    """Bytes of the segments of this user."""
    taken = 0
    for path in shm.SHM.glob(f"headway-{os.geteuid()}-*"):
        with contextlib.suppress(OSError):  # it goes just now
            taken += path.lstat().st_size
    return taken


def _logout() -> Iterator[Finding]:
    """Does systemd remove our boards at logout? Source: logind.conf(5), RemoveIPC; system users are exempt."""
    if os.geteuid() < SYSTEM_UIDS or not SYSTEMD.exists():
        return
    value = "yes"  # the default
    for place in map(Path, LOGIND):
        for path in sorted(place.glob("*.conf")) if place.is_dir() else [place]:
            with contextlib.suppress(OSError):
                for match in re.finditer(r"^\s*RemoveIPC\s*=\s*(\w+)", path.read_text(errors="replace"), re.MULTILINE):
                    value = match[1]
    if value.lower() in ("yes", "true", "1", "on"):
        yield Finding(
            "warning",
            "logout",
            "systemd removes your boards from shared memory when your last session ends (RemoveIPC=yes)",
            "set RemoveIPC=no in /etc/systemd/logind.conf, or 'loginctl enable-linger' for programs that run on",
        )


def _board(directory: Path) -> Iterator[Finding]:
    name = directory.name
    if not os.access(directory, os.R_OK | os.X_OK):
        yield Finding("error", name, f"{directory} cannot be entered by this user", f"chmod u+rwx '{directory}'")
        return
    yield from _files(directory)
    try:
        uuid = segments.referenced(directory)
        segment = uuid and segments.attach(segments.object_name(name, uuid), watching=True)
    except FileNotFoundError:
        if (user := locks.elsewhere(directory)) is not None:
            yield Finding("warning", name, f"it is in use by {user}, in another {shm.SHM}", "use another board there")
        elif (user := locks.user(directory)) is not None:
            remedy = (
                "end that program and start it anew; systemd removes what a user has there at the end of the last "
                "session: set RemoveIPC=no in /etc/systemd/logind.conf, or 'loginctl enable-linger'"
            )
            yield Finding("error", name, f"its segment was removed from {shm.SHM}, but {user} uses it", remedy)
        return
    except errors.HeadwayError as error:
        yield Finding("error", name, str(error), f"headway rm --force {name}")
        return
    except OSError as error:
        yield Finding("error", name, str(error), "make its files readable again: the board may be intact")
        return
    if not segment:
        return
    try:
        yield from _live(name, directory, segment)
    finally:
        segment.close()


def _live(name: str, directory: Path, segment: core.Segment) -> Iterator[Finding]:
    used = segment.in_use
    if not used and not segment.recorder_alive:
        yield Finding("warning", name, "it is in shared memory, and no process uses it", f"headway gc {name}")
    silence = segment.recorder_silence
    if used and segment.recorder_wanted:
        if not segment.recorder_alive:
            yield Finding("warning", name, "it has no recorder: its files are not written", f"headway record {name}")
        elif silence is not None and silence > 10 * core.SILENT_SECONDS:
            pid = segment.recorder_pid
            told = f"its recorder (pid {pid}) is alive but has been silent for {silence:.0f} s"
            yield Finding("warning", name, told, f"kill -CONT {pid}, or kill -KILL {pid}: another one is started")
    failed, number = segment.recorder_errors
    if number:
        told = f"its files cannot be written: {os.strerror(number)} ({failed} attempts failed)"
        yield Finding("error", name, told, f"df '{directory}'; ls -ld '{directory}'")
    if segment.dropped:
        yield Finding(
            "warning",
            name,
            f"{segment.dropped} ended tasks lost their slots before they were written into the history",
            "open the board with a larger capacity",
        )
    if segment.pid_namespace != machine.namespace("pid"):
        yield Finding(
            "warning", name, "it was made in another pid namespace: pids that it shows may mean other processes here"
        )


def _files(directory: Path) -> Iterator[Finding]:
    name = directory.name
    reason = locks.refusal(directory)
    if reason is not None:
        yield Finding("error", name, f"{reason.filename}: {reason.strerror}", "set HEADWAY_DIR to another file system")
    for file in (snapshot.SNAPSHOT, snapshot.PREVIOUS, *changes.FILES):
        path = directory / file
        try:
            (changes.check if file in changes.FILES else snapshot.read)(path)
        except errors.UnknownBoard:
            continue
        except (errors.HeadwayError, OSError) as error:
            level = "warning" if file in (snapshot.PREVIOUS, changes.FILES[1]) else "error"
            theirs = isinstance(error, errors.NotOwner)
            yield Finding(level, name, str(error), "leave it to that user" if theirs else f"rm '{path}'")
    try:
        history.read(directory, limit=1)
    except (errors.HeadwayError, OSError) as error:
        yield Finding("error", name, str(error), f"headway history {name} --check")
    aside = sorted(path.name for path in directory.glob("*.damaged-*"))
    if aside:
        told = f"damaged files were set aside: {', '.join(aside)}"
        yield Finding("warning", name, told, f"look at them, then: rm '{directory}'/*.damaged-*")
    log = directory / "recorder.log"
    with contextlib.suppress(OSError):
        told = log.read_text(errors="replace") if stat.S_ISREG(log.lstat().st_mode) else ""  # not a pipe
        lines = told[-4000:].strip().splitlines()
        if lines:
            told = f"its recorder ended with an error: {lines[-1]} ({lines[0]})"
            yield Finding("error", name, told, f"read '{log}', then rm it")


def _strays(directories: list[Path]) -> Iterator[Finding]:
    """Segments and semaphores that no directory refers to."""
    referenced = set()
    for directory in directories:
        with contextlib.suppress(errors.HeadwayError, OSError):
            referenced.add(segments.referenced(directory))
    old = time.time() - removal.GRACE_S
    roots = paths.roots()
    elsewhere = 0
    for path in sorted(shm.SHM.glob(f"headway-{os.geteuid()}-*")):
        with contextlib.suppress(OSError):
            if removal.is_of_other_directories(path, roots):
                elsewhere += 1
            elif path.name[-32:] not in referenced and path.stat().st_mtime < old:
                yield Finding("warning", "shared memory", f"nothing refers to the segment {path.name}", "headway gc")
    if elsewhere:
        told = f"{elsewhere} of the segments belong to boards of other directories (HEADWAY_DIR): not looked at"
        yield Finding("ok", "shared memory", told)
    for path in sorted(shm.SHM.glob(f"sem.headway-{os.geteuid()}-*")):
        with contextlib.suppress(OSError):
            if not (shm.SHM / path.name.removeprefix("sem.")).exists() and path.stat().st_mtime < old:
                yield Finding("warning", "shared memory", f"the segment of semaphore {path.name} is gone", "headway gc")
