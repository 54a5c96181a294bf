"""queue.cfg: what it may hold, and the text of every complaint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobqueue.config import QueueConfig, config_text, read_config
from jobqueue.errors import ConfigError, FormatVersionError, JobQueueError, QueueNotFoundError
from jobqueue.layout import QueueLayout
from jobqueue.share import Share


def _config(text: str, version: str = "1") -> QueueConfig:
    return QueueConfig("/q/queue.cfg", f"[main]\nformatVersion = {version}\n{text}")


def _complaint(text: str, kind: type[JobQueueError] = ConfigError) -> str:
    with pytest.raises(kind) as caught:
        QueueConfig("/q/queue.cfg", text)
    assert caught.value.path == "/q/queue.cfg"
    assert str(caught.value) == f"/q/queue.cfg: {caught.value.reason}"
    return caught.value.reason


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("links", [True, False])
def test_the_configuration_of_a_new_queue_is_read(flat: bool, links: bool) -> None:
    config = QueueConfig("/q/queue.cfg", config_text(keep_jobs_in_repository=flat, use_sym_links=links))
    assert (config.keep_jobs_in_repository, config.use_sym_links, config.beat_s) == (flat, links, 5.0)
    assert (config.options, config.proc_options("blender"), config.proc_params("blender")) == ({}, {}, {})


def test_settings_and_options_stand_under_main() -> None:
    config = _config("beat = 0.5\nuseSymLinks = True\nmaxAttempts = 7\ntimeout = 60\npriority = -3\n")
    assert (config.beat_s, config.use_sym_links, config.keep_jobs_in_repository) == (0.5, True, False)
    assert config.options == {"maxAttempts": 7, "timeout": 60, "priority": -3}


@pytest.mark.parametrize(
    ("text", "few", "many"),
    [
        ("", None, 500.0), ("maxCallsPerSecond = auto\n", None, 500.0), ("maxCallsPerSecond = None\n", None, None),
        ("maxCallsPerSecond = 20\n", 20, 20),
    ],
)  # fmt: skip
def test_the_limit_of_calls_depends_on_how_many_share_it(text: str, few: float | None, many: float | None) -> None:
    config = _config(text)
    assert (config.calls_per_s(50), config.calls_per_s(51)) == (few, many)


def test_a_procedures_section_holds_its_options_and_its_default_parameters() -> None:
    config = _config("[blender proc]\ntimeout = 3600\nThreads = 4\n[ own.module:Class   proc]\nlabel = x\n")
    assert config.proc_options("blender") == {"timeout": 3600}
    assert config.proc_params("blender") == {"Threads": 4}
    assert config.proc_params("own.module:Class") == {"label": "x"}
    for other in (None, "", "maya"):
        assert (config.proc_options(other), config.proc_params(other)) == ({}, {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4), ("-1.5", -1.5), ("'4'", "4"), ("(1, [2], {'a': None})", (1, [2], {"a": None})), ("b'x'", b"x"),
        ("/usr/bin/blender", "/usr/bin/blender"), ("a plain text", "a plain text"), ("", ""), ("100%", "100%"),
        ("os.system('x')", "os.system('x')"), ("{[1]: 2}", "{[1]: 2}"), ("(" * 3000, "(" * 3000), ("[1,", "[1,"),
    ],
    ids=lambda value: str(value)[:16],
)  # fmt: skip
def test_a_value_is_a_python_literal_else_the_text_itself(text: str, value: Any) -> None:
    found = _config(f"[noop proc]\nvalue = {text}\n").proc_params("noop")
    assert found == {"value": value}
    assert type(found["value"]) is type(value)


@pytest.mark.parametrize("text", ["", "[other]\nformatVersion = 1\n", "[main]\nbeat = 5\n"])
def test_a_file_without_a_format_version_is_no_queues(text: str) -> None:
    reason = _complaint(text, QueueNotFoundError)
    assert reason == "there is no formatVersion under [main], so this is not a job queue"


@pytest.mark.parametrize("version", ["2", "0", "'1'", "one"])
def test_another_format_version_is_left_alone(version: str) -> None:
    reason = _complaint(f"[main]\nformatVersion = {version}\nunknown = setting\n", FormatVersionError)
    assert reason == (
        f"the queue has the format version {version.strip(chr(39))}, this jobqueue knows version 1; "
        "use the version of jobqueue that made it"
    )


@pytest.mark.parametrize(
    "text", ["no section\n", "[main\n", "[main]\na = 1\na = 2\n", "[main]\n[main]\n", "\x7fELF\x02\x01"]
)
def test_a_file_that_is_no_configuration_is_called_so(text: str) -> None:
    assert _complaint(text).startswith("this is no configuration file: ")


def test_a_section_that_is_no_procedures_is_an_error_that_says_how_it_is_written() -> None:
    assert _complaint("[main]\nformatVersion = 1\n[blender]\nthreads = 4\n") == (
        "there is no section [blender]; settings stand under [main], those of a procedure under [blender proc]"
    )


def test_an_unknown_setting_is_an_error_that_names_the_known_ones() -> None:
    assert _complaint("[main]\nformatVersion = 1\nzeal = 1\nbeats = 5\n") == (
        "unknown setting beats under [main]; the settings are "
        "beat, deadAfter, keepJobsInRepository, maxAttempts, maxCallsPerSecond, maxErrors, poll, priority, timeout, "
        "useSymLinks"
    )


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("keepJobsInRepository", "1", "True or False"),
        ("useSymLinks", "'yes'", "True or False"),
        ("beat", "0", "a number of seconds above 0"),
        ("beat", "True", "a number of seconds above 0"),
        ("beat", "1e999", "a number of seconds above 0"),
        ("beat", "'5'", "a number of seconds above 0"),
        ("maxCallsPerSecond", "0", "a number above 0, None for no limit, or auto"),
        ("maxCallsPerSecond", "'none'", "a number above 0, None for no limit, or auto"),
    ],
)
def test_a_setting_out_of_its_range_is_an_error(setting: str, value: str, words: str) -> None:
    shown = "inf" if value == "1e999" else value
    reason = _complaint(f"[main]\nformatVersion = 1\n{setting} = {value}\n")
    assert reason == f"{setting} under [main] is {shown}, but has to be {words}"


@pytest.mark.parametrize("section", ["main", "noop proc"])
def test_an_option_out_of_its_range_is_an_error_that_names_the_section(section: str) -> None:
    text = "[main]\nformatVersion = 1\n" + ("" if section == "main" else f"[{section}]\n")
    assert _complaint(f"{text}maxAttempts = 0\n") == (
        f"under [{section}]: option maxAttempts is 0, but has to be a whole number, 1 or more"
    )


def test_a_missing_directory_is_no_queue(tmp_path: Path) -> None:
    layout = QueueLayout(str(tmp_path / "away"))
    with pytest.raises(QueueNotFoundError) as caught:
        read_config(Share(), layout)
    assert str(caught.value) == f"{layout.dir}: there is no such directory; `jobqueue create DIR` makes a queue"


def test_a_file_is_no_queue(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(QueueNotFoundError) as caught:
        read_config(Share(), QueueLayout(str(path)))
    assert str(caught.value) == f"{path}: this is a file, and a queue is a directory; `jobqueue create DIR` makes one"
    with pytest.raises(QueueNotFoundError, match="there is no such directory"):
        read_config(Share(), QueueLayout(f"{path}/below"))


def test_a_directory_without_a_configuration_is_no_queue(tmp_path: Path) -> None:
    with pytest.raises(QueueNotFoundError) as caught:
        read_config(Share(), QueueLayout(str(tmp_path)))
    assert str(caught.value) == (
        f"{tmp_path}: this is not a job queue, it has no queue.cfg; "
        "`jobqueue create DIR` makes one in an empty directory"
    )


def test_a_configuration_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "queue.cfg").write_bytes(b"[main]\nformatVersion = 1\nlabel = K\xe4se\n")
    with pytest.raises(ConfigError) as caught:
        read_config(Share(), QueueLayout(str(tmp_path)))
    assert str(caught.value) == f"{tmp_path}/queue.cfg: this file is not UTF-8 text"


def test_the_configuration_of_a_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "queue.cfg").write_text("[main]\nformatVersion = 1\n[noop proc]\nlabel = Käse\n", encoding="utf-8")
    assert read_config(Share(), QueueLayout(str(tmp_path))).proc_params("noop") == {"label": "Käse"}
