"""The rules of the codebase. Each is read off the tree, so a new module or name is under them from its first day."""

from __future__ import annotations

import ast
import dataclasses
import fnmatch
import importlib
import inspect
import json
import re
import sys
import tomllib
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import headway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunPython

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "headway"

# A module imports only from floors below its own. Every module stands here; a folder stands for all in it.
FLOORS = {
    "_context": 0,
    "_core": 0,
    "_ending": 0,
    "_bars": 5,
    "_launch": 1,
    "_live": 1,
    "_leaving": 0,
    "_liveness": 0,
    "_locks": 0,
    "_notebook": 0,
    "_npz": 0,
    "_older": 0,
    "_paths": 0,
    "_rates": 0,
    "_records": 0,
    "_scans": 0,
    "_series": 0,
    "_shm": 0,
    "_task_view": 0,
    "_wrap": 0,
    "errors": 0,
    "model": 0,
    "_engine": 1,
    "_result": 1,
    "_schema": 1,
    "_segment": 1,
    "history": 1,
    "nobody": 1,
    "_replacement": 1,
    "_database": 1,
    "_past_task": 1,
    "snapshot": 1,
    "_standin_task": 2,
    "_restore": 2,
    "archive": 2,
    "board": 2,
    "diagnosis": 2,
    "maintenance": 2,
    "recorder": 2,
    "standin": 2,
    "task": 2,
    "_summary": 3,
    "analysis": 3,
    "entry": 3,
    "_recorder": 3,
    "dashboard": 4,
    "demo": 4,
    "exporters": 4,
    "integrations": 4,
    "terminal": 4,
    "tracking": 4,
    "__init__": 6,
    "cli": 7,
    "__main__": 8,
}
# (importer, imported): why these two on one floor may know each other.
SIBLINGS = {
    ("_core", "errors"): "the native code raises the package's own errors",
    ("_core", "_liveness"): "an identity is dropped and taken anew from within the hot path",
    ("_series", "_records"): "series are read off the native records",
    ("_scans", "_records"): "one pass over the native records",
    ("_leaving", "_ending"): "how a process ends is how its tasks end",
    ("_rates", "_records"): "rates are worked out on the native records",
    ("_paths", "errors"): "a bad board name is a typed error",
    ("model", "_records"): "a view decodes the native records",
    ("snapshot", "_replacement"): "how a file is replaced is a matter of its own",
    ("_live", "_launch"): "who draws is started as the recorder is",
    ("_shm", "_core"): "a semaphore is made by the native code",
    ("_shm", "errors"): "what is foreign, open to others or full is a typed error",
    ("_locks", "errors"): "a lock that is not let go of is a typed error",
    ("_locks", "_liveness"): "the holder of a lock is named with its host",
    ("model", "_task_view"): "the view of a task is a module of its own",
    ("model", "_rates"): "a view is given its rates",
    ("model", "errors"): "a view without records says so by a typed error",
    ("_task_view", "_records"): "a view decodes the native records",
    ("_task_view", "errors"): "a damaged record is a typed error",
    ("history", "_database"): "a history is a database in which anything may stand",
    ("history", "_past_task"): "its rows are past tasks",
    ("history", "_schema"): "they stand in its table",
    ("_schema", "_past_task"): "whose columns are the fields of past tasks",
    ("_schema", "_database"): "a database with another table is damaged",
    ("board", "task"): "a board makes tasks",
    ("board", "archive"): "who needs room archives what has ended",
    ("board", "_restore"): "a new segment begins with the last snapshot",
    ("recorder", "archive"): "the recorder archives what has ended",
    ("recorder", "board"): "the recorder looks at the board as everyone does",
    ("maintenance", "recorder"): "whoever tidies a board up does the recorder's last work",
    ("task", "board"): "a task knows its board, and attaches to it after it was unpickled",
    ("standin", "_standin_task"): "a board makes tasks, here as there",
    ("_standin_task", "standin"): "and a task knows its board",
    ("diagnosis", "maintenance"): "what there is to look at",
    ("maintenance", "board"): "the last state of a board that nobody uses is written by itself",
    ("analysis", "analysis.*"): "the package tells which names of its modules others use",
    ("analysis.*", "analysis.*"): "the trackers share their contract, their data and their files",
    ("tracking", "terminal"): "track() draws the bar",
    ("tracking", "terminal.cell"): "and in a notebook an output of the cell",
    ("terminal", "terminal.*"): "the package tells which names of its modules others use",
    ("terminal.*", "terminal.*"): "texts make rows, rows make a board, boards are painted",
    ("demo.*", "demo.*"): "the run knows its files, its work and its report",
    ("demo.*", "terminal"): "the demo is drawn while it runs",
    ("dashboard", "dashboard.*"): "the package leads to the application, once its extra is there",
    ("dashboard.*", "dashboard.*"): "files are looked at, looks make rows, rows are fed to readers, routes serve them",
    ("dashboard.*", "exporters.*"): "/metrics is the exporter, fed by the dashboard's look",
    ("exporters.report", "exporters._plots"): "a report has pictures",
    ("exporters.report", "terminal"): "numbers, times and causes of death are told as on a terminal",
    ("cli.*", "cli._*"): "what several commands share stands in a private module beside them",
}

LONG_MODULES = {
    "_core.pyx": "the one native module over the segment: splitting it would cost cross-module calls on the hot path",
    "include/headway.h": "the layout and its hot path stand in one place",
    "_native/slots.h": "the life of a slot is one state machine, and its invariants hold across all of it",
}
LONGEST = 400
MODULE_NAMES_TO_AVOID = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}


# --- floors


def name_of(path: Path) -> str:
    """`board` for board.py, `cli.demo` for cli/demo.py, `cli` for cli/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


SOURCES = sorted(path for path in PACKAGE.rglob("*.py*") if path.suffix in (".py", ".pyx"))
MODULES = {name_of(path): path for path in SOURCES}


def floor_of(module: str) -> int | None:
    return FLOORS.get(module, FLOORS.get(module.partition(".")[0]))


def module_meant(dotted: str, name: str | None = None) -> str | None:
    """The module of the package that `import dotted`, or `from dotted import name`, runs; None for a foreign one."""
    if dotted.partition(".")[0] != "headway":
        return None
    inner = dotted.partition(".")[2]
    if name is not None:
        deeper = f"{inner}.{name}" if inner else name
        if deeper in MODULES or deeper in FLOORS:
            return deeper
    return inner or "__init__"


def absolute(module: str, level: int, base: str | None) -> str:
    """The full name behind a relative import in `module`."""
    if not level:
        return base or ""
    path = MODULES.get(module)
    is_package = path is not None and path.name == "__init__.py"
    parts = ["headway", *([] if module == "__init__" else module.split("."))]
    kept = parts[: len(parts) - level + (1 if is_package else 0)]
    return ".".join([*kept, *([base] if base else [])])


IMPORTERS = ("import_module", "__import__")


def imports_of_python(module: str, source: str) -> Iterator[tuple[int, str]]:
    """(line, module of the package) of each import, wherever it stands: at the top, in a function, for types only."""
    for node in ast.walk(ast.parse(source)):
        found: list[str | None] = []
        if isinstance(node, ast.Import):
            found = [module_meant(alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node.level, node.module)
            found = [module_meant(base, alias.name) for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in IMPORTERS:
            text = node.args[0] if node.args else None
            if isinstance(text, ast.JoinedStr):
                text = text.values[0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found = [module_meant(text.value.strip("."))]
        for meant in found:
            if meant is not None:
                yield getattr(node, "lineno", 0), meant


def imports_of_cython(module: str, source: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.splitlines(), 1):
        if match := re.match(r"\s*from\s+(\.*)([\w.]*)\s+c?import\s+\(?([^#)]*)", line):
            base = absolute(module, len(match[1]), match[2])
            names = [name.split()[0] for name in match[3].split(",") if name.strip()]
            found = [module_meant(base, name) for name in names] or [module_meant(base)]  # or the names follow below
        elif match := re.match(r"\s*c?import\s+([\w., ]+)", line):
            found = [module_meant(name.split()[0]) for name in match[1].split(",") if name.strip()]
        else:
            continue
        for meant in found:
            if meant is not None:
                yield number, meant


def imports_of(module: str) -> Iterator[tuple[int, str]]:
    path = MODULES[module]
    reader = imports_of_python if path.suffix == ".py" else imports_of_cython
    return reader(module, path.read_text())


def is_named_exception(importer: str, imported: str) -> bool:
    return any(fnmatch.fnmatchcase(importer, a) and fnmatch.fnmatchcase(imported, b) for a, b in SIBLINGS)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_floor(module: str) -> None:
    assert floor_of(module) is not None, f"{MODULES[module]} has no floor: add {module!r} to FLOORS"


def test_every_floor_has_its_module() -> None:
    gone = [module for module in FLOORS if module not in MODULES]
    assert not gone, f"FLOORS names modules that are not there: {gone}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_floors_below(module: str) -> None:
    mine = floor_of(module)
    assert mine is not None
    wrong = []
    for line, imported in imports_of(module):
        theirs = floor_of(imported)
        if theirs is None:
            wrong.append(f"line {line}: {imported} has no floor")
        elif imported != module and theirs >= mine and not is_named_exception(module, imported):
            wrong.append(f"line {line}: {imported} (floor {theirs}) from floor {mine}")
    assert not wrong, f"{MODULES[module]}: {'; '.join(wrong)}"


def test_a_named_exception_is_one_between_siblings() -> None:
    for (importer, imported), why in SIBLINGS.items():
        assert floor_of(importer.replace(".*", "")) == floor_of(imported.partition(".")[0]), (importer, imported)
        assert why


def test_a_named_exception_is_needed() -> None:
    pairs = {(importer, imported) for importer in MODULES for _, imported in imports_of(importer)}
    unused = [
        (a, b)
        for a, b in SIBLINGS
        if not any(fnmatch.fnmatchcase(x, a) and fnmatch.fnmatchcase(y, b) for x, y in pairs)
    ]
    assert not unused, f"SIBLINGS excuses what nobody does: {unused}"


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("board", "import headway.task", "task"),
        ("board", "from headway import task", "task"),
        ("board", "from headway.task import Task", "task"),
        ("board", "from . import task", "task"),
        ("board", "from .task import Task", "task"),
        ("board", "def f():\n    from headway.task import Task", "task"),
        ("board", "if TYPE_CHECKING:\n    from headway.task import Task", "task"),
        ("board", "importlib.import_module('headway.task')", "task"),
        ("board", "import headway", "__init__"),
        ("board", "from headway import track", "__init__"),
        ("cli", "import_module(f'headway.cli.{name}')", "cli"),
        ("cli", "from headway.board import Board", "board"),
    ],
)
def test_no_way_to_import_is_overlooked(module: str, source: str, expected: str) -> None:
    assert [imported for _, imported in imports_of_python(module, source)] == [expected]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from headway.errors import HeadwayError, BoardFull", ["errors", "errors"]),
        ("from headway cimport _core", ["_core"]),
        ("from headway._core cimport (\n    Slot,\n)", ["_core"]),
        ("from . cimport _core", ["_core"]),
        ("from ._core cimport Slot", ["_core"]),
        ("cimport headway._core as core", ["_core"]),
        ("    import headway.board", ["board"]),
        ("from libc.stdint cimport uint64_t", []),
    ],
)
def test_no_way_to_cimport_is_overlooked(source: str, expected: list[str]) -> None:
    assert [imported for _, imported in imports_of_cython("_records", source)] == expected


# --- modules


@pytest.mark.parametrize(
    "path",
    sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyx", ".pxd", ".pyi", ".h")),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_module_is_short_or_says_why_not(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    reason = LONG_MODULES.get(str(path.relative_to(PACKAGE)))
    assert lines <= LONGEST or reason, f"{path} has {lines} lines: split it, or give the reason in LONG_MODULES"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_named_after_what_it_holds(module: str) -> None:
    words = {word for part in module.split(".") for word in part.split("_")}
    assert not words & MODULE_NAMES_TO_AVOID, f"{MODULES[module]}: name it after what it holds"


# --- public names


def declarations(stub: Path) -> dict[str, ast.stmt]:
    """The public names that a stub declares, with their statements; imported ones only as `from x import y as y`."""
    found: dict[str, ast.stmt] = {}

    def read(body: list[ast.stmt]) -> None:
        for node in body:
            names: list[str] = []
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.AnnAssign):
                names = [ast.unparse(node.target)]
            elif isinstance(node, ast.Assign):
                names = [ast.unparse(target) for target in node.targets]
            elif isinstance(node, ast.ImportFrom | ast.Import):
                names = [alias.name for alias in node.names if alias.asname == alias.name]
            elif isinstance(node, ast.If):
                read(node.body)
                read(node.orelse)
            found.update({name: node for name in names if not name.startswith("_")})

    read(ast.parse(stub.read_text()).body)
    return found


def test_all_is_in_order() -> None:
    names = list(headway.__all__)
    assert names in (sorted(names), sorted(names, key=str.casefold))
    assert len(names) == len(set(names))


def test_a_star_import_leaves_the_builtin_open_alone() -> None:
    assert "open" not in headway.__all__
    assert callable(headway.open)


@pytest.mark.parametrize("name", headway.__all__)
def test_every_name_in_all_is_there(name: str) -> None:
    assert getattr(headway, name) is not None
    assert name in dir(headway)


def test_an_unknown_name_is_an_attribute_error() -> None:
    name = "no_such_name"
    with pytest.raises(AttributeError, match=name):
        getattr(headway, name)


def test_the_stub_declares_what_is_public() -> None:
    stub = PACKAGE / "__init__.pyi"
    declared = set(declarations(stub))
    public = {*headway.__all__, "open"}
    assert declared == public
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            assert ast.literal_eval(node.value) == list(headway.__all__)


def test_the_version_has_one_source() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert headway.__version__ == settings["project"]["version"]


def test_import_headway_loads_no_heavy_module(run_python: RunPython) -> None:
    script = """
import json, sys
before = set(sys.modules)
import headway
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    loaded = json.loads(run_python(script).stdout)
    assert "headway" in loaded
    heavy = {"argparse", "asyncio", "concurrent", "inspect", "logging", "multiprocessing", "sqlite3", "subprocess"}
    tops = {name.partition(".")[0] for name in loaded}
    foreign = {top for top in tops if top not in sys.stdlib_module_names and "cython" not in top}
    assert foreign <= {"headway", "posix_ipc"}
    assert not tops & heavy


# --- signatures and docstrings


def own_words(name: str, doc: str | None) -> str:
    """A docstring without the line that Cython puts before it: `update(self, n: int = 1) -> None`, `count: int`."""
    first, _, rest = (doc or "").strip().partition("\n")
    generated = re.match(rf"([\w.]+\.)?{re.escape(name)}(\(.*\)( -> .+)?|: .+)$", first)
    return (rest if generated else doc or "").strip()


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that the package itself gives a class."""
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] == "headway":
            for name, value in vars(base).items():
                if not name.startswith("_"):
                    yield f"{cls.__name__}.{name}", value


def public_things() -> Iterator[tuple[str, Any]]:
    for name in ("open", *headway.__all__):
        thing = getattr(headway, name)
        yield name, thing
        if inspect.isclass(thing):
            yield from members(thing)


def flaws(name: str, thing: Any) -> list[str]:
    """What keeps a public thing from being understood in a shell."""
    found = []
    if isinstance(thing, staticmethod | classmethod):
        thing = thing.__func__
    is_class = inspect.isclass(thing)
    is_property = isinstance(thing, property | types.GetSetDescriptorType) or hasattr(thing, "attrname")
    if not (callable(thing) or is_property):
        return []  # a constant, or the plain field of a class that documents its fields
    doc = vars(thing).get("__doc__") if is_class else thing.__doc__  # a class inherits no docstring
    if not own_words(name.rpartition(".")[2], doc):  # nor is the one that a dataclass makes up any better
        found.append(f"{name} has no docstring")
    if callable(thing) and not (is_class and issubclass(thing, BaseException)):
        try:
            inspect.signature(thing)
        except (TypeError, ValueError) as error:
            found.append(f"{name} has no signature: {error}")
    return found


def test_a_generated_docstring_does_not_count() -> None:
    @dataclasses.dataclass
    class Row:
        pid: int

    def undocumented() -> None: ...

    assert flaws("Row", Row) == ["Row has no docstring"]
    assert flaws("f", undocumented) == ["f has no docstring"]
    assert own_words("update", "update(self, n: int = 1) -> None") == ""
    assert own_words("update", "Task.update(self, n=1)\n\nCount.") == "Count."
    assert own_words("count", "count: int\n\nSo far.") == "So far."
    assert own_words("rate", "Items (not bytes) a second") == "Items (not bytes) a second"


def test_every_public_callable_has_a_signature_and_a_docstring() -> None:
    found = [flaw for name, thing in public_things() for flaw in flaws(name, thing)]
    assert not found, "\n".join(found)


# --- stubs of the native modules


NATIVE = sorted(path.stem for path in PACKAGE.glob("*.pyx"))


def is_defined_in(module: types.ModuleType, thing: object) -> bool:
    if isinstance(thing, types.ModuleType):
        return False
    return getattr(thing, "__module__", module.__name__) == module.__name__


@pytest.mark.parametrize("name", NATIVE)
def test_the_stub_of_a_native_module_tells_all_and_no_more(name: str) -> None:
    module = importlib.import_module(f"headway.{name}")
    stub = PACKAGE / f"{name}.pyi"
    assert stub.is_file(), f"{stub} is missing"
    declared = declarations(stub)
    public = {name for name, thing in vars(module).items() if not name.startswith("_") and is_defined_in(module, thing)}
    assert set(declared) == public

    for cls, node in declared.items():
        if not isinstance(node, ast.ClassDef):
            continue
        stubbed = {name for name in class_names(node) if not name.startswith("_")}
        there = {name for name in vars(getattr(module, cls)) if not name.startswith("_")}
        assert stubbed == there, f"{name}.{cls}"


@pytest.mark.parametrize("name", NATIVE)
def test_every_native_callable_has_a_signature_and_a_docstring(name: str) -> None:
    module = importlib.import_module(f"headway.{name}")
    found = []
    for own, thing in vars(module).items():
        if not own.startswith("_") and is_defined_in(module, thing):
            found += flaws(own, thing)
            if inspect.isclass(thing):
                found += [flaw for inner, member in members(thing) for flaw in flaws(inner, member)]
    assert not found, "\n".join(found)


def class_names(node: ast.ClassDef) -> Iterator[str]:
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inner.name
        elif isinstance(inner, ast.AnnAssign):
            yield ast.unparse(inner.target)
        elif isinstance(inner, ast.Assign):
            yield from (ast.unparse(target) for target in inner.targets)
