"""An attempt's output files: written beside their final names, and brought there by roll-forward.

An attempt writes each file under its final base name in a directory of its own beside the final one. Its record holds
the file's size and modification time. Whoever settles the result renames each file to its final name: a source that is
gone and a target with that size and time mean that it was done. Frames are big: nothing here copies.
"""

from __future__ import annotations

import logging
import os
import threading
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from jobqueue.errors import JobStateError, OutputError
from jobqueue.names import TEMPORARY, is_temporary_of
from jobqueue.params import dumps, loads
from jobqueue.share import NOT_PLAIN, Share, Stamp


class Outputs:
    """What one attempt has declared.

    Args:
        share: to call with; the files lie on any file system.
        queue_dir: where no output may lie.
        folder: the name of the attempt's own directories.
        notes: the file that names those which were made, for whoever clears up after an attempt without a record.

    Attributes:
        temporaries: the attempt's own directories, beside the final ones.
    """

    def __init__(self, share: Share, queue_dir: str, folder: str, notes: str) -> None:
        self.temporaries: list[str] = []
        self._share = share
        self._queue_dir = queue_dir
        self._folder = folder
        self._notes = notes
        # Final path -> the path to write to.
        self._declared: dict[str, str] = {}
        self._is_open = True
        self._is_torn = False
        self._process = os.getpid()
        # A job may have threads.
        self._lock = threading.Lock()

    def declare(self, path: str) -> str:
        """Where to write a file; see `jobqueue.proc.JobProc.output`."""
        final = self._checked(path)
        directory, name = os.path.split(final)
        if os.path.basename(path) in ("", ".", ".."):
            raise OutputError("it names no file, so it cannot be an output", path)
        with self._lock:
            if final not in self._declared:
                temporary = self._folder_beside(directory)
                if self._share.is_dir(final):
                    raise OutputError("it is a directory; declare each file that is written into it", final)
                self._declared[final] = f"{temporary}/{name}"
            return self._declared[final]

    def open_folder(self, directory: str) -> str:
        """This attempt's own directory in ``directory``, for a program that names its files by itself."""
        final = self._checked(directory)
        with self._lock:
            return self._folder_beside(final)

    def adopt(self, directory: str) -> list[str]:
        """Declares all that lies in this attempt's own directory in ``directory``; the final paths, in order."""
        final = self._checked(directory)
        names = self._share.names_or_none(f"{final}/{self._folder}") or ()
        paths = [f"{final}/{name}" for name in sorted(names) if not name.startswith(".")]
        for path in paths:
            self.declare(path)
        return paths

    def close(self) -> None:
        """From here on nothing can be declared: what a thread that the job has left behind makes is nobody's."""
        with self._lock:
            self._is_open = False

    def sync(self) -> list[dict[str, Any]]:
        """Makes all outputs last; what the record says of each.

        Raises:
            OutputError: one was not written.
            UnsyncedError: what was written to one may be lost.
            OSError: the share is in trouble; nothing is lost, call again.
        """
        found = []
        for final, written in self._declared.items():
            temporary, name = os.path.split(written)
            stamp = self._share.stamp(temporary, name, sync=True)
            if stamp is None:
                raise OutputError(f"it was declared as an output and not written; it belonged in {written}", final)
            if stamp == NOT_PLAIN:
                raise OutputError(f"it was declared as an output, but {written} is no plain file", final)
            found.append({"path": final, "temporary": temporary, "size": stamp.size, "mtime_ns": stamp.mtime_ns})
        for temporary in self.temporaries:
            directory = os.path.dirname(temporary)
            self._share.sync_dir(temporary, beside=directory)
            self._share.sync_dir(directory)
        return found

    def _checked(self, path: str) -> str:
        if not os.path.isabs(path):
            raise OutputError(
                "a relative path lies in the job's runningDir, which is this attempt's own; give the absolute path of "
                "an output",
                path,
            )
        # Two slashes at the beginning stay two, and mean one. Source: POSIX, pathname resolution.
        final = "/" + os.path.normpath(path).lstrip("/")
        if f"{final}/".startswith(f"{self._queue_dir}/"):
            raise OutputError("it lies in the queue; what belongs there is written into runningDir", final)
        if f"/{TEMPORARY}" in final:
            raise OutputError("it lies in an attempt's own directory, which is removed in the end", final)
        return final

    def _folder_beside(self, directory: str) -> str:
        if os.getpid() != self._process:
            raise JobStateError("a child process that a job has forked cannot declare outputs; do it before the fork")
        if not self._is_open:
            raise JobStateError("the job has ended; outputs are declared while it runs")
        temporary = f"{directory.rstrip('/')}/{self._folder}"
        if temporary not in self.temporaries:
            # Order matters: what is made and not noted would never be found after a death.
            self._note(temporary)
            try:
                self._make(directory, temporary)
            except (FileNotFoundError, NotADirectoryError) as error:
                # Not made here: where a share is not mounted, files would be written to the mount point.
                raise OutputError(
                    "the directory of an output is missing, seen from this host; make it", directory
                ) from error
            self.temporaries.append(temporary)
        return temporary

    def _make(self, directory: str, temporary: str) -> None:
        try:
            self._share.try_make_dir(temporary)
        except FileNotFoundError:
            # NFS: a directory that this host once found missing may be there; the listing has it look again.
            if not self._share.has(*os.path.split(directory)):
                raise
            self._share.try_make_dir(temporary)

    def _note(self, temporary: str) -> None:
        line = dumps({"temporary": temporary, "noted_in": _mark(self._share, self._notes)}).encode("ascii") + b"\n"
        # What was cut short must not take what comes after it along.
        line, self._is_torn = b"\n" * self._is_torn + line, True
        self._share.append_once(self._notes, line)
        self._is_torn = False


def publish(share: Share, record: Mapping[str, Any]) -> str | None:
    """Brings the outputs of a committed record to their final names; why that cannot be, or ``None``.

    To be called only for a token that is in won/; can be repeated, and by several at once.

    Raises:
        OSError: the share is in trouble, or does not let a file be there.
    """
    outputs = record.get("outputs", ())
    for output in outputs:
        directory, name = os.path.split(output["path"])
        if not share.publish(output["temporary"], directory, name, Stamp(output["size"], output["mtime_ns"])):
            return f"neither {output['path']} nor {output['temporary']}/{name} is the file that the job has written"
    for directory in dict.fromkeys(os.path.dirname(output["path"]) for output in outputs):
        share.sync_dir(directory)
    return None


def clear(share: Share, log: logging.Logger, temporaries: Iterable[str]) -> None:
    """Removes attempts' own directories, as far as that goes: a leftover is no reason to keep anything else back."""
    for temporary in temporaries:
        try:
            share.remove_tree(temporary)
        except OSError as error:
            log.info("%s cannot be removed (%s); it is left.", temporary, error)


def clear_noted(share: Share, log: logging.Logger, notes: str, job: int, node: int, attempt: int) -> None:
    """Removes the own directories of an attempt that has none to publish, as it has noted them; as far as that goes."""
    try:
        temporaries = noted(share, notes, job, node, attempt)
    except OSError as error:
        log.info("%s cannot be read (%s); what it names is left.", notes, error)
        return
    clear(share, log, temporaries)


def noted(share: Share, notes: str, job: int, node: int, attempt: int) -> list[str]:
    """The own directories of an attempt, as it has noted them.

    The notes lie where the job can write, so nothing is believed but directories with this attempt's name. In a copy of
    the queue they name directories of the original, where the attempt may still run; those are left.
    """
    try:
        lines = share.read(notes).splitlines()
        mark = _mark(share, notes)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for line in lines:
        try:
            note = loads(line)
            temporary, is_ours = note["temporary"], note["noted_in"] == mark
        except (ValueError, TypeError, KeyError):
            # CRASH: a line that was cut short names nothing.
            continue
        if is_ours and isinstance(temporary, str) and is_temporary_of(os.path.basename(temporary), job, node, attempt):
            found.append(temporary)
    return found


def _mark(share: Share, notes: str) -> str:
    """What tells the attempt's directory from a copy of it: its inode, and a checksum of its path.

    One alone would not: two disks use the same inodes, and so does a snapshot; a restored copy may have the path.
    """
    directory = os.path.dirname(notes)
    return f"{share.inode(directory)}-{zlib.crc32(os.fsencode(directory)):08x}"
