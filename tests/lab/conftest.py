"""Boots one guest for each kind of share, in which everything is done that the collected tests ask for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.guest import (
    KIND_VARIABLE,
    PACKAGES,
    GuestSettings,
    day,
    is_short,
    missing_programs,
    python_command,
    run_guest,
)

# What can be done in a guest; each part leaves PART.json. ``{out}`` is the directory for that.
_PARTS = {
    "scripts": python_command("tests.lab.play", "{out}/scripts.json"),
    "hierarchy": python_command(
        *("tests.lab.cluster", "{out}/hierarchy.json", "--seed", "1", "--jobs", "40" if is_short() else "200"),
        *("--workers-first", "--seconds", "0.3", "--limit", "120"),
    ),
    "prompt": python_command(
        *("tests.lab.cluster", "{out}/prompt.json", "--seed", "2", "--jobs", "20", "--workers-first", "--limit", "60")
    ),
    "budgets": python_command(
        # All columns take six minutes, so somebody has to ask for them.
        *("tests.lab.budgets", "{out}/budgets.json"),
        *(("--full",) if os.environ.get(KIND_VARIABLE) else ("--sizes", "100")),
    ),
    "faults": python_command(
        # Every day another schedule; what the seed was stands in the test's message.
        *("tests.lab.cluster", "{out}/faults.json", "--seed", str(day()), "--jobs", "30", "--seconds", "0.5"),
        *("--faults", "4", "--kinds", "cut,slow,server,lost,stop,slot,kill"),
    ),
}


@pytest.fixture(autouse=True)
def _needs_guest(request: pytest.FixtureRequest) -> None:
    """Tests marked ``lab`` skip here where a program is missing, and fail in CI."""
    if request.node.get_closest_marker("lab") is None:
        return
    missing = sorted({name for share in ("nfs3", "smb") for name in missing_programs(share)})
    if missing:
        what = f"{', '.join(missing)} missing; apt-get install {PACKAGES}"
        if os.environ.get("CI"):
            pytest.fail(f"{what}, and CI has to have it")
        pytest.skip(what)


@pytest.fixture(scope="session")
def guest_part(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The JSON file that a part has left on a kind of share; the first call for a kind boots its guest."""
    wanted = {
        (item.callspec.params["kind"], part)
        for item in request.session.items
        if isinstance(item, pytest.Function)
        for mark in item.iter_markers("lab")
        for part in mark.args
    }
    booted: dict[str, Path] = {}

    def get(kind: str, part: str) -> Path:
        if kind not in booted:
            booted[kind] = tmp_path_factory.mktemp(f"lab-{kind}")
            _boot(kind, [part for part in _PARTS if (kind, part) in wanted], booted[kind])
        path = booted[kind] / f"{part}.json"
        assert path.exists(), f"the guest left no {path.name}; its lines are in {booted[kind]}/lines"
        return path

    return get


def _boot(kind: str, parts: list[str], directory: Path) -> None:
    out = directory.resolve()
    commands = [shlex.join([word.replace("{out}", str(out)) for word in _PARTS[part]]) for part in parts]
    settings = GuestSettings(share=kind, hosts=3, disk=out / "disk.img", disk_size="8G", out=out, timeout_s=1200)
    with (out / "lines").open("w") as lines:
        status = run_guest(settings, ["bash", "-c", "; ".join(commands)], lambda line: print(line, file=lines))
    assert status == 0, f"the guest ended with {status}: {(out / 'lines').read_text()[-2000:]}"
