"""Builds of the native module with mistakes in its headers, for tests that have to find them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.faults.planted import Edit, plant

__all__ = ["build", "c_code"]

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "headway"
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]


@pytest.fixture(scope="module")
def c_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native module as C, which is the same whatever the headers are."""
    path = tmp_path_factory.mktemp("c") / "core.c"
    command = [sys.executable, "-m", "cython", "-3", "-I", "src", "-o", str(path), str(PACKAGE / "native" / "core.pyx")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=500)
    return path


def build(folder: Path, c_code: Path, edits: tuple[Edit, ...]) -> Path:
    """A folder for PYTHONPATH: the package, its native module compiled with the headers as edited."""
    package = folder / "headway"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("core.*.so", "static", "__pycache__"))
    plant(package, edits)
    paths = [sysconfig.get_path("include"), str(package / "include"), str(package / "native")]
    module = package / "native" / f"core{sysconfig.get_config_var('EXT_SUFFIX')}"
    flags = ["-std=c11", "-w", "-O1", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-D_GNU_SOURCE=1"]
    command = [COMPILER, *flags, *(f"-I{path}" for path in paths), str(c_code), "-o", str(module)]
    subprocess.run(command, check=True, timeout=500)
    return folder
