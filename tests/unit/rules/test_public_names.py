"""Public names, their signatures, docstrings and stubs. Read off the tree, so a new name is under them at once."""

from __future__ import annotations

import ast
import dataclasses
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

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "src" / "headway"

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
    public = {*headway.__all__, "errors"}
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
    for name in headway.__all__:
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


NATIVE = sorted(path.stem for path in PACKAGE.glob("native/*.pyx"))


def is_defined_in(module: types.ModuleType, thing: object) -> bool:
    if isinstance(thing, types.ModuleType):
        return False
    return getattr(thing, "__module__", module.__name__) == module.__name__


@pytest.mark.parametrize("name", NATIVE)
def test_the_stub_of_a_native_module_tells_all_and_no_more(name: str) -> None:
    module = importlib.import_module(f"headway.native.{name}")
    stub = PACKAGE / "native" / f"{name}.pyi"
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
    module = importlib.import_module(f"headway.native.{name}")
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
