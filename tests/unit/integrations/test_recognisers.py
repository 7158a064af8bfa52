"""How far tools are, read from what they really printed (tests/data/progress); ffmpeg's is by its documentation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.integrations.recognisers import KINDS, chosen, of_percent
from headway.integrations.told import Lines, Told

PRINTED = Path(__file__).resolve().parents[2] / "data" / "progress"
SAYS = {
    ("rsync", "rsync2.out"): [(percent, None) for percent in (0, 48, 98, 99, 99, 100, 100)],
    ("rsync", "rsync1.out"): [(percent, None) for percent in (0, 75, 100, 10, 100, 10, 100)],
    ("curl", "curl_sized.err"): [(percent, None) for percent in (0, 33, 66, 100, 100)],
    ("curl", "curl_hash.err"): [(percent, None) for percent in (16.7, 33.3, 50.0, 66.7, 83.3, 100.0)],
    ("curl", "curl_unsized.err"): [(0, None), *[(None, None)] * 5],
    ("pv", "pv_n.err"): [(percent, None) for percent in (39, 78, 100)],
    ("pv", "pv_nt.err"): [(percent, None) for percent in (39, 78, 100)],
    ("percent", "pv.err"): [(percent, None) for percent in (39, 78, 100)],
}


def said(kind: str, name: str) -> list[Told]:
    lines = Lines()
    found = [*lines.feed((PRINTED / name).read_bytes()), lines.rest]
    return [told for line in found if (told := KINDS[kind].of_line(line)) is not None]


@pytest.mark.parametrize(("kind", "name"), list(SAYS))
def test_a_tool_is_as_far_as_it_prints(kind: str, name: str) -> None:
    assert [(told.percent, told.total) for told in said(kind, name)] == SAYS[kind, name]


def test_rsync_tells_bytes_and_speed_as_well() -> None:
    assert said("rsync", "rsync2.out")[1].message == "19,759,104 bytes, 17.55MB/s"


def test_curl_that_does_not_know_the_size_tells_what_it_has() -> None:
    assert [told.message for told in said("curl", "curl_unsized.err")][1:4] == ["976k", "1953k", "2929k"]


def test_dd_counts_bytes() -> None:
    counts = [told.done or 0 for told in said("dd", "dd.err")]
    assert (counts[0], counts[-1]) == (135266304, 3000 << 20)
    assert counts == sorted(counts)


def test_ffmpeg_counts_seconds() -> None:
    assert said("ffmpeg", "ffmpeg.err") == [Told(total=100), Told(4), Told(50), Told(100)]
    assert said("ffmpeg", "ffmpeg.progress") == [Told(4), Told(4), Told(100), Told(100)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"Downloading: 45% done", Told(percent=45)),
        (b"[####      ]  12.5 %", Told(percent=12.5)),
        (b"[ 12/500] Building CXX object", Told(12, total=500)),
        (b"12 / 500 files", Told(12, total=500)),
        (b" 40% 12/500", Told(12, total=500)),
        (b"10% then 20%", Told(percent=20)),
        (b"on 12/05/2024", None),
        (b"/usr/lib/3/4", None),
        (b"9/4", None),
        (b"0/0", None),
        (b"250%", None),
        (b"v1.45%", None),
        (b"no number", None),
        (b"", None),
    ],
)
def test_a_percentage_or_a_part_of_a_whole_is_recognised_anywhere(line: bytes, told: Told | None) -> None:
    assert of_percent(line) == told


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_another_tool_prints_is_not_taken_for_progress(kind: str) -> None:
    if kind in ("percent", "none", "pv"):
        return
    for other in PRINTED.iterdir():
        if not other.name.startswith(kind):
            assert said(kind, other.name) == [], other.name


@given(st.binary(max_size=300) | st.text("0123456789%/.:,# \tkMB=time", max_size=300).map(str.encode))
def test_no_output_is_too_bad(line: bytes) -> None:
    for kind in KINDS.values():
        told = kind.of_line(line)
        assert told is None or 0 <= (told.percent or 0) <= 100


def test_auto_goes_by_the_name_of_the_command() -> None:
    assert chosen("auto", "/usr/bin/rsync") is KINDS["rsync"]
    assert chosen("auto", "make") is KINDS["percent"]
    assert chosen("auto", "none") is KINDS["percent"]
    assert chosen("pv", "rsync") is KINDS["pv"]
