"""On what is measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

from jobqueue.share import Share


def describe(folders: Mapping[str, str]) -> dict[str, str]:
    """The machine in words: processor, kernel, Python, and the file systems that are measured on."""
    share = Share()
    kinds = {name: mount.kind if (mount := share.mount(folder)) else "?" for name, folder in folders.items()}
    return {
        "processor": f"{os.cpu_count()} cores, {_model()}",
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        **{f"file system of {name}": kind for name, kind in kinds.items()},
    }


def load() -> str:
    """The load of the last minute, of five, and of fifteen."""
    return "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg())


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
