from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from apps.accounts.models import Membership


class WorkspaceMiddleware:
    """Put the member's workspace on the request: `request.membership` (or None), looked up once, on first use."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in (request.session.session_key or ""):
            # A cookie can spell NUL, which the database would refuse: such a session does not exist.
            request.session = type(request.session)()
        request.membership = SimpleLazyObject(lambda: membership_of(request))  # type: ignore[attr-defined]
        response = self.get_response(request)
        if request.user.is_authenticated and not response.has_header("Cache-Control"):
            response["Cache-Control"] = "no-store"
        return response


def membership_of(request: HttpRequest) -> Membership | None:
    if not request.user.is_authenticated:
        return None
    memberships = Membership.objects.select_related(
        "workspace", "workspace__subscription", "workspace__subscription__plan"
    )
    return memberships.filter(user=request.user).order_by("created_at").first()
