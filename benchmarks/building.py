"""Builds benchmarks/floor.pyx at run time, into build/benchmarks, and loads it."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

__all__ = ["BUILD", "ROOT", "load_floor"]

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "benchmarks"
SOURCE = Path(__file__).resolve().parent / "floor.pyx"
INCLUDE = ROOT / "src" / "headway" / "include"


def load_floor() -> ModuleType:
    """The module of benchmarks/floor.pyx, built if its sources are newer. Raises what the compiler raises."""
    path = BUILD / f"floor{sysconfig.get_config_var('EXT_SUFFIX')}"
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = max(source.stat().st_mtime for source in (SOURCE, *INCLUDE.glob("*.h"), Path(__file__)))
        if not path.exists() or path.stat().st_mtime < newest:
            _build()
    spec = importlib.util.spec_from_file_location("floor", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module of this Python: remove it, it is built anew")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build() -> None:
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    extension = Extension(
        "floor",
        [str(SOURCE)],
        include_dirs=[str(INCLUDE)],
        define_macros=[("_GNU_SOURCE", "1")],
        extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden"],
    )
    with contextlib.redirect_stdout(sys.stderr):  # standard output may be a table, or JSON
        modules = cythonize(
            [extension],
            build_dir=str(BUILD / "cython"),
            quiet=True,
            compiler_directives={"language_level": 3, "binding": True},
        )
        distribution = Distribution({"name": "floor", "ext_modules": modules, "script_args": ["--quiet"]})
        command = distribution.get_command_obj("build_ext")
        command.build_lib = str(BUILD)
        command.build_temp = str(BUILD / "temp")
        command.force = True
        command.ensure_finalized()
        command.run()
    os.utime(BUILD / f"floor{sysconfig.get_config_var('EXT_SUFFIX')}")
