"""Runs a command in a cluster of its own: `python -m tests.lab --hosts 3 --share nfs3 -- bash script.sh`.

See tests/lab/README.md for what the command finds there. The exit status is the command's; 125: the cluster did not
come up (LAB_DEBUG=1 shows why); 124: no end in time; 137: power cut.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.lab.guest import NO_END, NOT_UP, PACKAGES, POWER_CUT, GuestSettings, missing_programs, run_guest

_WHY = {
    NOT_UP: "the cluster did not come up; LAB_DEBUG=1 shows its boot",
    NO_END: "no end in time; --timeout gives it longer",
    POWER_CUT: "power cut",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=2, metavar="N")
    parser.add_argument("--share", default="nfs4.2", choices=["nfs4.2", "nfs4.1", "nfs4.0", "nfs3", "smb", "local"])
    parser.add_argument("--mount-options", default="", metavar="A,B", help="more mount options of the hosts")
    parser.add_argument("--memory", default="1G", metavar="SIZE")
    parser.add_argument("--disk", type=Path, metavar="FILE", help="ext4 image behind the export (default: memory)")
    parser.add_argument("--disk-size", default="512M", metavar="SIZE", help="of a new image")
    parser.add_argument("--bind", type=Path, action="append", default=[], metavar="DIR", help="writable in the guest")
    parser.add_argument("--out", type=Path, metavar="DIR", help="receives what the command wrote to $LAB_OUT")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS")
    parser.add_argument("--power-cut", type=float, metavar="SECONDS", help="kill the guest, so long after the start")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    given = parser.parse_args()
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        parser.error("there is no COMMAND")
    if missing := missing_programs(given.share):
        sys.stderr.write(f"lab: missing {', '.join(missing)}: apt-get install {PACKAGES}\n")
        return NOT_UP
    settings = GuestSettings(
        share=given.share,
        hosts=given.hosts,
        mount_options=given.mount_options,
        disk=given.disk,
        disk_size=given.disk_size,
        memory=given.memory,
        binds=tuple(given.bind),
        out=given.out,
        timeout_s=given.timeout,
        power_cut_s=given.power_cut,
    )
    status = run_guest(settings, command, lambda line: print(line, flush=True))
    if status in _WHY:
        sys.stderr.write(f"lab: {_WHY[status]}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
