"""A small Runtime API of Lambda's, and the clock of this benchmark.

Serves one process, one event at a time, on loopback. An event's time goes from the moment its bytes are handed to the
connection to the moment the last byte of its answer has been read, so that nothing of this server's own is in it but
the reading. Knows nothing of what it serves.
"""

import queue
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

NEXT = "/2018-06-01/runtime/invocation/next"
INIT_ERROR = "/2018-06-01/runtime/init/error"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:crunch"

#: How long an event may take before the process counts as stuck, in seconds; its deadline says the same.
PATIENCE = 30

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + b'{"status":"OK"}'
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """What a process said to one event, or that it could not start."""

    path: str
    body: bytes
    sent: float
    arrived: float
    seconds: float

    @property
    def is_response(self) -> bool:
        """Whether the event went well."""
        return self.path.endswith("/response")


@dataclass(frozen=True)
class Request:
    """One HTTP request of the process."""

    path: str
    body: bytes

    @classmethod
    def read(cls, stream: BinaryIO) -> "Request | None":
        """The next request of a connection; none when it has ended."""
        first = stream.readline().split()
        if len(first) < 2:
            return None
        length, chunked = 0, False
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.lower().partition(b":")
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                chunked = b"chunked" in value
        return cls(first[1].decode(), chunks(stream) if chunked else stream.read(length))


def chunks(stream: BinaryIO) -> bytes:
    """A body whose length nobody knew before."""
    body = b""
    while size := int(stream.readline().split(b";")[0], 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


class RuntimeApi:
    """The server; use it as a context manager, one for each process that is started."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._events: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers: list[Answer] = []
        self._wanted = 0
        self._complete = threading.Event()
        self._sent = 0.0
        self._count = 0
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """What `AWS_LAMBDA_RUNTIME_API` has to hold."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def send(self, events: Iterable[bytes]) -> None:
        """Hands events out, one after the other, from now on."""
        events = list(events)
        self._answers = []
        self._wanted = len(events)
        self._complete.clear()
        for event in events:
            self._events.put(event)

    def answers(self, seconds: float) -> list[Answer] | None:
        """The answers to what was sent last; none if they are not all there after so long."""
        return self._answers if self._complete.wait(seconds) else None

    def __enter__(self) -> "RuntimeApi":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for connection in self._connections:
            # One thread for each, and each may be waiting for an event.
            self._events.put(None)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while request := Request.read(stream):
                    self._reply(connection, request, time.perf_counter())
        except OSError:
            return

    def _reply(self, connection: socket.socket, request: Request, arrived: float) -> None:
        if request.path == NEXT:
            event = self._events.get()
            if event is None:
                raise ConnectionAbortedError
            message = self._head(len(event)) + event
            self._sent = time.perf_counter()
            connection.sendall(message)
        elif request.path == INIT_ERROR or request.path.endswith(("/response", "/error")):
            connection.sendall(ACCEPTED)
            self._keep(Answer(request.path, request.body, self._sent, arrived, arrived - self._sent))
        else:
            connection.sendall(NOT_FOUND)

    def _keep(self, answer: Answer) -> None:
        self._answers.append(answer)
        if answer.path == INIT_ERROR or len(self._answers) == self._wanted:
            self._complete.set()

    def _head(self, length: int) -> bytes:
        self._count += 1
        deadline = int((time.time() + PATIENCE) * 1e3)
        return (
            "HTTP/1.1 200 OK\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {length}\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {self._count:08x}-0000-4000-8000-000000000000\r\n"
            f"Lambda-Runtime-Deadline-Ms: {deadline}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {ARN}\r\n\r\n"
        ).encode()
