"""Answers to a page that asks again and again."""

import hashlib

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response

# What static/js/poll.js calls itself: a region that polls once must say so again, or it would lose its address.
POLL = "poll"


def tagged(request: HttpRequest, html: str) -> HttpResponseBase:
    """Answer with `html` and its tag; the same tag as last time gets 304 and no body."""
    etag = f'"{hashlib.sha256(html.encode()).hexdigest()[:32]}"'
    unchanged = get_conditional_response(request, etag=etag)
    response = HttpResponse(html) if unchanged is None else unchanged
    response["ETag"] = etag
    return response
