"""Hooks Headway into a program that `headway run` runs, and into each Python that this one starts.

The folder of this file is on the PYTHONPATH of those: so Python imports it as it starts. It may be any Python 3, with
Headway or without: then nothing happens, and nothing is said. What it costs is paid by each child: it imports nothing
of Headway until a library is imported that has a hook.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing is not imported: each child would pay for it
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__all__ = ["FOLDER", "HOOKS", "VARIABLE", "hook"]

VARIABLE = "HEADWAY_RUN"  # the program that is run: a path, or "-m" and the name of a module
FOLDER = os.path.dirname(os.path.abspath(__file__))
# By the module that is hooked into once it is imported: the module here whose install() does that.
HOOKS = {
    "tqdm.std": "headway.integrations.tqdm_place",
    "joblib.parallel": "headway.integrations.joblib_install",
}


def _install(module: str) -> None:
    try:
        import importlib

        importlib.import_module(HOOKS[module]).install()
    except Exception:  # noqa: BLE001 - no Headway here, or another one: the program shall not notice
        return


class _Loader:
    """Loads a module as its own loader does, and then hooks into it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader  # nobody shall meet this one
        self._loader.exec_module(module)
        _install(module.__name__)


class _Finder:
    """Finds the modules of HOOKS as the finders after it do."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in HOOKS:
            return None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    if hasattr(spec.loader, "exec_module"):
                        loader: Any = _Loader(spec.loader)
                        spec.loader = loader
                    return spec
        return None


def hook() -> None:
    """Hook into the libraries of HOOKS when they are imported; into those that are, now."""
    sys.meta_path.insert(0, _Finder())
    for name in HOOKS:
        if name in sys.modules:
            _install(name)


def _begin() -> None:
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != FOLDER]
    if os.environ.get(VARIABLE):
        hook()
    # The program's own module of this name, which this one hides.
    from _frozen_importlib_external import PathFinder  # what importlib.machinery has it from, loaded already

    spec = PathFinder.find_spec(__name__, sys.path)
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec

        module = module_from_spec(spec)
        sys.modules[__name__] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    _begin()
