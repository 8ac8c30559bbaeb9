from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.alerts.views import webhook

PATHS = frozenset({"/webhook", "/webhook/"})


class WebhookMiddleware:
    """Take deliveries before any other middleware: no session, no cookie, no redirect.

    `/webhook` with and without its slash, and a POST to `/`, where users of other products send theirs.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info in PATHS or (request.path_info == "/" and request.method == "POST"):
            return webhook(request)
        return self.get_response(request)
