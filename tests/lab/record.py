"""Plays the scripts on each kind of share and keeps what was answered, in tests/lab/answers.

Run as `python -m tests.lab.record [--share KIND]`. Look at the difference before you commit it: an answer that is new
is a fact about a kernel.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.lab.calls import ANSWERS
from tests.lab.guest import SHARES, GuestSettings, python_command, run_guest


def record(share: str) -> int:
    """Plays all scripts on one kind of share; the guest's exit status."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        out = Path(made)
        settings = GuestSettings(share=share, hosts=3, disk=out / "disk.img", out=out)
        status = run_guest(
            settings,
            python_command("tests.lab.play", str(out / "scripts.json")),
            lambda line: print(line, flush=True),
        )
        if status == 0:
            ANSWERS.mkdir(exist_ok=True)
            shutil.copyfile(out / "scripts.json", ANSWERS / f"{share}.json")
    return status


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.record", description=__doc__)
    parser.add_argument("--share", action="append", choices=SHARES, help="only this one")
    return max(record(share) for share in parser.parse_args().share or SHARES)


if __name__ == "__main__":
    sys.exit(main())
