"""A caller of a server that speaks HTTP, with the clock of this benchmark: the counterpart of the Runtime API.

Sends events one after the other on one connection. An event's time goes from the moment its bytes are handed to the
connection to the moment the last byte of its answer has been read, as it does with the Runtime API.
"""

import http.client
import socket
import threading
import time
from collections.abc import Iterable

from runtime_api import PATIENCE, Answer


class HttpCaller:
    """Calls one server that is about to start, or has; use it as `RuntimeApi` is used."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._host, self._port = listener.getsockname()
        self._connection: http.client.HTTPConnection | None = None
        self._answers: list[Answer] = []
        self._complete = threading.Event()

    @property
    def address(self) -> str:
        """Where the server has to listen: a port that was free a moment ago."""
        return f"{self._host}:{self._port}"

    def send(self, events: Iterable[bytes]) -> None:
        """Sends events, one after the other, from now on."""
        events = list(events)
        self._answers = []
        self._complete.clear()
        threading.Thread(target=self._call_all, args=[events], daemon=True).start()

    def answers(self, seconds: float) -> list[Answer] | None:
        """The answers to what was sent last; none if they are not all there after so long."""
        return self._answers if self._complete.wait(seconds) else None

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def _call_all(self, events: list[bytes]) -> None:
        if self._connection is None:
            self._connection = self._connected()
        try:
            for event in events:
                self._answers.append(self._call(self._connection, event))
        except OSError:
            return
        self._complete.set()

    def _connected(self) -> http.client.HTTPConnection:
        until = time.monotonic() + PATIENCE
        while True:
            connection = http.client.HTTPConnection(self._host, self._port)
            try:
                connection.connect()
            except ConnectionRefusedError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.0002)
                continue
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection

    def _call(self, connection: http.client.HTTPConnection, event: bytes) -> Answer:
        head = (
            f"POST / HTTP/1.1\r\nHost: {self.address}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(event)}\r\n\r\n"
        )
        message = head.encode() + event
        sent = time.perf_counter()
        connection.sock.sendall(message)
        response = http.client.HTTPResponse(connection.sock, method="POST")
        response.begin()
        body = response.read()
        arrived = time.perf_counter()
        return Answer("/response" if response.status == 200 else "/error", body, sent, arrived, arrived - sent)
