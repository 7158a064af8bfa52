"""Draws the results of comparison.py: docs/trackers.svg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.comparison import SIDES, Comparison

__all__ = ["draw", "style"]

COLOURS = dict(zip(SIDES, ("#0969da", "#bc4c00", "#e0a36c", "#57606a", "#a0a7ae"), strict=True))
MARKERS = dict(zip(SIDES, "os^DV".lower(), strict=True))


def style() -> Any:
    """matplotlib.pyplot, set up for pictures of the docs: the same figures give the same bytes."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {
        "svg.hashsalt": "headway",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#d8dee4",
        "legend.frameon": False,
    }
    import matplotlib.pyplot as plt

    return plt


def draw(found: Comparison, path: Path) -> None:
    """Write the picture. The same figures give the same bytes."""
    plt = style()
    figure, (rates, latencies, jobs) = plt.subplots(1, 3, figsize=(12.5, 4.1), layout="constrained")
    lost = {one.side: one for one in found.lost}
    for side in SIDES:
        same = [rate for rate in found.rates if rate.side == side and rate.same]
        look = {"color": COLOURS[side], "marker": MARKERS[side], "markersize": 5}
        share = lost[side].lost / max(1, lost[side].updates)
        label = f"{side}: {f'{share:.0%}' if lost[side].lost else 'none'} lost"
        rates.plot([one.processes for one in same], [one.calls_per_s for one in same], label=label, **look)
        middle = [one.p50_s for one in same]
        spread = [[0.0] * len(same), [one.p99_s - one.p50_s for one in same]]
        latencies.errorbar([one.processes for one in same], middle, yerr=spread, capsize=2, linewidth=1, **look)
        mine = [one for one in found.jobs if one.side == side and one.rate]
        jobs.plot([one.rate for one in mine], [100 * one.wall[1] for one in mine], label=side, **look)

    for axes in (rates, latencies):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        axes.set_xlabel("processes that update one execution")
    rates.set_title("update_stage: calls a second")
    rates.legend(fontsize=8, title="of results that four processes stored", title_fontsize=8)
    low, high = rates.get_ylim()
    rates.set_ylim(low / 1e3, high)  # room for the legend
    rates.set_yticks([1e2, 1e3, 1e4, 1e5, 1e6], ["100", "1 000", "10 000", "100 000", "1 million"])
    rates.minorticks_off()
    latencies.set_title("time of a call: median, up to 99 %")
    latencies.set_yticks(
        [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1], ["100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms"]
    )
    jobs.set_xscale("log")
    jobs.set_yscale("symlog", linthresh=20)
    (noise,) = (one for one in found.jobs if not one.rate)
    jobs.axhspan(100 * noise.wall[0], 100 * noise.wall[2], color="#d8dee4", alpha=0.6, linewidth=0)
    jobs.set_xticks([10, 100, 1000], ["10", "100", "1000"])
    jobs.set_yticks([-20, 0, 20, 50, 100, 200, 500], ["−20 %", "0 %", "20 %", "50 %", "100 %", "200 %", "500 %"])
    jobs.minorticks_off()
    jobs.set_xlabel(f"updates a second in each of {found.job_workers} workers")
    jobs.set_title("a CPU-bound job takes longer by (grey: noise)")
    figure.suptitle(f"{found.machine}; {found.taken}", fontsize=8, color="#57606a")
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
