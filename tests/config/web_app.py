"""A WSGI application for the worker's tests: small answers of every shape."""

import io
import time
from collections.abc import Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/echo":
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    if path == "/unread":
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
    if path == "/stream":
        start_response("200 OK", [])
        return (b"piece%d" % number for number in range(3))
    if path == "/empty":
        start_response("204 No Content", [])
        return []
    if path == "/file":
        start_response("200 OK", [("Content-Length", "5")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"bytes"))
        return wrapped
    if path == "/slow":
        time.sleep(1)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"slow"]
    raise ValueError(path)
