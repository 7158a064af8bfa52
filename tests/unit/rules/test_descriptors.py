"""No file of ours may get the number of a standard stream: there is one way to open one, in Python and in C."""

from __future__ import annotations

import re

import pytest

from tests.rooms import PACKAGE

# The commands and the server print on their own streams, and open files before anything else only to read them.
ROOMS = ("analysis", "bars", "engine", "files", "native", "process", "recorder", "system", "tasks", "upkeep")
HOMES = ("system/descriptors.py", "native/descriptor.h", "native/start.h")  # start.h: between clone and exec
CALLS = (
    r"\bos\.(open|dup|pipe2?|memfd_create|eventfd|pidfd_open)\(",
    r"\bsocket\.(socketpair|create_connection)\(",
    r"\bsocket\.socket\((?!fileno=)",
    r"\b(mkstemp|TemporaryFile|NamedTemporaryFile)\(",
    r"(?<![\w.])open\((?!descriptor)[^)\n]*[\"'][wax]b?\+?[\"']",
    r"\.open\([\"'][wax]b?\+?[\"']",
    r"\.write_(text|bytes)\(",
)
NATIVE = (r"(?<![\w.])(open|openat|creat|shm_open|dup|pipe|memfd_create)\(", r"\bsem_open\(")


def opened(source: str, calls: tuple[str, ...]) -> list[str]:
    """The lines that open something without `descriptors`, and are no definition."""
    return [
        line.strip()
        for line in source.splitlines()
        if any(re.search(call, line) for call in calls)
        and "descriptors." not in line
        and not re.match(r"\s*(def|async def|#|\*|/\*|return open|cdef)\b", line)
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_is_opened_above_the_standard_streams(room: str) -> None:
    for path in sorted((PACKAGE / room).rglob("*")):
        name = str(path.relative_to(PACKAGE))
        if name in HOMES or path.suffix not in (".py", ".pyx", ".pxi", ".h"):
            continue
        source = path.read_text()
        if path.suffix == ".py":
            assert opened(source, CALLS) == [], name
        else:
            found = opened(re.sub(r"/\*.*?\*/|\"\"\".*?\"\"\"", "", source, flags=re.DOTALL), NATIVE)
            covered = source.count("hw_cover(covered);") if "sem_open" in source else 0
            assert len(found) == covered, (name, found)


def test_what_opens_a_file_is_recognized() -> None:
    for line in (
        "fd = os.open(path, flags)",
        "pid = os.pidfd_open(1)",
        'with open(path, "w") as file:',
        'file = path.open("xb")',
        "a, b = socket.socketpair()",
        "path.write_text(text)",
    ):
        assert opened(line, CALLS)
    assert opened("fd = open(path, O_RDWR);", NATIVE)
    assert not opened("fd = descriptors.open_file(path, flags)", CALLS)
    assert not opened("fd = hw_open(path, O_RDWR);", NATIVE)
