"""What ci/wheel looks for in a wheel: each fault that it names is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
STATIC = "headway/dashboard/static"
FILES = {
    "headway/py.typed": "",
    "headway/__init__.pyi": "",
    "headway/__init__.pxd": "",
    "headway/native/core.pyi": "",
    "headway/native/core.pxd": "",
    "headway/include/headway.h": "",
    "file_based_progress_tracker.py": "",
    f"{STATIC}/index.html": '<script src="./assets/index-AbCd1234.js"></script>',
    f"{STATIC}/assets/index-AbCd1234.js": 'import("./plot-AbCd1234.js")',
    f"{STATIC}/assets/plot-AbCd1234.js": "",
}


def module(folder: Path, *flags: str) -> Path:
    """A shared library, linked with these flags."""
    source, made = folder / "module.c", folder / f"module{len(list(folder.glob('*.so')))}.so"
    source.write_text("int answer(void) { return 42; }\n")
    words = [COMPILER, "-shared", "-fPIC", "-g", *flags, str(source), "-o", str(made)]
    subprocess.run(words, check=True, timeout=60)
    return made


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """The files of a wheel in which nothing is wrong."""
    folder = tmp_path / "good"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(module(tmp_path, "-s"), folder / "headway" / "native" / "core.so")
    return folder


def printed_by_the_check(script: str, *words: str) -> str:
    """What a script prints that imports ci/wheel.py, in a process of its own: `wheel` may be another module here."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys, pathlib, wheel; {script}", *words],
        env={"PYTHONPATH": str(ROOT / "ci"), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def faults(files: Path) -> list[str]:
    wheel = files.parent / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in sorted(path for path in files.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(files))
    script = "[print(fault) for fault in wheel.faults_of_wheel(pathlib.Path(sys.argv[1]))]"
    return printed_by_the_check(script, str(wheel)).splitlines()


def test_a_wheel_in_which_nothing_is_wrong_passes(good: Path) -> None:
    assert faults(good) == []


@pytest.mark.parametrize("name", ["headway/py.typed", f"{STATIC}/index.html"])
def test_a_file_that_is_missing_is_found(good: Path, name: str) -> None:
    (good / name).unlink()
    assert f"it lacks {name}" in faults(good)


def test_a_wheel_that_is_too_large_is_found(good: Path) -> None:
    most = int(printed_by_the_check("print(wheel.MOST_BYTES)"))
    (good / "large").write_bytes(bytes(most + 1))
    (fault,) = faults(good)
    assert f"{most:,} are allowed" in fault


def test_symbols_for_debuggers_are_found(good: Path, tmp_path: Path) -> None:
    shutil.copy(module(tmp_path), good / "headway" / "native" / "core.so")
    assert faults(good) == [
        "headway/native/core.so is not stripped: it has .symtab",
        "headway/native/core.so is not stripped: it has .debug_info",
    ]


@pytest.mark.parametrize("tags", ["--enable-new-dtags", "--disable-new-dtags"])
def test_a_path_of_the_builder_is_found(good: Path, tmp_path: Path, tags: str) -> None:
    shutil.copy(module(tmp_path, "-s", f"-Wl,{tags},-rpath,/there"), good / "headway" / "native" / "core.so")
    (fault,) = faults(good)
    assert fault.startswith("headway/native/core.so has a path of its builder: ")
    assert "/there" in fault


def test_a_wheel_without_native_modules_is_found(good: Path) -> None:
    (good / "headway" / "native" / "core.so").unlink()
    assert faults(good) == ["it has no native module"]


@pytest.mark.parametrize("name", ["headway/native/core.pyx", "headway/native/parts/slot.pxi"])
def test_sources_of_native_modules_are_found(good: Path, name: str) -> None:
    (good / name).parent.mkdir(exist_ok=True)
    (good / name).touch()
    assert faults(good) == [f"it has {name}, a source that nobody needs"]


def test_a_script_that_the_page_loads_and_lacks_is_found(good: Path) -> None:
    (good / STATIC / "assets" / "plot-AbCd1234.js").unlink()
    assert faults(good) == [f"the page is without {STATIC}/assets/plot-AbCd1234.js"]


def test_a_script_of_an_older_page_is_found(good: Path) -> None:
    (good / STATIC / "assets" / "index-Old01234.js").touch()
    assert faults(good) == [f"{STATIC}/assets/index-Old01234.js is of another page than its index.html"]
