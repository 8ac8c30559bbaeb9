"""Watch everything that leaves the process for a marked credential or a whole pointer.

Factories seal credentials that begin with `canary-`; real pointers are `sf_` and 32 characters. The taps stay in place
for the whole run, each guard listens to them for one test.
"""

import copy
import functools
import logging
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.core.handlers.base import BaseHandler
from django.core.mail import EmailMessage
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.utils.module_loading import import_string
from kombu import Producer

from apps.lib.logs import LineFormatter, RedactFilter

CREDENTIAL = re.compile(rb"canary-[a-z]+-(?:key-)?[0-9a-f]{4,}", re.IGNORECASE)
POINTER = re.compile(rb"(?<![a-z0-9])sf_[a-z2-7]{32}", re.IGNORECASE)

# Pages on which the owner reads a pointer, to copy it.
SHOWS_POINTER = frozenset({"connectors:detail", "strategies:detail"})

OVERLAP = 128

_marked: set[bytes] = set()


def mark(*secrets: str) -> None:
    """Look for these too from now on, like for the marked credentials of the factories."""
    _marked.update(secret.encode() for secret in secrets)


@dataclass(frozen=True, slots=True)
class Leak:
    channel: str
    where: str
    found: str


@dataclass(eq=False)
class Guard:
    """Use as a context: while it is open, it alone hears of what leaves."""

    leaks: list[Leak] = field(default_factory=list)

    def __enter__(self) -> "Guard":
        _listening.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _listening.remove(self)


_listening: list[Guard] = []


def look(channel: str, where: str, content: object, *, pointer_allowed: bool = False) -> None:
    """Note each secret in `content`: bytes, text, or anything that pickles."""
    if not _listening:
        return
    data = _as_bytes(content)
    found = CREDENTIAL.findall(data) + [secret for secret in _marked if secret in data]
    if not pointer_allowed:
        found += POINTER.findall(data)
    _listening[-1].leaks.extend(Leak(channel, where, match.decode()[:14] + "…") for match in dict.fromkeys(found))


def _as_bytes(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode(errors="replace")
    return pickle.dumps(content)


class LogTap(logging.Handler):
    """Our own code may not even try to log a secret; for others counts what the product's filter lets through."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        seen = copy.copy(record)
        if not record.name.startswith("apps."):
            RedactFilter().filter(seen)
        look("log", record.name, self.format(seen))


@contextmanager
def taps() -> Iterator[None]:
    """Open every channel to the guards until the end of the context."""
    cache_class = import_string(settings.CACHES["default"]["BACKEND"])
    with ExitStack() as stack:
        stack.enter_context(_logs())
        stack.enter_context(_wrapped(BaseHandler, "get_response", _get_response))
        stack.enter_context(_wrapped(EmailMessage, "send", _send))
        stack.enter_context(_wrapped(Producer, "publish", _publish))
        stack.enter_context(_wrapped(SessionBase, "encode", _encode))
        for name in ("set", "add", "set_many"):
            stack.enter_context(_wrapped(cache_class, name, _cache))
        yield


@contextmanager
def _logs() -> Iterator[None]:
    tap = LogTap()
    names = [name for name, logger in settings.LOGGING["loggers"].items() if logger.get("propagate") is False]
    loggers = [logging.getLogger(name) for name in [None, *names]]
    for logger in loggers:
        # First in line: the product's own handler changes the record it is given.
        logger.handlers.insert(0, tap)
    yield
    for logger in loggers:
        logger.removeHandler(tap)


@contextmanager
def _wrapped(owner: type, name: str, replacement: Callable[..., Any]) -> Iterator[None]:
    original = getattr(owner, name)
    inherited = name not in vars(owner)

    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        return replacement(functools.partial(original, self), self, *args, **kwargs)

    setattr(owner, name, wrapper)
    yield
    if inherited:
        delattr(owner, name)
    else:
        setattr(owner, name, original)


def _get_response(original: Callable[..., HttpResponseBase], _: object, request: HttpRequest) -> HttpResponseBase:
    response = original(request)
    match = request.resolver_match
    where = (match.view_name if match else "") or request.path
    look("header", where, "\n".join([*(f"{name}: {value}" for name, value in response.items()), str(response.cookies)]))
    allowed = where in SHOWS_POINTER
    if not response.streaming:
        look("response", where, response.content, pointer_allowed=allowed)
    elif not isinstance(response, FileResponse):
        chunks = response.streaming_content
        response.streaming_content = _chunks(chunks, where, pointer_allowed=allowed)
    return response


def _chunks(chunks: Iterable[bytes], where: str, *, pointer_allowed: bool) -> Iterator[bytes]:
    tail = b""
    for chunk in chunks:
        look("response", where, tail + chunk, pointer_allowed=pointer_allowed)
        tail = (tail + chunk)[-OVERLAP:]
        yield chunk


def _send(original: Callable[..., int], mail: EmailMessage, *args: Any, **kwargs: Any) -> int:
    parts = [mail.subject, mail.body, *mail.recipients(), *mail.extra_headers.values()]
    parts += [part[0] for part in getattr(mail, "alternatives", [])]
    parts += [part[1] if isinstance(part, tuple) else part.as_string() for part in mail.attachments]
    for part in parts:
        look("e-mail", str(mail.subject), part)
    return original(*args, **kwargs)


def _publish(original: Callable[..., Any], _: object, body: Any, *args: Any, **kwargs: Any) -> Any:
    look("task", str(kwargs.get("routing_key", "")), repr((body, kwargs.get("headers"))))
    return original(body, *args, **kwargs)


def _encode(original: Callable[..., str], _: object, session: dict[str, Any]) -> str:
    look("session", "session", repr(session))
    return original(session)


def _cache(original: Callable[..., Any], _: object, *args: Any, **kwargs: Any) -> Any:
    look("cache", str(args[0])[:60] if args else "", (args, kwargs))
    return original(*args, **kwargs)
