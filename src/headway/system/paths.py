"""Where the files of a board are, and which names are legal."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from headway import errors
from headway.system import machine
from headway.system.program import program_name

__all__ = [
    "board_directory",
    "check_name",
    "chosen_name",
    "default_name",
    "make_private",
    "roots",
    "temporary",
    "unreadable",
    "unusable",
]

_UNUSABLE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)
# SQLite's 512 for a path, less those of the longest name that it makes there: a new history's journal.
DIRECTORY_BYTES_MOST = 470
_MAY_MAKE = os.W_OK | os.X_OK
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}\Z")


def check_name(name: str) -> str:
    """Return `name` if it is a legal board name: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot.

    Raises ValueError, which names it, or TypeError for anything but a str.
    """
    if not isinstance(name, str):
        raise TypeError(f"a board's name must be a str, not {name!r:.60} ({type(name).__name__})")
    if not _NAME.match(name):
        raise ValueError(f"board name {name!r} is not legal: use 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot")
    return name


def default_name(*, strict: bool = True) -> str:
    """The default board name of a program: HEADWAY_BOARD, else its own name.

    Raises InvalidVariable if HEADWAY_BOARD holds no legal name; strict=False: it is passed over then.
    """
    try:
        chosen = chosen_name()
    except errors.InvalidVariable:
        if strict:
            raise
        chosen = None
    return chosen if chosen is not None else program_name()


def chosen_name() -> str | None:
    """The board name in HEADWAY_BOARD; None without one. Raises InvalidVariable if it is not legal."""
    chosen = os.environ.get("HEADWAY_BOARD")
    if not chosen:
        return None
    try:
        return check_name(chosen)
    except ValueError as error:
        raise errors.InvalidVariable(f"HEADWAY_BOARD is wrong: {error}") from None


@cache
def _host_part() -> str:
    """The host's name, as a folder. A process keeps the one that it began with: its boards stay where they are."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", machine.host()).strip(".") or "localhost"


def _home_root() -> Path | None:
    """The state directory of the user, by the XDG base directory specification; None without a home."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):
        return Path(base, "headway", _host_part())
    home = os.path.expanduser("~")
    return Path(home, ".local", "state", "headway", _host_part()) if os.path.isabs(home) else None


def temporary() -> str:
    """The system's temporary directory; where none can be written, the first choice, which may still be read."""
    return _temporary() or os.environ.get("TMPDIR") or "/tmp"  # what Headway makes in it is checked


def _temporary() -> str | None:
    """The temporary directory that `tempfile` would use, or None. Unlike there, no file is written to try it."""
    chosen = getattr(sys.modules.get("tempfile"), "tempdir", None)  # by the program
    places = (chosen, *map(os.environ.get, ("TMPDIR", "TEMP", "TMP")), "/tmp", "/var/tmp", "/usr/tmp")
    for place in places:
        if isinstance(place, str) and os.path.isabs(place) and os.path.isdir(place) and os.access(place, _MAY_MAKE):
            return place
    return None


def _fallback_root() -> Path | None:
    """The directory below the temporary directory, one per user, that is used if the home cannot be written."""
    place = _temporary()
    return None if place is None else Path(place, f"headway-{os.geteuid()}", _host_part())


_resolved: dict[str, Path] = {}  # what HEADWAY_DIR meant when it was first used: the working directory may change


def _chosen_root(chosen: str) -> Path:
    """The directory that HEADWAY_DIR names. Raises UnusableDirectory if it is relative to a directory that is gone."""
    found = _resolved.get(chosen)
    if found is None:
        try:
            found = _resolved[chosen] = _own_place(Path(chosen).absolute())
        except FileNotFoundError as error:
            raise errors.UnusableDirectory(
                error.errno,
                f"HEADWAY_DIR={chosen} is relative, and the working directory was removed: set it to an absolute path",
            ) from None
    return found


def _own_place(chosen: Path) -> Path:
    """The place for boards in a directory that the user chose.

    It may be a link of this user, which is followed. A directory of another user that is open to all, as a volume of a
    container often is, holds a directory for each user; whose that is, and its mode, are checked when it is used.
    """
    with suppress(OSError):
        if chosen.is_symlink() and chosen.lstat().st_uid == os.geteuid():
            chosen = chosen.resolve()
        found = chosen.lstat()
        shared = stat.S_ISDIR(found.st_mode) and found.st_uid != os.geteuid() and found.st_mode & 0o022
        if shared and os.access(chosen, _MAY_MAKE):
            return chosen / f"headway-{os.geteuid()}"
    return chosen


def roots() -> list[Path]:
    """The directories that hold boards, the one for new boards first; watchers look in all of them.

    Where the host's name changed since it was booted, boards in use stand in the directory of its former name: such
    directories follow. Another user can create the fallback below the temporary directory before us: such a directory
    is left out. Raises UnusableDirectory if there is no place at all.
    """
    places = _places()
    ours = [place for place in places if place is places[0] or _is_private(place.parent)]
    return [*ours, *dict.fromkeys(there.parent for there in _of_former_names(places))]


def _places() -> list[Path]:
    """The directories in which a new board may be created: the first that can be written is used."""
    chosen = os.environ.get("HEADWAY_DIR")
    if chosen:
        return [_chosen_root(chosen)]
    home, fallback = _home_root(), _fallback_root()
    places = [place for place in (home, fallback) if place is not None and not (place is home and _is_closed(place))]
    if not places:
        raise errors.UnusableDirectory(
            errno.ENOENT,
            "no directory for boards: neither the home directory of this user nor a temporary directory can be "
            "written; set HEADWAY_DIR to a directory that can be",
        )
    return places


def _of_former_names(places: list[Path]) -> list[Path]:
    """Directories of boards in shared memory that lie beside these places, under a former name of this host.

    The segment tells where its files are; that it is in this /dev/shm tells that it is of this boot.
    """
    if os.environ.get("HEADWAY_DIR"):
        return []  # no host's name is part of it
    beside = {place.parent for place in places}
    return [
        directory
        for directory in _in_memory()
        if directory.parent not in places and directory.parent.parent in beside and _is_private(directory.parent.parent)
    ]


def _in_memory() -> list[Path]:
    """The directories that the segments of this user in /dev/shm name."""
    try:
        from headway.system import shm  # not where there are no native modules
    except ImportError:
        return []
    return shm.directories()


def _is_private(directory: Path) -> bool:
    """Is it a directory of this user that nobody else can write, or does it not exist yet?"""
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _is_closed(directory: Path) -> bool:
    """Is this user denied even a look into it? Services often run as a user whose HOME is root's."""
    try:
        directory.joinpath("any").lstat()
    except PermissionError:
        return True
    except OSError:
        pass  # it does not exist yet, or another error, which its use will report
    return False


def make_private(directory: Path) -> None:
    """Make a directory, with its parents, that only this user can enter.

    Raises NotOwner if it belongs to another user, is shared by all users or is not a directory; OSError if it cannot be
    made.
    """
    for parent in reversed(directory.parents):  # new parents are private, too: nobody else may swap their contents
        if not parent.exists():
            _make(parent)
    _make(directory)
    found = directory.lstat()  # checked after the fact: another user may have made it
    if not stat.S_ISDIR(found.st_mode):
        raise errors.NotOwner(f"{directory} is not a directory: remove it, or choose another place with HEADWAY_DIR")
    if found.st_uid != os.geteuid():
        raise errors.NotOwner(
            f"{directory} belongs to user {found.st_uid}, not to you ({os.geteuid()}): "
            f"choose another place with HEADWAY_DIR"
        )
    if found.st_mode & stat.S_ISVTX:  # shared by all users, as /tmp is: never make it private
        raise errors.NotOwner(f"{directory} is shared by all users: choose a directory in it with HEADWAY_DIR")
    if found.st_mode & 0o077 or found.st_mode & 0o700 != 0o700:
        directory.chmod(0o700)


def _make(directory: Path) -> None:
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        directory.chmod(0o700)  # whatever the umask is


def board_directory(name: str, *, create: bool = False) -> Path:
    """Return the directory of a board: the one that exists, else the one that would be made (create=True: make it).

    With create=True, only this user can enter it and its parent. Raises ValueError for an illegal name, NotOwner,
    UnusableDirectory if there is no place for it at all; OSError if it cannot be made, see `unusable`.
    """
    check_name(name)
    places = _places()
    try:
        found = _existing(name, roots())
    except PermissionError as error:  # HEADWAY_DIR is another user's
        raise unusable(error) or error from None
    if not create:
        if found is None and places[0].exists() and not places[0].is_dir():
            raise unreadable(places[0], NotADirectoryError(errno.ENOTDIR, ""))
        return places[0] / name if found is None else found
    for root in places[:-1] if found is None else [found.parent]:
        try:
            return _make_board_directory(root, name)
        except OSError:
            if found is not None:
                raise
            continue  # the home cannot be written: try the next place; an error at the last one is raised
    return _make_board_directory(places[-1], name)


def _make_board_directory(root: Path, name: str) -> Path:
    _check_length(root / name)
    fallback = None if os.environ.get("HEADWAY_DIR") else _fallback_root()
    if fallback is not None and root.parent == fallback.parent:
        make_private(root.parent)  # another user can create this name under /tmp before us
    make_private(root)
    make_private(root / name)
    return root / name


def _check_length(directory: Path) -> None:
    size = len(os.fsencode(os.path.realpath(directory)))
    if size > DIRECTORY_BYTES_MOST:
        raise errors.UnusableDirectory(
            errno.ENAMETOOLONG,
            f"the directory of a board has a path of {size} bytes, and the limit is {DIRECTORY_BYTES_MOST} (SQLite, "
            f"which keeps the history, opens no longer ones): set HEADWAY_DIR to a shorter path",
            str(directory),
        )


def unusable(error: OSError) -> errors.UnusableDirectory | None:
    """The typed error, with the remedy, if the error is that of a directory for boards; None for any other error."""
    if error.errno not in _UNUSABLE or not isinstance(error.filename, str):
        return None
    where = Path(error.filename)
    if not any(where == root or root in where.parents or where in root.parents for root in _places()):
        return None
    for one in (where, where.parent):
        if one.parent in _places() and (told := closed(one)) is not None:
            return errors.UnusableDirectory(error.errno, told, error.filename)
    return errors.UnusableDirectory(
        error.errno,
        f"the directory for boards cannot be used ({error.strerror}): set HEADWAY_DIR to one that you can write",
        error.filename,
    )


def closed(directory: Path) -> str | None:
    """What to tell of a board's directory that this user may not use, with the remedy; None of any other."""
    try:
        uid = directory.stat().st_uid
    except OSError:
        return None
    if uid != os.geteuid():
        return f"{directory} belongs to user {uid}, not to you ({os.geteuid()}): only that user can use it"
    if not os.access(directory, os.R_OK | os.X_OK):
        return f"{directory} cannot be entered by this user: chmod u+rwx '{directory}'"
    return None


def unreadable(root: Path, error: OSError) -> errors.UnusableDirectory:
    """The typed error for a directory for boards that is there, but tells this user nothing of what is in it."""
    return errors.UnusableDirectory(
        error.errno,
        f"the directory for boards cannot be read ({os.strerror(error.errno or errno.EIO)}): "
        f"make it a directory that you can read, or set HEADWAY_DIR to one",
        str(root),
    )


def _existing(name: str, places: list[Path]) -> Path | None:
    for root in places:
        if (root / name / "segment").exists():
            return root / name
    for root in places:
        if (root / name).is_dir() and os.access(root / name, os.W_OK):
            return root / name
    return None
