"""What drives real processes leaves none behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import end_started


@pytest.fixture(autouse=True)
def _ends_what_was_started() -> Iterator[None]:
    yield
    end_started()
