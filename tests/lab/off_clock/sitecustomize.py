"""Puts the time of day off in a Python program: by $LAB_CLOCK seconds, for a program that finds this on its PYTHONPATH.

A time namespace holds no time of day, and libfaketime spoils clock_nanosleep with an absolute monotonic time, which
Python sleeps by. So the clock is off where the program asks for it.
"""

from __future__ import annotations

import os
import time

_OFF_S = int(os.environ["LAB_CLOCK"])
_time, _time_ns = time.time, time.time_ns

time.time = lambda: _time() + _OFF_S
time.time_ns = lambda: _time_ns() + _OFF_S * 1_000_000_000
