"""Addresses of the same page with one thing changed."""

from typing import Any

from django import template

register = template.Library()


@register.simple_tag(takes_context=True)
def url_with(context: dict[str, Any], name: str, value: str) -> str:
    """Return the query string of this page with `name` set to `value`, or left out when that is empty."""
    query = context["request"].GET.copy()
    query.pop(name, None)
    if value:
        query[name] = value
    return str(query.urlencode())


@register.simple_tag(takes_context=True)
def current(context: dict[str, Any], prefix: str) -> str:
    """Return "page" when the page's address is `prefix`, "true" below it, "" elsewhere: for aria-current."""
    request = context.get("request")
    if request is None or not prefix:
        return ""
    if request.path == prefix:
        return "page"
    return "true" if request.path.startswith(prefix) else ""
