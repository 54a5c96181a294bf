"""A queue in many states, to be damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobqueue.store import Store
from tests.damages import make_scene
from tests.support_share import QuickShare


@pytest.fixture(scope="session")
def whole_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene as it was made, to be copied."""
    return make_scene(tmp_path_factory.mktemp("scene") / "queue")


@pytest.fixture
def scene(whole_scene: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_scene, tmp_path / "queue"))


@pytest.fixture
def store(scene: Path) -> Store:
    return Store(str(scene), QuickShare(3))
