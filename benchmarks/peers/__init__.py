"""The peers, a file each. A peer's own package is imported when the peer is made, so that the list needs none."""

from __future__ import annotations

from benchmarks.peers.bare import Bare
from benchmarks.peers.base import Peer
from benchmarks.peers.dask import Dask
from benchmarks.peers.dirq import Dirq
from benchmarks.peers.huey import Huey
from benchmarks.peers.hyperqueue import HyperQueue
from benchmarks.peers.jug import Jug
from benchmarks.peers.luigi import Luigi
from benchmarks.peers.ours import OurArray, Ours
from benchmarks.peers.persistqueue import PersistQueue
from benchmarks.peers.rq import Rq

PEERS: dict[str, type[Peer]] = {
    peer.name: peer for peer in (Ours, OurArray, Jug, Huey, PersistQueue, Dirq, Rq, Dask, HyperQueue, Luigi, Bare)
}
