"""Fits `asyncio` to a place with one thread, where nothing listens."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def adapt() -> None:
    """Has event loops, if `asyncio` is imported, do without threads and without a socket to themselves."""
    selector_events: Any = sys.modules.get("asyncio.selector_events")
    if selector_events is None:
        return
    loop = selector_events.BaseSelectorEventLoop
    loop._make_self_pipe = _no_pipe
    loop._close_self_pipe = _no_pipe
    loop.run_in_executor = _run_in_place


def _no_pipe(loop: Any) -> None:
    """Nobody has to be woken by another thread."""
    loop._ssock = loop._csock = None


def _run_in_place(loop: Any, _: object, function: Callable[..., Any], *args: Any) -> Any:
    """What others give to a thread, such as looking a name up, holds the loop up instead."""
    future = loop.create_future()
    try:
        future.set_result(function(*args))
    except Exception as error:
        future.set_exception(error)
    return future
