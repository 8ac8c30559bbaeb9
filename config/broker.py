"""The two spellings of one Redis: redis-py, and with it Django's cache, and Celery name a unix socket differently."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def celery_url(redis_url: str) -> str:
    """Return `redis_url` as Celery wants it: `unix:///path?db=1` becomes `redis+socket:///path?virtual_host=1`."""
    if not redis_url.startswith("unix://"):
        return redis_url
    parts = urlsplit(redis_url)
    query = [("virtual_host" if name == "db" else name, value) for name, value in parse_qsl(parts.query)]
    return f"redis+socket://{parts.path}" + (f"?{urlencode(query)}" if query else "")


def with_database(redis_url: str, number: int) -> str:
    """Return `redis_url` with another database number."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return urlunsplit(parts._replace(path=f"/{number}"))
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "db"]
    return f"unix://{parts.path}?{urlencode([*query, ('db', str(number))])}"
