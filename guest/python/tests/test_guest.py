"""From the host's call to the handler and back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Err, Failure, Host, Level

from crunchbox import logs

Handle = Callable[[Callable[[Any, Any], object], str], str]


@pytest.fixture
def handle(host: Host) -> Handle:
    """Handles an event with a handler."""
    from crunchbox import guest

    def call(handler: Callable[[Any, Any], object], event: str = "{}") -> str:
        made = type("Made", (guest.Guest,), {"answer": staticmethod(handler)})
        return made().handle(event)

    return call


def failure(handle: Handle, handler: Callable[[Any, Any], object], event: str = "{}") -> Failure:
    with pytest.raises(Err) as raised:
        handle(handler, event)
    return raised.value.value


def test_an_event_comes_as_python_and_the_response_goes_as_json(handle: Handle) -> None:
    assert handle(lambda event, _: [event["n"], "é"], '{"n": 12345678901234567890}') == '[12345678901234567890,"é"]'


def test_nothing_returned_is_null(handle: Handle) -> None:
    assert handle(lambda event, context: None) == "null"


def test_the_context_has_the_event_as_it_was_sent(handle: Handle) -> None:
    assert handle(lambda _, context: context.event_text, '{ "n":1.0}') == '"{ \\"n\\":1.0}"'


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), MemoryError(), GeneratorExit(), BaseException()])
def test_whatever_is_raised_is_a_failure(handle: Handle, raised: BaseException) -> None:
    def handler(event: Any, context: Any) -> None:
        raise raised

    assert failure(handle, handler).kind == type(raised).__name__


def test_a_recursion_without_end_is_a_failure_with_a_short_trace(handle: Handle) -> None:
    def handler(event: Any, context: Any) -> object:
        return handler(event, context)

    told = failure(handle, handler)
    assert told.kind == "RecursionError"
    assert len(told.trace) < 65


def test_a_config_error_of_the_host_is_an_exception_with_its_code(handle: Handle, host: Host) -> None:
    host.config_error = SimpleNamespace(code="Crunchbox.SecretUnavailable", message="no answer", retryable=True)
    told = failure(handle, lambda _, context: context.config["db"])
    assert (told.kind, told.message) == ("ConfigError", "no answer")
    assert told.details is not None and '"SecretUnavailable"' in told.details


def test_the_configuration_is_asked_for_once(handle: Handle, host: Host) -> None:
    host.values = {"unit": "mm"}
    assert handle(lambda _, context: context.config is context.config) == "true"


def test_log_lines_reach_the_host_with_fields(handle: Handle, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging, "root", root)
    monkeypatch.setattr(logging.Logger, "root", root)
    from crunchbox import guest

    logs.install(guest._emit, guest._threshold, root)
    handle(lambda *_: (root.debug("milder"), root.info("summarised", extra={"count": 3}))[1])
    assert host.lines == [(Level.INFO, "summarised", {"count": 3})]
