"""Looks into a wheel and a source archive: ci/wheel.py WHEEL ARCHIVE. Ends with a sentence where something is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

MOST_BYTES = 1_400_000
NEEDED = (
    "headway/py.typed",
    "headway/__init__.pyi",
    "headway/__init__.pxd",
    "headway/native/core.pyi",
    "headway/native/core.pxd",
    "headway/include/headway.h",
    "headway/dashboard/static/index.html",
    "file_based_progress_tracker.py",
)
SOURCES = (".pyx", ".pxi", ".c")  # of the native modules: in the archive, not in the wheel


def faults_of_wheel(path: Path) -> list[str]:
    """What is wrong with a wheel, a sentence each."""
    faults = []
    if (size := path.stat().st_size) > MOST_BYTES:
        faults.append(f"it has {size:,} bytes, and {MOST_BYTES:,} are allowed")
    with zipfile.ZipFile(path) as wheel, tempfile.TemporaryDirectory() as folder:
        names = wheel.namelist()
        faults += [f"it lacks {name}" for name in NEEDED if name not in names]
        faults += [f"it has {name}, a source that nobody needs" for name in names if name.endswith(SOURCES)]
        faults += faults_of_page(wheel)
        modules = [name for name in names if name.endswith(".so")]
        if not modules:
            faults.append("it has no native module")
        for name in modules:
            faults += [f"{name} {fault}" for fault in faults_of_module(Path(wheel.extract(name, folder)))]
    return faults


def faults_of_page(wheel: zipfile.ZipFile) -> list[str]:
    """The page names its scripts, and they name what they load later: all of that is there, and nothing else."""
    static = "headway/dashboard/static/"
    assets = {name for name in wheel.namelist() if name.startswith(f"{static}assets/")}
    texts = "".join(
        wheel.read(name).decode()
        for name in wheel.namelist()
        if name.startswith(static) and name.endswith((".html", ".js", ".css"))
    )
    named = {static + found for found in re.findall(r"assets/[\w.-]+", texts)}
    named |= {f"{static}assets/{found}" for found in re.findall(r"[\"'(]\./([\w-]+-[\w-]{8}\.\w+)", texts)}
    faults = [f"the page is without {name}" for name in sorted(named - assets)]
    faults += [f"{name} is of another page than its index.html" for name in sorted(assets - named)]
    return faults


def faults_of_module(path: Path) -> list[str]:
    """readelf's word on a native module: without symbols that only debuggers read, without folders of its builder."""
    sections = told("readelf", "--sections", "--wide", str(path))
    dynamic = told("readelf", "--dynamic", "--wide", str(path))
    faults = [f"is not stripped: it has {name}" for name in (".symtab", ".debug_info") if f" {name} " in sections]
    faults += [f"has a path of its builder: {found}" for found in re.findall(r"\((?:RPATH|RUNPATH)\).*", dynamic)]
    return faults


def faults_of_archive(path: Path) -> list[str]:
    """A source archive brings what native modules and page are built from, and the page itself."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tree = Path("src", "headway")
    needed = [str(file) for file in sorted(tree.rglob("*")) if file.suffix in (".pyx", ".pxi", ".pxd", ".h")]
    needed += ["src/headway/dashboard/static/index.html", "src/headway/dashboard/static/.sources"]
    needed += ["web/backend.py", "web/page.py", "web/package-lock.json", "setup.py", "pyproject.toml"]
    faults = [f"it lacks {name}" for name in needed if name not in names]
    faults += [f"it has {name}" for name in sorted(names) if name.endswith(".so") or "node_modules" in name]
    return faults


def told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    wheel, archive = map(Path, sys.argv[1:])
    faults = [f"{wheel.name}: {fault}" for fault in faults_of_wheel(wheel)]
    faults += [f"{archive.name}: {fault}" for fault in faults_of_archive(archive)]
    if faults:
        sys.exit("\n".join(faults))
    print(f"wheel: {wheel.name} is as it should be, {wheel.stat().st_size:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
