"""The gate on instruction counts: slower fails, faster is noted, and other builds are not compared."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from benchmarks.instructions import Count

ROOT = Path(__file__).resolve().parents[3]
FLOOR = "empty Cython method"
HERE = "x86_64, Python 3.11, GCC 12, Cython 3.3"
OTHER = "aarch64, Python 3.13, GCC 14, Cython 3.3"
KEPT = {HERE: {FLOOR: 20.0, "update": 60.0, "get": 1000.0}}


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def counts(**own: float) -> dict[str, Count]:
    from benchmarks.instructions import Count

    return {name: Count(all=500.0, own=value) for name, value in {FLOOR: 20.0, **own}.items()}


def verdicts(found: dict[str, Count], under: str = HERE) -> dict[str, str]:
    from benchmarks import recorded

    return {line.name: line.verdict for line in recorded.compare(found, under, KEPT)}


@pytest.mark.parametrize(
    ("update", "get", "expected"),
    [
        (60.0, 1000.0, ("", "")),
        (61.0, 1020.0, ("", "")),  # one instruction, or two per cent
        (61.3, 1000.0, ("slower", "")),
        (60.0, 1021.0, ("", "slower")),
        (58.0, 979.0, ("faster", "faster")),
    ],
)
def test_a_slow_down_is_told_from_a_speed_up(update: float, get: float, expected: tuple[str, str]) -> None:
    found = verdicts(counts(update=update, get=get))
    assert (found["update"], found["get"]) == expected


def test_another_build_is_held_against_the_empty_method_of_its_own_run() -> None:
    assert verdicts(counts(update=89.0, get=1000.0), OTHER) == {FLOOR: "new", "update": "new", "get": "new"}
    assert verdicts(counts(update=91.0, get=1000.0), OTHER)["update"] == "slower", "60 of 20, and half as much again"
    assert verdicts(counts(update=60.0, more=10**6))["more"] == "new", "nothing is known of it anywhere"


def test_recording_keeps_what_other_builds_recorded(tmp_path: Path) -> None:
    from benchmarks import recorded

    path = tmp_path / "instructions.json"
    recorded.record(counts(update=60.04), HERE, path)
    recorded.record(counts(update=70.0), OTHER, path)
    assert recorded.load(path) == {HERE: {FLOOR: 20.0, "update": 60.0}, OTHER: {FLOOR: 20.0, "update": 70.0}}
    path.write_text(json.dumps({HERE: {"update": "60"}}))
    with pytest.raises(ValueError, match="--record"):
        recorded.load(path)


def test_only_the_instructions_of_our_own_modules_count_as_such() -> None:
    from benchmarks.instructions import _read

    dump = """
ob=/usr/lib/libpython3.11.so.1.0
fn=eval
0 100
cob=/x/src/headway/native/core.cpython-311-x86_64-linux-gnu.so
cfn=update
calls=10 0
0 5000
ob=/x/src/headway/native/core.cpython-311-x86_64-linux-gnu.so
fn=update
12 40
13 2
cob=/usr/lib/libc.so.6
calls=10 0
0 300
ob=/usr/lib/libc.so.6
0 300
totals: 442
"""
    assert _read(dump) == (442, 42)


def test_what_is_recorded_is_what_is_counted() -> None:
    from benchmarks import instructions, recorded

    found = recorded.load()
    assert found, "make it with 'ci/bench --instructions --record'"
    counted = {name for name, (loop, _) in instructions.PHASES.items() if loop}
    assert {under: set(names) for under, names in found.items()} == dict.fromkeys(found, counted)


def test_the_page_shows_what_is_recorded() -> None:
    from benchmarks import recorded

    text = recorded.PAGE.read_text()
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| [\d,]+ \|$", text, re.MULTILINE)
    (under,) = re.findall(r"^\((.+); the loop", text, re.MULTILINE)
    shown = {name: f"{value:,.0f}" for name, value in recorded.load()[under].items()}
    assert dict(rows) == shown


def test_the_key_names_what_the_modules_were_built_with() -> None:
    from benchmarks import recorded

    words = recorded.key().split(", ")
    assert len(words) == 4
    assert words[1].startswith("Python 3.")
    assert words[3].startswith("Cython 3.")
    if shutil.which("gcc"):
        assert "unknown" not in words[2]
