"""Draws docs/peers.svg."""

from __future__ import annotations

from pathlib import Path
from statistics import median, quantiles

from benchmarks.peers.side_by_side import ITEM_S, Found, Peers
from benchmarks.plot import style

__all__ = ["draw"]

COLOURS = {"any process": "#0969da", "its program": "#57606a", "the screen": "#57606a", "": "#bc4c00"}


def _audience(one: Found) -> str:
    return one.late.by if one.late is not None and one.late.seconds else ""


def draw(found: Peers, path: Path) -> None:
    """Write the picture. The same figures give the same bytes."""
    plt = style()
    peers = [one for one in found.peers if one.cost]
    peers.sort(key=lambda one: median(one.cost), reverse=True)
    figure, (costs, jobs, delays) = plt.subplots(1, 3, figsize=(12.5, 4.9), layout="constrained", sharey=True)
    for place, one in enumerate(peers):
        look = {"color": COLOURS[_audience(one)], "height": 0.62}
        low, middle, high = quantiles(one.cost, n=4, method="inclusive")
        costs.barh(place, max(middle, 1e-9), left=0, **look)
        costs.plot([max(low, 1e-9), max(high, 1e-9)], [place, place], color="black", linewidth=1)
        if len(one.job) > 1:
            low, middle, high = quantiles(one.job, n=4, method="inclusive")
            jobs.barh(place, 100 * middle, **look)
            jobs.plot([100 * low, 100 * high], [place, place], color="black", linewidth=1)
        if one.late is not None and len(one.late.seconds) > 1:
            low, middle, high = quantiles(one.late.seconds, n=4, method="inclusive")
            delays.barh(place, middle, **look)
            delays.plot([low, high], [place, place], color="black", linewidth=1)
        else:
            delays.text(1.3e-6, place, "never" if one.late is not None else "cannot", va="center", fontsize=8)
    costs.set_yticks(range(len(peers)), [one.title for one in peers])
    for axes in (costs, delays):
        axes.set_xscale("log")
        axes.minorticks_off()
    costs.set_xlim(1e-9, 3e-2)
    costs.set_xticks(
        [1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2], ["1 ns", "10", "100", "1 µs", "10", "100", "1 ms", "10"]
    )
    costs.set_title("one update")
    jobs.set_xscale("symlog", linthresh=1)
    jobs.set_xlim(-5, 3000)
    jobs.set_xticks([0, 1, 10, 100, 1000], ["0", "1 %", "10", "100", "1 000 %"])
    jobs.minorticks_off()
    jobs.set_title(f"more CPU for a job, {round(ITEM_S * 1e6)} µs an item")
    delays.set_xlim(1e-6, 1)
    delays.set_xticks([1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1], ["1 µs", "10", "100", "1 ms", "10", "100"])
    delays.set_title("until another process sees it")
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[key]) for key in ("any process", "its program", "")]
    labels = ["any process sees it", "its program, or a screen", "nobody else does"]
    delays.legend(handles, labels, fontsize=8, loc="upper right")
    figure.suptitle(f"{found.machine}; {found.taken}", fontsize=8, color="#57606a")
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
