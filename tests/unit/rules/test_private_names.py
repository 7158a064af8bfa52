"""A leading underscore means: private to this folder. What other rooms use all the same is listed, with the reason."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from tests.rooms import MODULES, PACKAGE, room_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE = re.compile(r"_[A-Za-z]\w*\Z")
OF_NAMED_TUPLES = {"_replace", "_asdict", "_fields", "_make"}

# Names that are used in other rooms than the one that defines them. Users hold boards and tasks: under a public name
# these would be a part of the API.
OF_A_BOARD = "what the package's own parts do with a headway.Board"
OF_A_TASK = "what the package's own parts do with a headway.Task"
LEFT = {
    "_segment": OF_A_BOARD,
    "_copy": OF_A_BOARD,
    "_handle": OF_A_BOARD,
    "_restart": OF_A_BOARD,
    "_again": OF_A_TASK,
    "_called": OF_A_TASK,
    "_carried_by_others": OF_A_TASK,
    "_hand_to": OF_A_TASK,
    "_handed_down": OF_A_TASK,
    "_own": OF_A_TASK,
    "_place": OF_A_TASK,
    "_read_result": OF_A_TASK,
    "_set": OF_A_TASK,
    "_tracker": OF_A_TASK,
    "_transition": OF_A_TASK,
    "_write_result": OF_A_TASK,
}


def defined_in_python(source: str) -> Iterator[str]:
    """The names that a module gives to functions, classes, variables, slots and attributes of its own objects."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value  # of __slots__


def defined_in_cython(source: str) -> Iterator[str]:
    yield from re.findall(r"\b(?:c?p?def|class)\b[\w \[\]]*?\b(_\w+)", source)


def is_own(value: ast.expr) -> bool:
    """Is it the object itself, whose class may have inherited the name from another room?"""
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def used(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of the private names that a module takes from elsewhere: attributes, and what it imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and PRIVATE.match(node.attr) and not is_own(node.value):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("headway"):
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from ((node.lineno, part) for part in parts if PRIVATE.match(part))


def definers() -> dict[str, set[str]]:
    """The rooms in which each private name is defined."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        read = defined_in_python if path.suffix == ".py" else defined_in_cython
        for name in (*read(path.read_text()), path.stem):
            if PRIVATE.match(name):
                found[name].add(room_of(module))
    for path in PACKAGE.rglob("*.pxd"):
        for name in defined_in_cython(path.read_text()):
            found[name].add(room_of(".".join(path.relative_to(PACKAGE).parts)))
    return found


def reaches() -> dict[str, list[str]]:
    """The private names that are used in a room that does not define them, each with the places."""
    rooms = definers()
    found: dict[str, list[str]] = defaultdict(list)
    for module, path in MODULES.items():
        if path.suffix == ".py":
            for line, name in used(path.read_text()):
                if rooms.get(name) and room_of(module) not in rooms[name] and name not in OF_NAMED_TUPLES:
                    found[name].append(f"{module}:{line}")
    return found


def test_no_room_reaches_for_the_private_names_of_another() -> None:
    new = {name: places for name, places in reaches().items() if name not in LEFT}
    assert not new, "use a public name, or move what needs it into that room"


def test_what_is_left_is_still_there() -> None:
    assert set(LEFT) <= set(reaches()), "take it off the list"


def test_no_way_to_reach_for_a_private_name_is_overlooked() -> None:
    source = """
from headway.cli._output import say
from headway.engine.board import _guard
def f(board, self):
    board._segment.close()
    self._own()
    first(board)[0]._copy
    board.__dict__
"""
    assert [name for _, name in sorted(used(source))] == ["_output", "_guard", "_segment", "_copy"]
    assert set(defined_in_cython("cdef class _One:\n    cdef uint64_t _two\n    def _three(self):\n")) == {
        "_One",
        "_two",
        "_three",
    }
