"""From a type name to a procedure: built-in, ``procs/NAME.py``, entry point, or ``package.module:Class``."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from types import ModuleType
from typing import Any

from jobqueue.config import QueueConfig
from jobqueue.errors import ConfigError, JobQueueError, UnknownProcedureError, UnsafeProcedureError
from jobqueue.layout import QueueLayout
from jobqueue.options import OPTION_NAMES
from jobqueue.proc import JobProc
from jobqueue.procs import BUILTIN
from jobqueue.share import Share

ENTRY_POINT_GROUP = "jobqueue.procs"
_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_DOTTED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z", re.ASCII)
_WRITABLE_BY_OTHERS = 0o022
# How long a file in procs/ is taken to be the one that was looked at last.
_RECHECK_S = 5.0


class Procedures:
    """Finds and makes procedures for one queue.

    Args:
        share: to read procs/ with.
        layout: the queue's names.
        config: its default parameters.
    """

    def __init__(self, share: Share, layout: QueueLayout, config: QueueConfig) -> None:
        self._share = share
        self._layout = layout
        self._config = config
        # Type name -> class; for those from procs/ also when the file was looked at, and its modification time.
        self._classes: dict[str, type[JobProc]] = {}
        self._looked: dict[str, tuple[float, int]] = {}

    def make(self, job_type: str | None, params: dict[str, Any]) -> JobProc:
        """Makes a procedure with its parameters; those that are missing come from queue.cfg, ``[NAME proc]``.

        Args:
            job_type: the type name; ``None`` gives a procedure that does nothing.
            params: keyword arguments of its constructor.

        Raises:
            UnknownProcedureError: there is no such procedure.
            UnsafeProcedureError: its file may be written by others.
            ConfigError: queue.cfg gives it a parameter that it does not have.
            Exception: whatever the constructor says of the parameters.
        """
        if job_type is None:
            unknown = sorted(set(params) - {"label"})
            if unknown:
                raise TypeError(f"a job without a procedure takes only a label, but {unknown[0]} was given")
            return JobProc(**params)
        procedure = self.find(job_type)
        self._check_defaults(job_type, procedure)
        return procedure(**{**self._config.proc_params(job_type), **params})

    def check(self, name: str) -> None:
        """Looks whether a procedure is there, and has the parameters that queue.cfg gives it.

        Raises:
            UnknownProcedureError: there is no such procedure.
            UnsafeProcedureError: its file may be written by others.
            ConfigError: it has no such parameter; no job is to blame for that.
        """
        self._check_defaults(name, self.find(name))

    def _check_defaults(self, name: str, procedure: type[JobProc]) -> None:
        given = self._config.proc_params(name)
        known = _parameters(procedure) if given else None
        unknown = [] if known is None else sorted(set(given) - known)
        if known is None or not unknown:
            return
        import difflib  # late: only for this sentence

        near = " or ".join(difflib.get_close_matches(unknown[0], [*sorted(known), *sorted(OPTION_NAMES)], n=2))
        raise ConfigError(
            f"{unknown[0]} under [{name} proc] is no parameter of {name}{f'; is {near} meant?' if near else ';'} there "
            f"are {', '.join(sorted(known))}, and as for every job {', '.join(sorted(OPTION_NAMES))}",
            self._layout.config,
        )

    def check_built_in(self) -> None:
        """Looks at all built-in procedures that queue.cfg names; others are not loaded before a job needs them.

        Raises:
            ConfigError: one has a parameter that it does not have.
        """
        for name in self._config.proc_names():
            if name in BUILTIN:
                self.check(name)

    def find(self, name: str) -> type[JobProc]:
        """The class of a procedure.

        Files:
            Reads procs/NAME.py, and its permissions.

        Raises:
            UnknownProcedureError: there is no such procedure.
            UnsafeProcedureError: its file, or procs/, may be written by others.
        """
        found = self._classes.get(name)
        if found is not None and not self._is_stale(name):
            return found
        found = self._search(name)
        self._classes[name] = found
        return found

    def _search(self, name: str) -> type[JobProc]:
        if _DOTTED.match(name):
            module, _, attribute = name.partition(":")
            return self._class_in(self._import(module, name), attribute, name)
        if not _NAME.match(name):
            raise UnknownProcedureError(
                f"{name!r} is no procedure's name; a name is a word, or package.module:Class", self._layout.dir
            )
        if name in BUILTIN:
            return self._class_in(self._import(BUILTIN[name], name), name, name)
        if self._share.has(self._layout.procs, f"{name}.py"):
            return self._from_file(name)
        # Late: looking through the installed packages takes longer than all the rest of a start.
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
            module, _, attribute = point.value.partition(":")
            return self._class_in(self._import(module, name), attribute, name)
        known = ", ".join(sorted({*BUILTIN, *self._names_of_files()}))
        raise UnknownProcedureError(f"there is no procedure {name}; there are {known}", self._layout.procs)

    def _names_of_files(self) -> list[str]:
        names = self._share.names_or_none(self._layout.procs) or ()
        return [name[:-3] for name in names if name.endswith(".py") and _NAME.match(name[:-3])]

    # --- procs/ --------------------------------------------------------------------------------------------------

    def _is_stale(self, name: str) -> bool:
        """Whether the file of a class that came from procs/ has changed; looked at every few seconds."""
        if name not in self._looked:
            return False
        looked_at, changed_ns = self._looked[name]
        now = self._share.clock.monotonic()
        if now - looked_at < _RECHECK_S:
            return False
        try:
            if self._check_file(name) != changed_ns:
                return True
        except FileNotFoundError:
            # It was removed; what is said then is up to the search.
            return True
        self._looked[name] = (now, changed_ns)
        return False

    def _from_file(self, name: str) -> type[JobProc]:
        path = self._layout.proc(name)
        changed_ns = self._check_file(name)
        source = self._share.read(path)
        module = ModuleType(f"jobqueue_procs_{name}")
        module.__file__ = path
        # Classes are looked up by their module's name (pickle, dataclasses), so it has to be known.
        sys.modules[module.__name__] = module
        try:
            code = compile(source, path, "exec")
            exec(code, module.__dict__)  # noqa: S102  running it is what procs/ is for; its permissions were checked
        except Exception as error:
            raise UnknownProcedureError(f"the procedure cannot be loaded: {error!r}", path) from error
        self._looked[name] = (self._share.clock.monotonic(), changed_ns)
        return self._class_in(module, name, path)

    def _check_file(self, name: str) -> int:
        """Refuses a procs/ or a file in it that others may write; the file's modification time in ns.

        Its code runs as the worker's user, so whoever may write it could run anything as that user.
        """
        _, queue_owner, _ = self._share.mode_and_owner(self._layout.dir)
        trusted = {0, os.geteuid(), queue_owner}
        changed_ns = 0
        for path in (self._layout.procs, self._layout.proc(name)):
            mode, owner, changed_ns = self._share.mode_and_owner(path)
            if mode & _WRITABLE_BY_OTHERS:
                raise UnsafeProcedureError(
                    f"others may write it (mode {mode:o}), so its code is not run; `chmod go-w {path}` mends that", path
                )
            if owner not in trusted:
                raise UnsafeProcedureError(
                    f"it belongs to user {owner}, who is neither you, nor root, nor the queue's owner, so its code is "
                    f"not run; `chown {queue_owner} {path}` mends that",
                    path,
                )
        return changed_ns

    # --- modules -------------------------------------------------------------------------------------------------

    def _import(self, module: str, name: str) -> ModuleType:
        try:
            return importlib.import_module(module)
        except Exception as error:
            raise UnknownProcedureError(f"procedure {name}: importing {module} failed: {error!r}") from error

    def _class_in(self, module: ModuleType, attribute: str, name: str) -> type[JobProc]:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part, None)
        if not (inspect.isclass(found) and issubclass(found, JobProc)):
            raise UnknownProcedureError(f"procedure {name}: there is no class {attribute} derived from JobProc in it")
        return found


def _parameters(procedure: type[JobProc]) -> set[str] | None:
    """The names of a procedure's parameters; ``None`` if it takes any."""
    try:
        found = inspect.signature(procedure).parameters.values()
    except ValueError:
        # Source: inspect.signature, of what is not written in Python.
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in found):
        return None
    return {
        parameter.name for parameter in found
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }  # fmt: skip


def has_post_create(proc: JobProc) -> bool:
    """Whether a procedure wants to be called when its job has been created."""
    return type(proc).postCreate is not JobProc.postCreate


def describe(error: BaseException) -> str:
    """One line for people: what went wrong."""
    return str(error) if isinstance(error, JobQueueError) else f"{type(error).__name__}: {error}"
