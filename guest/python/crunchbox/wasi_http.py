"""Sends a request by `wasi:http`. Runs inside of the component only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from componentize_py_types import Err, Ok
from wit_world.imports import outgoing_handler
from wit_world.imports import wasi_http_types as types
from wit_world.imports.streams import InputStream, OutputStream, StreamError_Closed

from crunchbox.http import HttpError, Request

#: Bytes asked for at a time; the host gives what it has.
PIECE = 65_536
METHODS = ("Get", "Head", "Post", "Put", "Delete", "Options", "Patch")
#: What to do about it, by the name of the error.
HINTS = {
    "HttpRequestDenied": "add it to `[grants] http`",
    "DestinationIpProhibited": "its address is reached only where a grant names it in full",
    "DnsError": "the name is not known",
}


def send(request: Request) -> tuple[int, Iterable[tuple[str, bytes]], bytes]:
    """Sends, and reads the answer to its end."""
    try:
        return _exchange(request)
    except Err as error:
        code = re.sub(r"^[A-Za-z]+_", "", type(error.value).__name__)
        where = f"{request.method} {request.scheme}://{request.authority}{request.target}"
        hint = f"; {HINTS[code]}" if code in HINTS else ""
        raise HttpError(f"{where}: {code}{hint}", code=code) from None


def _exchange(request: Request) -> tuple[int, Iterable[tuple[str, bytes]], bytes]:
    outgoing = types.OutgoingRequest(types.Fields.from_list(request.headers))
    name = request.method.capitalize()
    outgoing.set_method(getattr(types, f"Method_{name}")() if name in METHODS else types.Method_Other(request.method))
    outgoing.set_scheme(types.Scheme_Https() if request.scheme == "https" else types.Scheme_Http())
    outgoing.set_authority(request.authority)
    outgoing.set_path_with_query(request.target)
    body = outgoing.body()
    future = outgoing_handler.handle(outgoing, _options(request.timeout))
    _send_body(body, request.body)
    incoming = _answer(future)
    with incoming:
        status = incoming.status()
        with incoming.headers() as headers:
            entries = headers.entries()
        with incoming.consume() as content, content.stream() as stream:
            return status, entries, _read(stream)


def _send_body(body: types.OutgoingBody, content: bytes) -> None:
    try:
        if content:
            with body.write() as stream:
                _write(stream, content)
        types.OutgoingBody.finish(body, None)
    except Err:
        # Nobody takes more of it. Why, or what was answered meanwhile, the future knows.
        pass


def _options(timeout: float | None) -> types.RequestOptions | None:
    if timeout is None:
        return None
    nanoseconds = max(1, round(timeout * 1_000_000_000))
    options = types.RequestOptions()
    options.set_connect_timeout(nanoseconds)
    options.set_first_byte_timeout(nanoseconds)
    options.set_between_bytes_timeout(nanoseconds)
    return options


def _answer(future: types.FutureIncomingResponse) -> Any:
    with future:
        with future.subscribe() as ready:
            ready.block()
        got = future.get()
        # Ready, and asked for once: so there is a result, and it is not taken yet.
        result = got.value if isinstance(got, Ok) else got
        if isinstance(result, Ok):
            return result.value
        raise result


def _write(stream: OutputStream, content: bytes) -> None:
    sent = 0
    with stream.subscribe() as ready:
        while sent < len(content):
            ready.block()
            room = stream.check_write()
            stream.write(content[sent : sent + room])
            sent += min(room, len(content) - sent)
    stream.blocking_flush()


def _read(stream: InputStream) -> bytes:
    pieces = []
    while True:
        try:
            pieces.append(stream.blocking_read(PIECE))
        except Err as error:
            if isinstance(error.value, StreamError_Closed):
                return b"".join(pieces)
            raise
