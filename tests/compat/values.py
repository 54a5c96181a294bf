"""A value of every type that a parameter and a result may have; part of the archive, so nothing here may change."""

from __future__ import annotations

from typing import Any

VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "false": False,
    "int": -42,
    "huge int": 7**6000,
    "float": -0.5,
    "negative zero": -0.0,
    "infinity": float("-inf"),
    "text": "Käse ☃ \U0001f3ac \ud800 \0 \n",
    "empty text": "",
    "bytes": bytes(range(256)),
    "list": [1, [2.5, []], None],
    "tuple": (1, (), ("a", [b"b"])),
    "dict": {"a": {"b": (1,)}, "": None},
    "dict with a dollar": {"$tuple": [1, 2]},
    "dict with other keys": {1: "int", None: "none", (1, b"x"): 2.0, b"bytes": [True]},
}
