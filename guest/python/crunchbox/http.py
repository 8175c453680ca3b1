"""Requests under an `http` grant: ``request(…)``, and ``urllib.request`` made to use the same way.

The host opens the connection and speaks TLS; a redirect is an answer like another, which ``urllib.request`` follows.
Knows no bindings; `wasi_http` has them.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from crunchbox import snapshot

#: Headers that the host writes itself, and takes from nobody.
HOSTS_OWN = frozenset(
    "connection host http2-settings keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    "transfer-encoding upgrade".split()
)
URL_FORM = "the URL of a request is like https://api.example.com/v1/things?page=2"


class HttpError(OSError):
    """A request that got no answer: denied, or lost on its way. An answer of any status is none."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        #: The name that `wasi:http` gives it, such as ``HttpRequestDenied``.
        self.code = code


@dataclass(frozen=True)
class Request:
    """A request as `wasi:http` wants it."""

    method: str
    scheme: str
    authority: str
    target: str
    headers: list[tuple[str, bytes]]
    body: bytes
    timeout: float | None


@dataclass(frozen=True)
class Response:
    """An answer, read to its end."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        """The body, as JSON."""
        import json

        return json.loads(self.body)


Send = Callable[[Request], tuple[int, Iterable[tuple[str, bytes]], bytes]]
_send: Send | None = None


def request(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
    timeout: float | None = None,
) -> Response:
    """Sends a request and reads the answer; seconds of `timeout` hold for each step of it.

    Raises `HttpError` where there is no answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{URL_FORM}; got {url!r}")
    if snapshot.building():
        snapshot.refuse(f"{url} is asked for", "ask inside the handler")
    if _send is None:
        raise RuntimeError("requests are sent inside a component only; replace crunchbox.http.request in a test")
    content = body.encode() if isinstance(body, str) else bytes(body or b"")
    target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    status, got, content_got = _send(
        Request(
            method.upper(),
            parts.scheme,
            parts.netloc.rpartition("@")[2],
            target if target.startswith("/") else f"/{target}",
            _sendable(headers or {}, content),
            content,
            timeout,
        )
    )
    message = Message()
    for name, value in got:
        message[name] = value.decode("latin-1")
    return Response(status, message, content_got)


def _sendable(headers: Mapping[str, str], content: bytes) -> list[tuple[str, bytes]]:
    sendable = [
        (name.lower(), value if isinstance(value, bytes) else str(value).encode("latin-1"))
        for name, value in headers.items()
        if name.lower() not in HOSTS_OWN
    ]
    if content and not any(name == "content-length" for name, _ in sendable):
        sendable.append(("content-length", str(len(content)).encode()))
    return sendable


def install(send: Send) -> None:
    """Says how requests are sent; at build time."""
    global _send
    _send = send


def adapt_urllib() -> None:
    """Has ``urllib.request``, if it is imported, send its requests this way, `https` among them."""
    urllib_request: Any = sys.modules.get("urllib.request")
    if urllib_request is not None:
        urllib_request.HTTPHandler.http_open = _open
        urllib_request.HTTPHandler.https_open = _open
        urllib_request.HTTPHandler.https_request = urllib_request.HTTPHandler.do_request_
        if hasattr(urllib_request, "HTTPSHandler"):
            urllib_request.HTTPSHandler.https_open = _open


def _open(_: object, wanted: Any) -> Any:
    from http.client import responses
    from urllib.error import URLError
    from urllib.response import addinfourl

    data = wanted.data
    body = bytes(data) if isinstance(data, (bytes, bytearray)) else b"".join(data or ())
    # `None` stands for no limit here, and `urllib` has an object of its own for "not said".
    timeout = wanted.timeout if isinstance(wanted.timeout, (int, float)) else None
    headers = {**wanted.unredirected_hdrs, **wanted.headers}
    try:
        got = request(wanted.get_method(), wanted.full_url, headers, body, timeout)
    except HttpError as error:
        raise URLError(error) from error
    answer = addinfourl(io.BytesIO(got.body), got.headers, wanted.full_url, got.status)
    answer.msg = responses.get(got.status, "")  # type: ignore[attr-defined]
    return answer
