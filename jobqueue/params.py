"""Parameters and results as JSON, so that they come back equal and of the same types. Pure.

``None``, bool, int, float, str and list are themselves; a dict whose keys are all text, too. What JSON has no word for
is an object with a single key that begins with ``$``: ``$tuple``, ``$bytes`` (base64), ``$int`` (hexadecimal, beyond
the digits that Python reads in decimal), ``$dict`` (pairs).
"""

from __future__ import annotations

import base64
import json
from typing import Any

from jobqueue.errors import ParameterError

MAX_DEPTH = 100
# Python refuses to read integers of more decimal digits than 4300 (Source: sys.set_int_max_str_digits).
MAX_DECIMAL_BITS = 14_000

_PLAIN = (type(None), bool, float, str)


def encode(name: str, value: Any) -> Any:
    """``value`` as something that `json.dumps` can write.

    Args:
        name: what the value is called in an error, e.g. the parameter's name.
        value: ``None``, bool, int, float, str, bytes, list, tuple or dict, nested at most 100 deep.

    Raises:
        ParameterError: some part of it is of another type (subclasses count as other types).
    """
    return _encode(name, value, 0)


def _encode(name: str, value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if value.bit_length() <= MAX_DECIMAL_BITS else {"$int": hex(value)}
    if kind is bytes:
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if kind not in (list, tuple, dict):
        raise ParameterError(
            f"parameter {name} has the type {kind.__name__}, which cannot be stored; use None, bool, int, float, str, "
            "bytes, list, tuple or dict"
        )
    if depth >= MAX_DEPTH:
        raise ParameterError(f"parameter {name} is nested more than {MAX_DEPTH} deep, or contains itself")
    if kind is dict:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: _encode(f"{name}[{key!r}]", item, depth + 1) for key, item in value.items()}
        pairs = [
            [_encode(f"a key of {name}", key, depth + 1), _encode(f"{name}[{as_text(key)}]", item, depth + 1)]
            for key, item in value.items()
        ]
        return {"$dict": pairs}
    items = [_encode(f"{name}[{at}]", item, depth + 1) for at, item in enumerate(value)]
    return {"$tuple": items} if kind is tuple else items


def decode(stored: Any) -> Any:
    """The value that `encode` was given."""
    if type(stored) is list:
        return [decode(item) for item in stored]
    if type(stored) is not dict:
        return stored
    if len(stored) == 1:
        (key, body) = next(iter(stored.items()))
        if key == "$tuple":
            return tuple(decode(item) for item in body)
        if key == "$bytes":
            return base64.b64decode(body)
        if key == "$int":
            return int(body, 16)
        if key == "$dict":
            return {decode(item): decode(value) for item, value in body}
    return {key: decode(item) for key, item in stored.items()}


def as_text(value: Any) -> str:
    """A value for people, as Python writes it."""
    try:
        return repr(value)
    except ValueError:
        # Python refuses to write an int of so many digits that it would refuse to read it.
        return f"<{type(value).__name__}>"


# Ours alone: a job may do anything to the functions of `json`, and what the next one would find with them in its
# hierarchy would be laid to the hierarchy.
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder()


def dumps(value: Any) -> str:
    """One line of JSON, in ASCII (so that lone surrogates survive)."""
    return _ENCODER.encode(value)


def loads(line: bytes) -> Any:
    """What a line of JSON in ASCII says.

    Raises:
        ValueError: it is none.
    """
    return _DECODER.decode(line.decode("ascii"))
