"""Work that needs nothing but a processor."""

from __future__ import annotations

import time

__all__ = ["burn", "calibrate"]


def burn(times: int) -> int:
    """So much work; what it returns means nothing."""
    total = 0
    for i in range(times):
        total += i * i % 7
    return total


def calibrate() -> int:
    """How many times make about a millisecond of work."""
    times = 1000
    while True:
        cpu = time.process_time()
        burn(times)
        if (taken := time.process_time() - cpu) > 0.02:
            return max(1, int(times * 1e-3 / taken))
        times *= 2
