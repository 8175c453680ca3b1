"""What a handler may know of its event: Lambda's names, and Crunchbox's own beside them.

Each question goes to the host when it is asked; unasked ones cost nothing. Knows no bindings: whoever makes a context
passes the host's answers in, so tests make one without WebAssembly.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, NoReturn, Protocol


class Invocation(Protocol):
    """The facts of ``crunchbox:function/invocation`` that a context asks for."""

    def request_id(self) -> str: ...
    def function(self) -> str: ...
    def channel(self) -> str: ...
    def release(self) -> str: ...
    def remaining_ms(self) -> int: ...
    def memory_limit(self) -> int: ...
    def trace_id(self) -> str | None: ...
    def tenant_id(self) -> str | None: ...
    def invoked_arn(self) -> str | None: ...
    def client_context(self) -> str | None: ...
    def identity(self) -> str | None: ...


class Configuration(Protocol):
    """What a context asks of ``crunchbox:function/config``."""

    def tree(self, path: list[str]) -> str: ...


class ConfigError(LookupError):
    """A value of the configuration is missing, unfit or could not be had.

    Raise it yourself when a value does not fit: the caller gets it as ``ConfigError``.
    """

    def __init__(self, message: str, *, code: str = "ConfigError", retryable: bool = False) -> None:
        super().__init__(message)
        #: Crunchbox's code without its prefix, such as ``SecretUnavailable``.
        self.code = code
        #: Whether asking again later may succeed.
        self.retryable = retryable


class Table(dict[str, Any]):
    """A table of the configuration: a ``dict`` whose missing keys say where they were looked for."""

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        super().__init__(
            (key, Table(value, f"{path}{key}.") if type(value) is dict else value) for key, value in values.items()
        )
        self._path = path

    def __missing__(self, key: object) -> NoReturn:
        there = ", ".join(f"`{self._path}{name}`" for name in self) or "nothing"
        raise ConfigError(f"the configuration has no `{self._path}{key}`; there is {there}")


class Context:
    """The second argument of a handler."""

    def __init__(self, invocation: Invocation, configuration: Configuration, event_text: str = "null") -> None:
        self._invocation = invocation
        self._configuration = configuration
        self._config: Table | None = None
        #: The event as the caller sent it, byte for byte.
        self.event_text = event_text

    @property
    def config(self) -> Table:
        """The configuration, all layers merged; the same throughout one event."""
        if self._config is None:
            self._config = Table(json.loads(self._configuration.tree([])))
        return self._config

    @property
    def request_id(self) -> str:
        """The identifier of this invocation; retries of an asynchronous event carry the same one."""
        return self._invocation.request_id()

    @property
    def channel(self) -> str:
        """The channel that the host follows, such as ``live``; ``local`` without a store."""
        return self._invocation.channel()

    @property
    def release(self) -> str:
        """The release that handles the event, ``sha256-…``."""
        return self._invocation.release()

    @property
    def trace_id(self) -> str | None:
        """The caller's trace header in X-Ray's form."""
        return self._invocation.trace_id()

    @property
    def tenant_id(self) -> str | None:
        """The tenant, where Lambda's tenant isolation is in use."""
        return self._invocation.tenant_id()

    def remaining_ms(self) -> int:
        """Milliseconds left before the host stops this handler."""
        return self._invocation.remaining_ms()

    # What follows has the names, and the meanings, of Lambda's own context.

    @property
    def aws_request_id(self) -> str:
        """As ``request_id``."""
        return self.request_id

    @property
    def function_name(self) -> str:
        """The name of the function."""
        return self._invocation.function()

    @property
    def function_version(self) -> str:
        """The release: what Crunchbox has in place of Lambda's versions."""
        return self.release

    @property
    def invoked_function_arn(self) -> str:
        """The Amazon Resource Name that the caller used; empty outside of Lambda."""
        return self._invocation.invoked_arn() or ""

    @property
    def memory_limit_in_mb(self) -> int:
        """Megabytes of memory that this handler may use."""
        return self._invocation.memory_limit() // 1_048_576

    @property
    def log_group_name(self) -> str:
        """The log group that Lambda gives a function of this name unless told otherwise."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """Empty: a handler's log lines go to the host, which knows the stream."""
        return ""

    @property
    def identity(self) -> SimpleNamespace:
        """The caller's Cognito identity; both its names are ``None`` where there is none."""
        told = _object(self._invocation.identity())
        return SimpleNamespace(
            cognito_identity_id=told.get("cognitoIdentityId"),
            cognito_identity_pool_id=told.get("cognitoIdentityPoolId"),
        )

    @property
    def client_context(self) -> SimpleNamespace | None:
        """The caller's client context; ``None`` where it sent none."""
        text = self._invocation.client_context()
        if text is None:
            return None
        told = _object(text)
        client = _object(told.get("client"))
        names = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
        return SimpleNamespace(
            custom=told.get("custom"),
            env=told.get("env"),
            client=SimpleNamespace(**{name: client.get(name) for name in names}),
        )

    def get_remaining_time_in_millis(self) -> int:
        """As ``remaining_ms()``."""
        return self.remaining_ms()

    def log(self, message: object) -> None:
        """Writes to standard output, which becomes a log line, as Lambda's does."""
        print(message)

    def __repr__(self) -> str:
        return f"Context(function_name={self.function_name!r}, request_id={self.request_id!r})"


def _object(json_text: Any) -> dict[str, Any]:
    """The JSON object in a text, or in what one held; a caller may send anything, so anything else is empty."""
    told = json.loads(json_text) if isinstance(json_text, str) else json_text
    return told if isinstance(told, dict) else {}
