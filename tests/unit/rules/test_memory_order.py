"""Every function of the headers that accesses shared words has its order and its partner on the page about that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.models.protocols import PROTOCOLS

ROOT = Path(__file__).resolve().parents[3]
HEADERS = [ROOT / "src/headway/include/headway.h", *sorted((ROOT / "src/headway/native").glob("*.h"))]
ACCESS = re.compile(r"\b(hw_load\w*|hw_peek|hw_store\w*|hw_put\w*|hw_cas|hw_next|hw_latch_\w+|__atomic_\w+)\(")
BEGINS = re.compile(r"^[a-z][\w *]*?\*?\b(hw_\w+)\([^;]*?\) \{", re.MULTILINE)


def accessing(header: Path) -> set[str]:
    """The functions of a header that access shared words."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
    found = set()
    for begin in BEGINS.finditer(text):
        line_end = text.index("\n", begin.end())
        one_line = text[begin.end() : line_end].rstrip().endswith("}")
        body = text[begin.end() : line_end if one_line else text.index("\n}", begin.end())]
        if ACCESS.search(body):
            found.add(begin[1])
    return found


def named() -> set[str]:
    return set(re.findall(r"`(hw_\w+)`", (ROOT / "docs/memory-order.md").read_text()))


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_each_access_has_its_order_on_the_page(header: Path) -> None:
    missing = accessing(header) - named()
    assert not missing, f"docs/memory-order.md does not name {', '.join(sorted(missing))}"


def test_the_page_and_the_protocols_name_functions_that_there_are() -> None:
    text = "".join(header.read_text() for header in HEADERS)
    code = " ".join(protocol.code for protocol in PROTOCOLS)
    of_protocols = set(re.findall(r"\bhw_\w+", code))
    unknown = {name for name in named() | of_protocols if not re.search(rf"\b{name}\(", text)}
    assert not unknown, f"no header has {', '.join(sorted(unknown))}"
    assert of_protocols <= named()


def test_a_function_that_accesses_words_is_seen(tmp_path: Path) -> None:
    header = tmp_path / "some.h"
    header.write_text(
        "static inline int hw_one(void) { return hw_peek(NULL) == 0; }\n"
        "/* Of two lines. */\nstatic void hw_two(hw_board *board,\n                   int more) {\n"
        "    if (more) {\n        __atomic_store_n(board, 1, 0);\n    }\n}\n"
        "static int hw_none(int n) {\n    return n;\n}\n"
    )
    assert accessing(header) == {"hw_one", "hw_two"}
