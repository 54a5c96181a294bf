"""Settings are written into a queue.cfg, and all else that stands in it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobqueue.config import change_settings, changed_text, read_config
from jobqueue.errors import ConfigError
from jobqueue.layout import QueueLayout
from jobqueue.share import Share
from tests.support import snapshot


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[main]\nformatVersion = 1\n", "[main]\nformatVersion = 1\nbeat = 7.0\n"),
        ("[main]\nformatVersion = 1", "[main]\nformatVersion = 1\nbeat = 7.0\n"),
        ("# ours\n[main]\nbeat=2 \nx = 1\n", "# ours\n[main]\nbeat = 7.0\nx = 1\n"),
        ("[main]\nbeat : 2\n", "[main]\nbeat = 7.0\n"),
        ("[main]\n#beat = 2\n;beat = 3\n", "[main]\nbeat = 7.0\n#beat = 2\n;beat = 3\n"),
        ("[main]\nbeat = [\n  2]\n; why\nx = 1\n", "[main]\nbeat = 7.0\n; why\nx = 1\n"),
        ("[main]\nx = [\n  2]\n", "[main]\nx = [\n  2]\nbeat = 7.0\n"),
        ("[main]\nbeats = 2\n\n# a\n[a proc]\nb = 3\n", "[main]\nbeats = 2\nbeat = 7.0\n\n# a\n[a proc]\nb = 3\n"),
        ("[a proc]\nbeat = 3\n[main]\nx = 1\n", "[a proc]\nbeat = 3\n[main]\nx = 1\nbeat = 7.0\n"),
    ],
)  # fmt: skip
def test_one_setting_is_changed_or_added_under_main(before: str, after: str) -> None:
    assert changed_text(before, {"beat": 7.0}) == after
    assert changed_text(after, {"beat": 7.0}) == after


def test_several_settings_keep_their_order() -> None:
    text = changed_text("[main]\ndeadAfter = 1\n", {"poll": 2.0, "beat": 6.0, "deadAfter": 150.0})
    assert text == "[main]\ndeadAfter = 150.0\npoll = 2.0\nbeat = 6.0\n"


def test_the_file_of_a_queue_is_changed_whole(queue_dir: Path) -> None:
    share, layout = Share(), QueueLayout(str(queue_dir))
    path = queue_dir / "queue.cfg"
    text = path.read_text()
    change_settings(share, layout, {"poll": 2.0, "beat": 6.0, "deadAfter": 150.0})
    assert path.read_text() == text.replace(
        "useSymLinks = False\n", "useSymLinks = False\npoll = 2.0\nbeat = 6.0\ndeadAfter = 150.0\n"
    )
    config = read_config(share, layout)
    assert (config.poll_s, config.beat_s, config.dead_after_s) == (2.0, 6.0, 150.0)


def test_a_setting_that_makes_no_sense_is_not_written(queue_dir: Path) -> None:
    before = snapshot(queue_dir)
    with pytest.raises(ConfigError, match="poll under"):
        change_settings(Share(), QueueLayout(str(queue_dir)), {"poll": 0.0})
    assert snapshot(queue_dir) == before
