"""What the demo found, added up."""

from __future__ import annotations

import sys

from headway.demo.report import Killed, Report
from headway.demo.work import NOTHING


def test_the_report_adds_up() -> None:
    found = {f"p{number}": {**NOTHING, "files": 2, "lines": 10 * number} for number in range(15)}
    report = Report("demo", "/src", 4, files=30, counted=30, seconds=2.0, packages=found)
    report.killed.append(Killed(77, "all/p3", "parse", "x.py", 1, 2))
    text = str(report)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[1:11]] == [f"p{number}" for number in range(14, 4, -1)]
    assert lines[11].split()[:4] == ["5", "others", "10", "100"]
    assert lines[12].split()[:4] == ["all", "15", "30", "1,050"]
    assert "worker 77 was killed at all/p3, file 2 of 2, in stage parse: x.py" in text
    assert "30 of 30 files indexed, by 4 workers in 2.0 s: 15 a second" in text
    assert report.to_dict()["found"]["lines"] == 1050
    assert sys.getsizeof(text) < 10_000
