from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.alerts.receiving import is_delivery
from apps.alerts.views import webhook


class WebhookMiddleware:
    """Take deliveries before any other middleware: no session, no cookie, no redirect."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return webhook(request) if is_delivery(request.META) else self.get_response(request)
