"""What the demo found, as text and as JSON types."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headway.demo.work import NOTHING, Found
from headway.terminal.text import pad, width
from headway.views.words import duration, number, plural

__all__ = ["Killed", "Report"]

LARGEST = 10
_COLUMNS = ("lines", "tokens", "definitions", "seconds")


@dataclass(frozen=True)
class Killed:
    """What a worker was doing when it was killed; task None: it was between two packages."""

    pid: int
    task: str | None = None
    stage: str = ""
    message: str = ""
    count: int = 0
    total: int | None = None

    def __str__(self) -> str:
        if self.task is None:
            return f"worker {self.pid} was killed between two packages"
        where = f"at {self.task}, file {number(self.count + 1)} of {number(self.total or 0)}"
        return f"worker {self.pid} was killed {where}, in stage {self.stage}: {self.message}"


@dataclass
class Report:
    """The outcome of a run. packages: what was found, by task id; pools: how many pools were started."""

    board: str
    source: str
    workers: int
    files: int
    counted: int = 0
    seconds: float = 0.0
    pools: int = 0
    packages: dict[str, Found] = field(default_factory=dict)
    killed: list[Killed] = field(default_factory=list)
    snapshot: Path | None = None

    @property
    def total(self) -> Found:
        """The sum of all packages."""
        return {name: sum(found[name] for found in self.packages.values()) for name in NOTHING}

    def to_dict(self) -> dict[str, Any]:
        """All fields and the totals, as JSON types."""
        return {**asdict(self), "snapshot": str(self.snapshot), "found": self.total}

    def __str__(self) -> str:
        total = self.total
        largest = sorted(self.packages.items(), key=lambda item: -item[1]["lines"])[:LARGEST]
        rows: list[tuple[str, ...]] = [("package", "files", *_COLUMNS)]
        rows += [_row(name, found) for name, found in largest]
        if others := len(self.packages) - len(largest):
            rest = {name: total[name] - sum(found[name] for _, found in largest) for name in NOTHING}
            rows.append(_row(plural(others, "other"), rest))
        rows.append(_row(f"all {number(len(self.packages))}", total))
        widths = [max(width(row[at]) for row in rows) for at in range(len(rows[0]))]
        lines = ["  ".join(pad(cell, widths[at], right=at > 0) for at, cell in enumerate(row)) for row in rows]
        lines += ["", *(str(killed) for killed in self.killed)]
        speed = number(round(self.counted / self.seconds)) if self.seconds else "-"
        skipped = f", {number(int(total['skipped']))} of them not valid Python (test data)" if total["skipped"] else ""
        done = f"{number(self.counted)} of {plural(self.files, 'file')} indexed{skipped}"
        lines.append(f"{done}, by {plural(self.workers, 'worker')} in {duration(self.seconds)}: {speed} a second")
        return "\n".join(lines)


def _row(name: str, found: Found) -> tuple[str, ...]:
    numbers = [number(int(found[column])) for column in ("files", *_COLUMNS[:-1])]
    return (name, *numbers, f"{found['seconds']:.2f}")
