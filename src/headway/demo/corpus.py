"""The files to index, grouped into packages that take one worker about a second each."""

from __future__ import annotations

import hashlib
import os
import stat
import sysconfig
from pathlib import Path
from typing import NamedTuple

from headway import errors

__all__ = ["Package", "packages", "standard_library"]

FILES_MOST = 40  # a directory with more is split
MODULES_AT_ONCE = 24  # a group of single modules has at most so many
ID_BYTES_MAX = 80  # a task's id has at most 95 bytes, and "all/" comes before it
_SKIPPED = frozenset(("__pycache__", "site-packages", "dist-packages"))


class Package(NamedTuple):
    """Files that belong together: a Python package, a part of a large one, or some modules of one folder."""

    id: str
    files: tuple[str, ...]  # relative to the root
    bytes: int


def standard_library() -> Path:
    """The folder of the standard library of this interpreter."""
    return Path(sysconfig.get_path("stdlib"))


def packages(root: Path) -> list[Package]:
    """Every .py file below root, each in one package.

    The largest packages come first, so that all workers finish at about the same time. Raises HeadwayError if there are
    no .py files.
    """
    sizes: dict[str, int] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if name.endswith(".py"):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode):
                    sizes[str(path.relative_to(root))] = found.st_size
    if not sizes:
        raise errors.HeadwayError(f"there is no .py file below {root}: name another folder with --source")
    groups = _grouped(sorted(sizes), 0, "")
    made = [Package(_legal(id), tuple(files), sum(sizes[file] for file in files)) for id, files in groups]
    return sorted(made, key=lambda package: (-package.bytes, package.id))


def _grouped(files: list[str], depth: int, prefix: str) -> list[tuple[str, list[str]]]:
    """Groups of files: one per folder at this depth (a large folder is split), and the modules beside the folders."""
    folders: dict[str, list[str]] = {}
    modules = []
    for file in files:
        parts = file.split(os.sep)
        if len(parts) == depth + 1:
            modules.append(file)
        else:
            folders.setdefault(parts[depth], []).append(file)
    groups = []
    for name, inside in folders.items():
        if len(inside) <= FILES_MOST:
            groups.append((prefix + name, inside))
        else:
            groups += _grouped(inside, depth + 1, f"{prefix}{name}/")
    for at in range(0, len(modules), MODULES_AT_ONCE):
        some = modules[at : at + MODULES_AT_ONCE]
        first, last = (Path(file).stem for file in (some[0], some[-1]))
        groups.append((prefix + (first if len(some) == 1 else f"{first}..{last}"), some))
    return groups


def _legal(id: str) -> str:
    """A legal task id: valid UTF-8 (a file name need not be), and short enough, but still unique."""
    text = os.fsencode(id).decode("utf-8", "backslashreplace")
    if len(text.encode()) <= ID_BYTES_MAX:
        return text
    digest = hashlib.blake2s(os.fsencode(id), digest_size=6).hexdigest()
    return f"{text.encode()[: ID_BYTES_MAX - 13].decode('utf-8', 'ignore')}~{digest}"
