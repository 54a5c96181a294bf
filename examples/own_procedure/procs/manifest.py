"""A job procedure of one's own: lists the files of a folder with their checksums, as for a delivery.

The file lies in the queue's procs/, and its class has the name of the file: that is all it takes.
"""

from __future__ import annotations

import hashlib
import os

from jobqueue import JobProc


class manifest(JobProc):
    """Writes MANIFEST.sha256 into a folder, which ``sha256sum --check`` can read; an empty file is an error.

    Args:
        folder: the folder.
        suffix: only files with this end are listed.
    """

    def __init__(self, folder: str, suffix: str = "") -> None:
        super().__init__(label=f"manifest of {os.path.basename(folder)}")
        self.folder = folder
        self.suffix = suffix

    def run(self) -> int:
        """Reads every file once; how many there are is the job's result."""
        names = sorted(name for name in os.listdir(self.folder) if name.endswith(self.suffix))
        lines = []
        for number, name in enumerate(names):
            self.setStatusLine(name)
            self.setProgress(100 * number / len(names))
            with open(os.path.join(self.folder, name), "rb") as file:
                data = file.read()
            if not data:
                print(f"{name} is empty", file=self.stderr)
                self.setError()
            lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
        with open(os.path.join(self.folder, "MANIFEST.sha256"), "w", encoding="utf-8") as file:
            file.writelines(lines)
        return len(names)
