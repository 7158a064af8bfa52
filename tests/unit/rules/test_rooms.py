"""The order of the rooms: who imports whom is read off the tree, so a new module is under it from its first day."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.rooms import (
    MODULES,
    PACKAGE,
    ROOMS,
    height_of,
    imports_of,
    imports_of_cython,
    imports_of_python,
    may_import,
    room_of,
)

LONGEST = 400
AT_THE_ROOT = {"__init__.py", "__init__.pyi", "__init__.pxd", "__main__.py", "api.py", "errors.py", "py.typed"}
NAMES_TO_AVOID = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
# Packages whose names are public: what they offer comes when it is first used. All others are empty.
SPEAKING_PACKAGES = {"__init__", "analysis", "dashboard"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_stands_in_a_room(module: str) -> None:
    assert height_of(module) is not None, f"{MODULES[module]} is in no room: add {room_of(module)!r} to ROOMS"


def test_every_room_has_its_modules() -> None:
    there = {room_of(module) for module in MODULES}
    gone = [room for rooms, _ in ROOMS for room in rooms if room not in there]
    assert not gone, f"ROOMS names what is not there: {gone}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_nothing_from_above(module: str) -> None:
    wrong = [f"line {line}: {imported}" for line, imported in imports_of(module) if not may_import(module, imported)]
    assert not wrong, f"{MODULES[module]}: {'; '.join(wrong)}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: {other for _, other in imports_of(module) if other != module} for module in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(reversed(error.args[1]))}")


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("engine.board", "native.core", True),
        ("engine.board", "engine.task", True),
        ("native.core", "system.machine", False),
        ("analysis.shared", "exporters.report", False),
        ("dashboard.app", "exporters.prometheus", True),
        ("engine.board", "nowhere.module", False),
    ],
)
def test_the_order_of_the_rooms_is_applied(importer: str, imported: str, allowed: bool) -> None:
    assert may_import(importer, imported) == allowed


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("engine.board", "import headway.engine.task", "engine.task"),
        ("engine.board", "from headway.engine import task", "engine.task"),
        ("engine.board", "from headway.engine.task import Task", "engine.task"),
        ("engine.board", "from . import task", "engine.task"),
        ("engine.board", "from .task import Task", "engine.task"),
        ("engine.board", "def f():\n    from headway.engine.task import Task", "engine.task"),
        ("engine.board", "if TYPE_CHECKING:\n    from headway.engine.task import Task", "engine.task"),
        ("engine.board", "importlib.import_module('headway.engine.task')", "engine.task"),
        ("engine.board", "import headway", "__init__"),
        ("engine.board", "from headway import track", "__init__"),
        ("cli.main", "import_module(f'headway.cli.{name}')", "cli"),
        ("cli.main", "from headway.engine.board import Board", "engine.board"),
    ],
)
def test_no_way_to_import_is_overlooked(module: str, source: str, expected: str) -> None:
    assert [imported for _, imported in imports_of_python(module, source)] == [expected]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from headway.errors import HeadwayError, BoardFull", ["errors", "errors"]),
        ("from headway.native cimport core", ["native.core"]),
        ("from headway.native.core cimport (\n    Slot,\n)", ["native.core"]),
        ("from . cimport core", ["native.core"]),
        ("from .core cimport Slot", ["native.core"]),
        ("cimport headway.native.core as core", ["native.core"]),
        ("    import headway.engine.board", ["engine.board"]),
        ("from libc.stdint cimport uint64_t", []),
    ],
)
def test_no_way_to_cimport_is_overlooked(source: str, expected: list[str]) -> None:
    assert [imported for _, imported in imports_of_cython("native.records", source)] == expected


def test_nothing_else_lies_at_the_root_of_the_package() -> None:
    there = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert there == AT_THE_ROOT


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: str(path.parent.name))
def test_a_package_that_offers_no_public_name_is_empty(path: Path) -> None:
    package = next(name for name, source in MODULES.items() if source == path)
    if package not in SPEAKING_PACKAGES:
        assert MODULES[package].read_text() == "", f"{path}: every worker of a pool pays for what is imported here"


@pytest.mark.parametrize(
    "path",
    sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyx", ".pxi", ".pxd", ".pyi", ".h")),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_module_fits_in_the_head(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST, f"{path} has {lines} lines: part it where a reader would"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_named_after_what_it_holds(module: str) -> None:
    words = {word for part in module.split(".") for word in part.split("_")}
    assert not words & NAMES_TO_AVOID, f"{MODULES[module]}: name it after what it holds"
