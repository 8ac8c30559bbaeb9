"""The two ways to the webhook, called as a server calls them: the entry before Django, and Django itself."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from config.wsgi import application, django_application

DOORS = {"entry": application, "django": django_application}


class Stream(io.BytesIO):
    """A request body that knows how much of it was asked for."""

    asked = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked += sys.maxsize if size is None or size < 0 else size
        return super().read(size)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    asked: int

    def json(self) -> Any:
        return json.loads(self.body)


def deliver(
    door: str, body: bytes, *, method: str = "POST", path: str = "/webhook", chunked: bool = False, **headers: str
) -> Reply:
    """`headers` are WSGI variables; a chunked body comes without CONTENT_LENGTH, as gunicorn passes it on."""
    stream = Stream(body)
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "testserver",
        "wsgi.url_scheme": "http",
        "wsgi.input": stream,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        **({"HTTP_TRANSFER_ENCODING": "chunked"} if chunked else {"CONTENT_LENGTH": str(len(body))}),
        **headers,
    }
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, response_headers: list[tuple[str, str]], *_: Any) -> Any:
        started.append((status, response_headers))

    with _connection_kept():
        content = b"".join(_closed(DOORS[door](environ, start_response)))  # type: ignore[arg-type]
    status, response_headers = started[0]
    return Reply(int(status[:3]), dict(response_headers), content, stream.asked)


def _closed(chunks: Any) -> Iterator[bytes]:
    if not hasattr(chunks, "close"):
        yield from chunks
        return
    with closing(chunks):
        yield from chunks


@contextmanager
def _connection_kept() -> Iterator[None]:
    """Like Django's test client: a request must not close the connection that holds the test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)
