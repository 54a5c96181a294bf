"""The job procedures that come with jobqueue: the type name, and the module in which the class of that name is.

Nothing is imported before it is asked for: a worker that runs only commands never loads the rest.
"""

from __future__ import annotations

BUILTIN = {
    name: f"{__name__}.{name}"
    for name in ("blender", "command", "dumpenv", "ffmpeg", "maya", "povray", "python", "renderrib")
}
