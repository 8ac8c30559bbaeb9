"""The webhook's own door: a delivery does not pass Django's handler, which costs as much CPU as storing it."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from apps.alerts.receiving import is_delivery, receive

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class WebhookEntry:
    """A WSGI application: deliveries answered here, the rest handed to `application`."""

    def __init__(self, application: "WSGIApplication") -> None:
        self.application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not is_delivery(environ):
            return self.application(environ, start_response)
        answer = receive(environ)
        start_response(_LINES[answer.status], list(answer.headers.items()))
        return [answer.content]
