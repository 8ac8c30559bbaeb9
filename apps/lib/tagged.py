"""Answers to a page that asks again and again."""

import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response
from django.views.generic import TemplateView

# What static/js/poll.js calls itself: a region that polls once must say so again, or it would lose its address.
POLL = "poll"


def tagged(request: HttpRequest, html: str) -> HttpResponseBase:
    """Answer with `html` and its tag; the same tag as last time gets 304 and no body."""
    etag = f'"{hashlib.sha256(html.encode()).hexdigest()[:32]}"'
    unchanged = get_conditional_response(request, etag=etag)
    response = HttpResponse(html) if unchanged is None else unchanged
    response["ETag"] = etag
    return response


class PolledPartView(TemplateView):
    """A page one part of which keeps itself fresh: asked by its script, it answers with that part alone."""

    part_name: str

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        if request.headers.get("X-Requested-With") != POLL:
            return super().get(request, *args, **kwargs)
        return tagged(request, render_to_string(self.part_name, self.get_context_data(**kwargs), request))
