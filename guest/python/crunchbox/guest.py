"""The way into the component: from the host's `handle` to the author's handler and back.

A wrong type or an exception that reached the bindings would end the instance without a word of the author's, so
everything that a handler can raise or return becomes a response or a failure here.
"""

from __future__ import annotations

import gc
import json
import random
import sys
from collections.abc import Callable
from typing import Any

from componentize_py_types import Err
from wit_world.imports import config, invocation, log
from wit_world.imports import crunchbox_function_types as types

from crunchbox import failure, logs, response, snapshot
from crunchbox.context import ConfigError, Context

Answer = Callable[[Any, Context], object]


class _Configuration:
    """The host's configuration, with its errors as exceptions."""

    def tree(self, path: list[str]) -> str:
        try:
            return str(config.tree(path))
        except Err as error:
            told = error.value
            code = told.code.removeprefix("Crunchbox.")
            raise ConfigError(told.message, code=code, retryable=told.retryable) from None


_LEVELS = tuple(log.Level)
_CONFIGURATION = _Configuration()
_unseeded: list[random.Random] = []


def _emit(rank: int, message: str, fields: list[tuple[str, str]]) -> None:
    if snapshot.building():
        print(message, file=sys.stderr)
    else:
        log.emit(_LEVELS[rank], message, fields)


def _threshold() -> int:
    return 0 if snapshot.building() else log.threshold().value


class Guest:
    """What componentize-py exports; made once, at build time."""

    answer: Answer

    def handle(self, event: str) -> str:
        """Handles one event."""
        try:
            # Beside Python's own generator, which componentize-py seeds: those that modules made.
            for generator in _unseeded:
                generator.seed(snapshot.fresh())
            value = type(self).answer(json.loads(event), Context(invocation, _CONFIGURATION, event))
            return response.encode(value)
        except BaseException as error:
            told = _told(error)
        raise Err(types.Failure(told.kind, told.message, told.trace, told.details))


def _told(error: BaseException) -> failure.Failure:
    try:
        return failure.of(error)
    except BaseException as other:
        # Out of memory or of stack even for telling.
        return failure.Failure(failure.kind(error), f"no more can be told: {type(other).__name__}")


def export(module: str, name: str) -> type[Guest]:
    """The class to export, with the author's handler in it; what fails is told to the driver."""
    from crunchbox import building

    logs.install(_emit, _threshold)
    Guest.answer = staticmethod(building.load(module, name, _unseeded))
    with snapshot.building_with(set()):
        building.rehearse()
    snapshot.seed_in_one_call()
    gc.collect()
    # What the build made is never garbage: looking at it would copy its memory for each event.
    gc.freeze()
    return Guest
