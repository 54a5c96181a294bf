"""queue.cfg: the format version, the queue's settings, and default parameters of procedures."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Callable, Mapping
from typing import Any

from jobqueue.errors import ConfigError, FormatVersionError, OptionError, QueueNotFoundError
from jobqueue.layout import QueueLayout
from jobqueue.names import FORMAT_VERSION
from jobqueue.options import OPTION_NAMES, check_option
from jobqueue.share import Share

_PROC_SUFFIX = " proc"
# Source: configparser, SECTCRE and OPTCRE; a comment is neither.
_SECTION = re.compile(r"\[(.+)\]")
_NAME = re.compile(r"([^#;\s=:][^=:]*?)\s*[=:]")


# With the setting "auto" so many workers ask the share as often as they like; more of them so often all together.
_FREE_WORKERS = 50
_CALLS_PER_S = 500.0


def _is_bool(value: Any) -> bool:
    return type(value) is bool


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _is_limit(value: Any) -> bool:
    return value is None or value == "auto" or _is_seconds(value)


# Setting, its default, what is allowed, and the words for it.
_SETTINGS: dict[str, tuple[Any, Callable[[Any], bool], str]] = {
    "keepJobsInRepository": (False, _is_bool, "True or False"),
    "useSymLinks": (False, _is_bool, "True or False"),
    "poll": (1.0, _is_seconds, "a number of seconds above 0"),
    "beat": (5.0, _is_seconds, "a number of seconds above 0"),
    "deadAfter": (120.0, _is_seconds, "a number of seconds above 0"),
    "maxCallsPerSecond": ("auto", _is_limit, "a number above 0, None for no limit, or auto"),
}


class QueueConfig:
    """What queue.cfg says.

    Args:
        path: of the file, for errors.
        text: its contents.

    Attributes:
        keep_jobs_in_repository: sub-jobs lie flat under the root's ``.jobs/``.
        use_sym_links: a sub-job with several parents appears in the others as a symbolic link.
        poll_s: how often an idle worker looks for work, where it is not told otherwise.
        beat_s: how often a worker gives its sign of life.
        dead_after_s: how long a worker may be silent of which nothing else is known, before it counts as dead.

    Raises:
        QueueNotFoundError: it is not the configuration of a job queue.
        FormatVersionError: the queue's format is not ours.
        ConfigError: a setting is unknown or out of its range.
    """

    def __init__(self, path: str, text: str) -> None:
        parser = configparser.ConfigParser(interpolation=None, default_section="")
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
        try:
            parser.read_string(text)
        except configparser.Error as error:
            raise ConfigError(f"this is no configuration file: {error}", path) from error
        main = {name: _value(text) for name, text in parser.items("main")} if parser.has_section("main") else {}
        version = main.pop("formatVersion", None)
        if version is None:
            raise QueueNotFoundError("there is no formatVersion under [main], so this is not a job queue", path)
        if version != FORMAT_VERSION:
            raise FormatVersionError(
                f"the queue has the format version {version}, this jobqueue knows version {FORMAT_VERSION}; "
                "use the version of jobqueue that made it",
                path,
            )
        self._path = path
        self.options = self._take_options(main, "main")
        settings = {name: self._setting(main, name) for name in _SETTINGS}
        self.keep_jobs_in_repository: bool = settings["keepJobsInRepository"]
        self.use_sym_links: bool = settings["useSymLinks"]
        self.poll_s: float = settings["poll"]
        self.beat_s: float = settings["beat"]
        self.dead_after_s: float = settings["deadAfter"]
        self._max_calls_per_s: float | str | None = settings["maxCallsPerSecond"]
        unknown = sorted(set(main) - set(_SETTINGS))
        if unknown:
            known = ", ".join(sorted([*_SETTINGS, *OPTION_NAMES]))
            raise ConfigError(f"unknown setting {unknown[0]} under [main]; the settings are {known}", path)
        self._proc_options: dict[str, dict[str, Any]] = {}
        self._proc_params: dict[str, dict[str, Any]] = {}
        self._read_procs(parser)

    def _read_procs(self, parser: configparser.ConfigParser) -> None:
        for section in parser.sections():
            if section.endswith(_PROC_SUFFIX):
                name = section[: -len(_PROC_SUFFIX)].strip()
                values = {key: _value(text) for key, text in parser.items(section)}
                self._proc_options[name] = self._take_options(values, section)
                self._proc_params[name] = values
            elif section != "main":
                raise ConfigError(
                    f"there is no section [{section}]; settings stand under [main], those of a procedure under "
                    f"[{section.split(' ')[0]} proc]",
                    self._path,
                )

    def calls_per_s(self, workers: int) -> float | None:
        """How often so many workers together may ask the share in a second; ``None``: as often as they like."""
        if isinstance(self._max_calls_per_s, str):
            return None if workers <= _FREE_WORKERS else _CALLS_PER_S
        return self._max_calls_per_s

    def proc_names(self) -> list[str]:
        """The procedures that have a section ``[NAME proc]``."""
        return list(self._proc_params)

    def proc_options(self, job_type: str | None) -> dict[str, Any]:
        """The scheduling options under ``[NAME proc]``."""
        return self._proc_options.get(job_type or "", {})

    def proc_params(self, job_type: str | None) -> dict[str, Any]:
        """The default parameters under ``[NAME proc]``."""
        return self._proc_params.get(job_type or "", {})

    def _setting(self, main: dict[str, Any], name: str) -> Any:
        default, allowed, words = _SETTINGS[name]
        value = main.get(name, default)
        if not allowed(value):
            raise ConfigError(f"{name} under [main] is {value!r}, but has to be {words}", self._path)
        return value

    def _take_options(self, values: dict[str, Any], section: str) -> dict[str, Any]:
        found = {name: values.pop(name) for name in list(values) if name in OPTION_NAMES}
        for name, value in found.items():
            try:
                check_option(name, value)
            except OptionError as error:
                raise ConfigError(f"under [{section}]: {error.reason}", self._path) from error
        return found


def _value(text: str) -> Any:
    """A Python literal, else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        # Not an error: a bare word is a text, so that people need not quote paths.
        return text


def config_text(*, keep_jobs_in_repository: bool, use_sym_links: bool) -> str:
    """The queue.cfg of a new queue."""
    return (
        "# The settings of this job queue; workers read them when they start.\n"
        "[main]\n"
        f"formatVersion = {FORMAT_VERSION}\n"
        f"keepJobsInRepository = {keep_jobs_in_repository}\n"
        f"useSymLinks = {use_sym_links}\n"
        "\n"
        "# Default parameters and options of a procedure, for example:\n"
        "#   [blender proc]\n"
        "#   threads = 4\n"
        "#   timeout = 3600\n"
    )


def changed_text(text: str, settings: Mapping[str, float]) -> str:
    """The text of a queue.cfg with other settings under [main]; whatever else stands in it stays, comments too."""
    left = dict(settings)
    lines: list[str] = []
    section, is_replaced, end_of_main = "", False, 0
    for line in text.splitlines():
        if is_replaced and line[:1].isspace() and line.strip():
            # The rest of the value before.
            continue
        head = _SECTION.match(line)
        section = head[1] if head else section
        name = _NAME.match(line) if section == "main" and not head else None
        is_replaced = name is not None and name[1] in settings
        if name is not None and is_replaced:
            left.pop(name[1], None)
            lines.append(f"{name[1]} = {settings[name[1]]!r}")
        else:
            lines.append(line)
        if section == "main" and line.strip() and line[0] not in "#;":
            end_of_main = len(lines)
    lines[end_of_main:end_of_main] = [f"{name} = {value!r}" for name, value in left.items()]
    return "\n".join(lines) + "\n"


def change_settings(share: Share, layout: QueueLayout, settings: Mapping[str, float]) -> None:
    """Writes settings into a queue.cfg; running workers go on with those that they have read when they started.

    Raises:
        ConfigError: a value is out of its range; nothing was changed.
        OSError: it cannot be read or written.

    Files:
        queue.cfg, written whole and renamed.
    """
    text = changed_text(share.read(layout.config).decode("utf-8"), settings)
    QueueConfig(layout.config, text)
    share.write_whole(layout.config, text.encode("utf-8"))


def read_config(share: Share, layout: QueueLayout) -> QueueConfig:
    """Reads the configuration of a queue.

    Raises:
        QueueNotFoundError: the directory is missing or holds no queue.cfg.
        ConfigError: the file cannot be read as one.
    """
    try:
        text = share.read(layout.config).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        if share.is_file_instead(layout.dir):
            raise QueueNotFoundError(
                "this is a file, and a queue is a directory; `jobqueue create DIR` makes one", layout.dir
            ) from error
        if not share.is_dir(layout.dir):
            raise QueueNotFoundError(
                "there is no such directory; `jobqueue create DIR` makes a queue", layout.dir
            ) from error
        raise QueueNotFoundError(
            "this is not a job queue, it has no queue.cfg; `jobqueue create DIR` makes one in an empty directory",
            layout.dir,
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError("this file is not UTF-8 text", layout.config) from error
    return QueueConfig(layout.config, text)
