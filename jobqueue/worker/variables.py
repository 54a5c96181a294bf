"""Environment variables that are other ones for each job, in a process that runs a million of them."""

from __future__ import annotations

import os


class Variables:
    """Sets environment variables, for Python and for what is started, as often as one likes.

    Setting them by way of `os.environ` would take up memory: the C library's setenv keeps every text that it was ever
    given, which is 80 bytes and more for each variable of each job. Its putenv takes the text itself; its owner has
    to keep that as long as it is the variable's, and no longer. Source: putenv(3), setenv(3).
    """

    def __init__(self) -> None:
        import ctypes  # late: only slots need it

        # With the interpreter's lock held: nobody starts a process in between.
        libc = ctypes.PyDLL(None, use_errno=True)
        self._put, self._free, self._copy = libc.putenv, libc.free, libc.strdup
        self._put.argtypes = self._free.argtypes = [ctypes.c_void_p]
        self._copy.argtypes, self._copy.restype = [ctypes.c_char_p], ctypes.c_void_p
        self._texts: dict[bytes, int] = {}

    def set(self, name: bytes, value: bytes) -> None:
        """Gives a variable another value.

        Raises:
            MemoryError: there is none left.
        """
        # A copy that is not Python's: a process that ends may ask for its variables after Python has freed all of it.
        text = self._copy(name + b"=" + value)
        if not text or self._put(text):
            raise MemoryError(f"no memory for the environment variable {os.fsdecode(name)}")
        stored()[name] = value
        before, self._texts[name] = self._texts.get(name), text
        if before is not None:
            # Nobody's any more, also where the job has set the variable or has taken it away.
            self._free(before)


def stored() -> dict[bytes, bytes]:
    """What `os.environ` holds, in its encoded form."""
    found: dict[bytes, bytes] = os.environb._data  # type: ignore[attr-defined]
    return found
