"""What a page costs its reader: ux section 5."""

import gzip
from collections.abc import Callable

import pytest
from playwright.sync_api import Response, StorageState

from tests.e2e.conftest import Visitor
from tests.e2e.history import History

pytestmark = pytest.mark.browser

MOST_HTML = 100_000
MOST_SCRIPT = 150_000


def test_dashboard_is_light(visit: Callable[..., Visitor], demo: StorageState, history: History) -> None:
    page = visit(state=demo).page
    seen: list[Response] = []
    page.on("response", lambda response: seen.append(response))

    page.goto("/app/", wait_until="networkidle")

    def bodies(kind: str) -> list[bytes]:
        return [response.body() for response in seen if response.request.resource_type == kind]

    html = sum(map(len, bodies("document")))
    scripts = sum(len(gzip.compress(body)) for body in bodies("script"))
    assert 0 < html < MOST_HTML
    assert 0 < scripts < MOST_SCRIPT
