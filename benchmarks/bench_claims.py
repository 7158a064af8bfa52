"""How long a program waits for a task: claims at a steady rate, and flat out, on a default board with a recorder.

    python benchmarks/bench_claims.py            400 and 1 000 tasks a second, then flat out: about half a minute

Two workers claim tasks that count, write a status and a result, and end, as in bench_night.py; the board is full after
the first thousand, so that each claim needs the slot of a task that the history has by then. What claim, end and free
cost in instructions is counted by `ci/bench --instructions`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import budgets
from benchmarks.bench_night import home, night

RATES = {400.0: 4_000, 1_000.0: 8_000, 0.0: 20_000}  # tasks a second, 0: as fast as it goes; how many tasks


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = {}
    for rate, tasks in RATES.items():
        with home():
            found[rate] = night(tasks, rate)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for rate, one in found.items():
        late = one["claim_p99_s"] > budgets.NIGHT_CLAIM_P99_S and rate
        print(
            f"{f'{rate:,.0f} tasks a second' if rate else 'flat out':22} {one['tasks_a_second']:8,.0f} a second: "
            f"p50 {1e6 * one['claim_p50_s']:7,.1f} µs, p99 {1e6 * one['claim_p99_s']:9,.1f} µs, at most "
            f"{1e3 * one['claim_most_s']:6.1f} ms; {one['missing']} are missing{'  over its budget' if late else ''}"
        )


if __name__ == "__main__":
    main()
