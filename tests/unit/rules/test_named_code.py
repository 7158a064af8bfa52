"""What models, comments and pages say of native code ("pool.h: hw_link") stands there: functions move between files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEADERS = {file.name: file for room in ("native", "include") for file in (ROOT / "src" / "headway" / room).glob("*.h")}
READ = sorted(
    [
        *HEADERS.values(),
        *(file for file in (ROOT / "tests" / "models").iterdir() if file.suffix in (".py", ".pml", ".h")),
        ROOT / "ARCHITECTURE.md",
    ]
)
NAMED = re.compile(r"\b([a-z_]+\.h)`?[:,]? `?(hw_\w+(?:(?:`?, `?|`? and `?)hw_\w+)*)")
DEFINED = re.compile(
    r"^(?:static|typedef|int|void|struct|#define)\b[^\n;]*?\b(hw_\w+)\b *[({]|^} (hw_\w+);", re.MULTILINE
)


def missing(text: str) -> list[str]:
    """The functions that are said to be in a header, and are not defined there."""
    found = []
    for header, names in NAMED.findall(text):
        code = HEADERS[header].read_text(encoding="utf-8") if header in HEADERS else ""
        defined = {name for either in DEFINED.findall(code) for name in either}
        found += [f"{header}: {name}" for name in re.findall(r"hw_\w+", names) if name not in defined]
    return found


def test_a_function_that_is_not_where_it_is_said_to_be_is_found() -> None:
    said = "pool.h: hw_link and hw_bind; bind.h hw_bind, hw_nothing"
    assert missing(said) == ["pool.h: hw_bind", "bind.h: hw_nothing"]


@pytest.mark.parametrize("file", READ, ids=lambda file: file.name)
def test_native_code_is_where_it_is_said_to_be(file: Path) -> None:
    assert missing(file.read_text(encoding="utf-8")) == []
