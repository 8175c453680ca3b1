"""From what a handler returned to JSON text, or to words that say where it is none.

As on Lambda a ``Decimal`` becomes a number of double precision. Nothing else is turned into what it is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from crunchbox import failure

#: As deep is a value searched for what JSON can't say; beyond it the depth itself is the trouble.
DEEPEST = 400
#: What to write instead, by the name of the type.
INSTEAD = {
    "date": ".isoformat()",
    "datetime": ".isoformat()",
    "time": ".isoformat()",
    "UUID": "str(…)",
    "Decimal": "a finite number",
    "set": "sorted(…) or list(…)",
    "frozenset": "sorted(…) or list(…)",
    "generator": "list(…)",
    "map": "list(…)",
    "filter": "list(…)",
    "zip": "list(…)",
    "range": "list(…)",
    "dict_keys": "list(…)",
    "dict_values": "list(…)",
    "bytes": ".decode(), or base64",
    "bytearray": ".decode(), or base64",
    "float": "None, or leave it out",
    "coroutine": "asyncio.run(…)",
}


class ResponseNotJson(Exception):
    """The handler returned something that JSON has no words for."""


def encode(value: object) -> str:
    """The JSON text of a response."""
    try:
        text = _ENCODER.encode(value)
    except Exception as error:
        # The encoder's own words add nothing; those of an author's class that it called do.
        cause = error if any("(json/" not in line for line in failure.trace(error.__traceback__)) else None
        raise ResponseNotJson(_why(value, error)) from cause
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # Lone surrogates are no UTF-8, but JSON can spell them.
        return json.dumps(value, allow_nan=False, separators=(",", ":"), default=_number)
    return text


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value).__name__)


# Made once, at build time.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_number)


def _why(value: object, error: Exception) -> str:
    try:
        for path, found in _unsayable(value, "$", ()):
            return f"{path}: {found}"
    except RecursionError:
        return f"the response is nested too deeply, in {type(value).__name__}"
    except Exception as other:
        return f"the response could not be read: {type(other).__name__}"
    if isinstance(error, RecursionError):
        return "the response is nested too deeply"
    return f"the response is not JSON: {failure.words(error)}"


def _unsayable(value: Any, path: str, within: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Paths of what JSON can't say, with the reason, in the order of the response."""
    if value is None or isinstance(value, (bool, int, str)):
        return
    if isinstance(value, (float, Decimal)):
        if value != value or value in (float("inf"), float("-inf")):
            yield path, f"{value} is no number in JSON; {_instead(value)}"
        return
    if id(value) in within:
        yield path, f"this {type(value).__name__} contains itself"
        return
    if len(within) > DEEPEST:
        yield path[:80] + "…", f"more than {DEEPEST} levels deep"
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not (key is None or isinstance(key, (str, int, float))):
                yield path, f"a key is {_a(key)}; expected str"
                return
            yield from _unsayable(item, _below(path, key), (*within, id(value)))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _unsayable(item, f"{path}[{index}]", (*within, id(value)))
    else:
        yield path, f"expected a JSON value, got {_a(value)}; {_instead(value)}"


def _a(value: object) -> str:
    return f"a value of type {type(value).__name__}"


def _instead(value: object) -> str:
    name = type(value).__name__
    return f"return {INSTEAD.get(name, 'a dict, list, str, number, bool or None')}"


def _below(path: str, key: object) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}"
    return f"{path}[{key!r}]"
