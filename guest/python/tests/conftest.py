"""Stands in for the modules that only a component has, so that its entry runs as plain Python."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import crunchbox


class Err(Exception):
    """As componentize-py's: what a binding raises, and what an export raises to fail."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


@dataclass
class Failure:
    kind: str
    message: str
    trace: list[str]
    details: str | None


class Level(enum.Enum):
    TRACE, DEBUG, INFO, WARN, ERROR, FATAL = range(6)


class Host:
    """What a component's entry asks, with answers that a test may change."""

    def __init__(self) -> None:
        self.lines: list[tuple[Level, str, dict[str, Any]]] = []
        self.values: dict[str, Any] = {}
        self.config_error: SimpleNamespace | None = None
        self.level = Level.INFO

    def tree(self, path: list[str]) -> str:
        if self.config_error:
            raise Err(self.config_error)
        return json.dumps(self.values)

    def emit(self, level: Level, message: str, fields: list[tuple[str, str]]) -> None:
        self.lines.append((level, message, {name: json.loads(value) for name, value in fields}))


def _module(name: str, **contents: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    return module


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host, with the bindings that lead to it."""
    host = Host()
    invocation = _module("invocation", request_id=lambda: "r-1", function=lambda: "crunch", remaining_ms=lambda: 50)
    bindings = {
        "config": _module("config", tree=host.tree),
        "invocation": invocation,
        "log": _module("log", Level=Level, emit=host.emit, threshold=lambda: host.level),
        "crunchbox_function_types": _module("types", Failure=Failure),
    }
    modules = {
        "componentize_py_types": _module("componentize_py_types", Err=Err),
        "componentize_py_runtime": _module("componentize_py_runtime", call_import=None),
        "wit_world": _module("wit_world"),
        "wit_world.imports": _module("wit_world.imports", **bindings),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    yield host
    # The next host's bindings are others.
    for name in ("guest", "snapshot"):
        sys.modules.pop(f"crunchbox.{name}", None)
        vars(crunchbox).pop(name, None)
