"""Python's ``logging`` as log lines of the host: levels, ``extra=`` as fields, exceptions as a field ``error``.

Knows no bindings: ``emit`` and ``threshold`` are passed in.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from crunchbox import failure

#: Below Python's own levels; what a line of the host's level `trace` comes from.
TRACE = 5
#: The host's levels, mildest first, and from where on Python's are those.
LEVELS = (TRACE, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
#: The root logger's level as long as nobody set another one.
UNSET = 1
#: Letters of one field; the host leaves a line out that has more than 16 KiB of them.
FIELD_LETTERS = 4_000
#: Fields of one line that the host takes.
FIELDS = 60

Emit = Callable[[int, str, list[tuple[str, str]]], None]
Threshold = Callable[[], int]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class Handler(logging.Handler):
    """Passes records on to the host, which is asked once an event what it writes: when there is a first line.

    Then the root logger's level is set to that, unless the author's modules have set it, so that milder lines cost next to
    nothing.
    """

    def __init__(self, emit: Emit, threshold: Threshold) -> None:
        super().__init__()
        self._emit = emit
        self._threshold = threshold
        self._mildest: int | None = None

    def forget(self) -> None:
        """Asks again at the next line: while the component is built, nobody knows what its hosts will write."""
        if self._mildest is not None and logging.getLogger().level == self._mildest:
            logging.getLogger().setLevel(UNSET)
        self._mildest = None

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line; what can't be formatted is told of, and fails nothing."""
        try:
            if self._mildest is None:
                self._mildest = LEVELS[self._threshold()]
                root = logging.getLogger()
                if root.level == UNSET:
                    root.setLevel(self._mildest)
            if record.levelno < self._mildest:
                return
            message = failure.sound(self.format(record))
            self._emit(rank(record.levelno), message, fields(record))
        except RecursionError:
            raise
        except Exception as error:
            told = f"a log line could not be written: {failure.words(error)}"
            at = f"{failure.place(record.pathname) or record.pathname}:{record.lineno}"
            self._emit(rank(logging.WARNING), told, [("at", json.dumps(at))])


class _Message(logging.Formatter):
    """The message alone: the host adds time and level, and exceptions are a field."""

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


def rank(level: int) -> int:
    """The host's level for one of Python's, as its place in `LEVELS`."""
    for place in range(len(LEVELS) - 1, 0, -1):
        if level >= LEVELS[place]:
            return place
    return 0


def fields(record: logging.LogRecord) -> list[tuple[str, str]]:
    """What a line says beside its message: ``extra=``, the logger's name, the exception."""
    told: list[tuple[str, str]] = []
    for name, value in vars(record).items():
        if name not in _STANDARD and len(told) < FIELDS:
            told.append((failure.sound(str(name)), _json(value)))
    if record.name != "root":
        told.append(("logger", _json(record.name)))
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        known = {"kind": failure.kind(error), "message": failure.cut(failure.words(error), FIELD_LETTERS)}
        told.append(("error", json.dumps({**known, "trace": failure.trace(error.__traceback__)})))
    if record.stack_info:
        told.append(("stack", _json(record.stack_info.replace('File "/0/', 'File "'))))
    return told


# Made once, at build time.
_ENCODER = json.JSONEncoder(default=str, allow_nan=False)


def _json(value: Any) -> str:
    try:
        text = _ENCODER.encode(value)
    except Exception:
        text = json.dumps(failure.sound(repr(value)))
    return text if len(text) <= FIELD_LETTERS else json.dumps(failure.cut(text, FIELD_LETTERS))


def install(emit: Emit, threshold: Threshold, root: logging.Logger | None = None) -> None:
    """Makes the host the place that lines go to; at build time, before the author's modules."""
    root = root or logging.getLogger()
    handler = Handler(emit, threshold)
    handler.setFormatter(_Message())
    root.handlers[:] = [handler]
    root.setLevel(UNSET)
    logging.addLevelName(TRACE, "TRACE")
    # Nothing that our lines have in them; an author's own formatter finds `None`.
    for name in ("logMultiprocessing", "logProcesses", "logAsyncioTasks"):
        setattr(logging, name, False)
