"""The directories of boards: which exist, and which files a board leaves in its own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from headway import errors
from headway.files import history, snapshot
from headway.system import locks, paths
from headway.tasks.results import LARGE_RESULT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LOOPS", "directories", "entries", "last_sign_of_life", "names", "remove", "some_of", "unknown"]


# Files that a program or its recorder writes while it is alive. `board.lock` is not one: commands write it, too.
SIGNS_OF_LIFE = ("segment", "recorder.lock", *snapshot.FILES, history.HISTORY)
LOOPS = "loops"  # a file that says: only loops opened this board, and nobody named it
NAMES_MOST = 8  # in a message


def directories() -> list[Path]:
    """The directories of all boards, sorted by name. If a board has several, only the one in use.

    One that this user may not enter is among them: what reads it gets the error. Raises UnusableDirectory where
    HEADWAY_DIR itself cannot be read.
    """
    there: dict[str, Path] = {}
    for root in paths.roots():
        for entry in entries(root):
            there.setdefault(entry.name, entry)
    found = []
    for name in sorted(there):
        try:
            found.append(paths.board_directory(name))
        except ValueError:
            continue  # not a legal name: not a board
        except errors.UnusableDirectory:
            found.append(there[name])
    return found


def entries(root: Path) -> list[Path]:
    """The directories in a directory for boards; none if it does not exist. Raises UnusableDirectory."""
    try:
        return [entry for entry in root.iterdir() if entry.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise paths.unreadable(root, error) from None


def names() -> list[str]:
    """The names of all boards that are in shared memory or left a file, sorted. No file is opened."""
    return [directory.name for directory in directories() if last_sign_of_life(directory) is not None]


def last_sign_of_life(directory: Path) -> float | None:
    """When a program or a recorder last wrote a file of this board, in seconds since 1970; None if there is none.

    Of a directory that this user may not enter: when it was last changed itself.
    """
    times = []
    for file in SIGNS_OF_LIFE:
        try:
            times.append((directory / file).lstat().st_mtime)
        except PermissionError:
            times.append(directory.lstat().st_mtime)
        except OSError:
            continue
    return max(times, default=None)


def some_of(there: list[str]) -> str:
    """A list of names for a message: the first ones, and how many more there are."""
    more = f" and {len(there) - NAMES_MOST} more, see 'headway ls'" if len(there) > NAMES_MOST else ""
    return ", ".join(there[:NAMES_MOST]) + more


def unknown(name: str) -> errors.UnknownBoard:
    """The error for an unknown board name. Its message suggests similar names, or lists the boards that exist."""
    import difflib

    there = names()
    close = difflib.get_close_matches(name, there, n=3)
    if close:
        hint = f"did you mean {' or '.join(map(repr, close))}?"
    elif there:
        hint = f"there are: {some_of(there)}"
    else:
        hint = "there are none: start a program that opens one, or 'headway demo'"
    return errors.UnknownBoard(f"there is no board {name!r} in {paths.roots()[0]}: {hint}")


def remove(directory: Path) -> None:
    """Remove what a board left in its directory, and the directory if nothing else lies there. Raises OSError."""
    snapshot.remove(directory)
    history.remove(directory)
    results = [path.name for path in directory.glob("result-*.json") if LARGE_RESULT.fullmatch(path.name)]
    for name in (*results, LOOPS, "recorder.log", locks.RECORDER, locks.USERS, "board.lock"):
        (directory / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # other files are in it, which are not ours to remove
        directory.rmdir()
