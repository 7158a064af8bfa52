"""Market data for the programs: twenty years of two indices as bars, by symbol and time frame.

A symbol is an index in five of those years, `SP500-1999-2003`. The daily bars come with the package `arch`.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a pool has a process for each core; and threads do not fork

import pandas as pd
from arch.data import nasdaq, sp500

DAILY = {"SP500": sp500.load(), "NASDAQ": nasdaq.load()}  # when imported: workers that are forked have them already
YEARS = [(1999, 2003), (2004, 2008), (2009, 2013), (2014, 2018)]
SYMBOLS = {f"{index}-{first}-{last}": (index, first, last) for index in DAILY for first, last in YEARS}
# Of each time frame: the rule of pandas, and how many bars a year has.
TIME_FRAMES = {"1D": ("B", 252), "2D": ("2B", 130), "1W": ("W-FRI", 52), "2W": ("2W-FRI", 26), "1M": ("ME", 12)}
COLUMNS = {"Open": "first", "High": "max", "Low": "min", "Close": "last", "Volume": "sum"}


class UnknownSymbol(LookupError):
    """There is no such symbol, or no such time frame of it."""


def bars(symbol: str, time_frame: str) -> pd.DataFrame:
    """The bars of a symbol, oldest first, with the columns open, high, low, close and volume. Raises UnknownSymbol."""
    if symbol not in SYMBOLS:
        raise UnknownSymbol(f"there is no symbol {symbol!r}: choose from {', '.join(SYMBOLS)}")
    if time_frame not in TIME_FRAMES:
        raise UnknownSymbol(f"there is no time frame {time_frame!r}: choose from {', '.join(TIME_FRAMES)}")
    index, first, last = SYMBOLS[symbol]
    rule, _ = TIME_FRAMES[time_frame]
    return DAILY[index].loc[str(first) : str(last)].resample(rule).agg(COLUMNS).dropna().rename(columns=str.lower)


def main() -> None:
    for symbol in SYMBOLS:
        counts = ", ".join(f"{len(bars(symbol, frame))} of {frame}" for frame in TIME_FRAMES)
        print(f"{symbol:17} {counts}")


if __name__ == "__main__":
    main()
