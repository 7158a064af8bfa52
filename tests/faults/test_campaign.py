"""The campaign itself: in which order its rows run, and that its table has them as they are listed."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults import campaign
from tests.faults.rows import Row

if TYPE_CHECKING:
    from pathlib import Path

DONE = ("-c", """print('{"tried": 1, "of": "things", "failed": 0}')""")
TOOK = {"short": 2.0, "long": 300.0, "longest": 4000.0, "middle": 20.0}
LISTED = ["short", "long", "new", "longest", "middle"]  # nobody knows yet how long the new one takes


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ((), LISTED),
        (("--long",), ["longest", "new", "long", "middle", "short"]),
    ],
    ids=["quick", "long"],
)
def test_the_longest_rows_run_first_in_the_long_form_and_the_table_is_as_listed(
    options: tuple[str, ...],
    order: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorded = tmp_path / "recorded.json"
    recorded.write_text(json.dumps({f"part: {what}": {"seconds": took} for what, took in TOOK.items()}))
    monkeypatch.setattr(campaign, "RECORDED", recorded)
    monkeypatch.setattr(campaign, "ROWS", [Row("part", what, DONE) for what in LISTED])
    monkeypatch.setattr(sys, "argv", ["ci/faults", "--jobs", "1", "--json", *options])
    monkeypatch.setenv("HEADWAY_STRIDE", "1")  # what --long sets
    assert campaign.main() == 0
    said = capsys.readouterr()
    assert re.findall(r"part: (\w+): held", said.err) == order
    assert [one["what"] for one in json.loads(said.out)] == LISTED
