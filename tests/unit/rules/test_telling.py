"""Warnings are told in one way, which never raises; only calls that open a board may have them turned into errors."""

from __future__ import annotations

import re

from tests.rooms import PACKAGE, SOURCES

CALL = re.compile(r"\bwarnings\.warn(_explicit)?\(|\bfrom warnings import\b|(?<![.\w])warn\(")
HOME = "errors.py"
# Direct calls of the program, which have done nothing yet when they warn: there `-W error` raises, as it is meant to.
DIRECT = {"engine/board.py": "headway.open with another size", "standin/board.py": "the same, of one process"}


def warns(source: str) -> int:
    return sum(bool(CALL.search(line)) for line in source.splitlines() if not line.lstrip().startswith("#"))


def test_warnings_go_through_errors_tell() -> None:
    found = {str(path.relative_to(PACKAGE)): warns(path.read_text()) for path in SOURCES}
    assert {name: count for name, count in found.items() if count} == {HOME: 1, **dict.fromkeys(DIRECT, 1)}, (
        "use errors.tell, which never raises"
    )


def test_no_way_to_warn_is_overlooked() -> None:
    for line in ("    warnings.warn(text)", "warnings.warn_explicit(", "from warnings import warn", "  warn('x')"):
        assert warns(line) == 1
    assert warns("errors.tell(text)\nself._warn(text)\n# warnings.warn(text)\nwarnings.simplefilter('error')") == 0
