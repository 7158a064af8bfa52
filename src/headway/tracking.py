def track(iterable, *, total=None, label=None, unit="it", board=None):
    """x"""
