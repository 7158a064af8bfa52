"""Everything that one would use instead, measured beside Headway in one run: `ci/bench --peers`."""

from benchmarks.peers.bars import (
    AliveProgress,
    Barflow,
    MpireBar,
    NumbaProgress,
    RichProgress,
    Tqdm,
    TqdmWithLock,
)
from benchmarks.peers.contract import Cannot, Peer
from benchmarks.peers.stores import (
    FileTracker,
    Headway,
    ManagerDict,
    PlainInt,
    Prometheus,
    Queue,
    Redis,
    ShareableList,
    Sqlite,
    UltraDict,
    Value,
)

__all__ = ["PEERS", "Cannot", "Peer"]

PEERS: dict[str, type[Peer]] = {
    peer.title: peer
    for peer in (
        Headway,
        PlainInt,
        Tqdm,
        TqdmWithLock,
        RichProgress,
        AliveProgress,
        Barflow,
        MpireBar,
        NumbaProgress,
        Value,
        Queue,
        ManagerDict,
        ShareableList,
        UltraDict,
        Prometheus,
        Sqlite,
        Redis,
        FileTracker,
    )
}
