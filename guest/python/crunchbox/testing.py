"""For the tests of handlers: a context without WebAssembly.

>>> from crunchbox.testing import context
>>> context({"unit": "mm"}).config["unit"]
'mm'
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crunchbox.context import Context


class _Invocation:
    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts

    def __getattr__(self, name: str) -> Any:
        return lambda: self._facts[name]


class _Configuration:
    def __init__(self, values: dict[str, Any]) -> None:
        self._text = json.dumps(values)

    def tree(self, path: list[str]) -> str:
        return self._text


def context(config: dict[str, Any] | str | Path | None = None, *, event_text: str = "null", **facts: Any) -> Context:
    """A context with this configuration: a dict, or the path of a TOML file such as ``config.toml``.

    ``facts`` are by the names of ``crunchbox:function/invocation``, such as ``request_id="r-1"`` or
    ``remaining_ms=50``; what is not said has a value that harms nothing.
    """
    if isinstance(config, (str, Path)):
        # Not above: components have this module, and no use for that one.
        import tomllib

        config = tomllib.loads(Path(config).read_text(encoding="utf-8"))
    known: dict[str, Any] = {
        "request_id": "00000000-0000-4000-8000-000000000000",
        "function": "test",
        "channel": "local",
        "release": "sha256-" + "0" * 64,
        "remaining_ms": 60_000,
        "memory_limit": 128 * 1_048_576,
        "trace_id": None,
        "tenant_id": None,
        "invoked_arn": None,
        "client_context": None,
        "identity": None,
    }
    unknown = ", ".join(sorted(facts.keys() - known.keys()))
    if unknown:
        raise TypeError(f"no fact of an invocation: {unknown}; there are {', '.join(known)}")
    return Context(_Invocation({**known, **facts}), _Configuration(config or {}), event_text)
