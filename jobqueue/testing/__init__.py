"""For tests of scripts, of procedures, and of whatever else stands on a queue.

- `temporary_queue`: a queue that goes away at the end, to submit to and to run jobs of.
- `FakeClock`: time that passes only where somebody waits.
- `ModelServer`, `ModelHost`, `ModelShare`, `Anomalies`: a share in memory that lies as real ones do, to hold calls
  against that were never tried on one.
"""

from jobqueue.testing.anomalies import Anomalies, Fault, Locks
from jobqueue.testing.clock import FakeClock
from jobqueue.testing.host import ModelHost
from jobqueue.testing.process import ModelCall, Watcher
from jobqueue.testing.queues import temporary_queue
from jobqueue.testing.server import ModelServer
from jobqueue.testing.share import ModelShare

__all__ = [
    "Anomalies",
    "FakeClock",
    "Fault",
    "Locks",
    "ModelCall",
    "ModelHost",
    "ModelServer",
    "ModelShare",
    "Watcher",
    "temporary_queue",
]
