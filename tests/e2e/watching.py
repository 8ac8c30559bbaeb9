"""What must hold on every page, however it is reached."""

import axe_playwright_python.base as axe
from playwright.sync_api import ConsoleMessage, Page, Request, Response

# Names the element that sticks out, for the message of a failure.
STICKS_OUT = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll("body *")]
    .filter((node) => node.getBoundingClientRect().right > width + 1)
    .slice(0, 5).map((node) => node.outerHTML.slice(0, 160));
}"""


class Watch:
    """Everything a page's console, its loader and its content security policy complain about."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        self._page = page
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._note(f"error: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def forget(self) -> None:
        """Start anew, after something that was meant to fail."""
        self.said.clear()

    def _note(self, text: str) -> None:
        self.said.append(f"{self._page.url}: {text}")

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium also reports each answer of 400 and above here; _answered judges those.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self._note(f"{message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left while it still polled
            self._note(f"{request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500 or (response.status >= 400 and response.request.resource_type != "document"):
            self._note(f"{response.url} answers {response.status}")


def violations(page: Page) -> list[str]:
    """Return what axe-core finds, one line for each element."""
    page.evaluate(axe.AXE_SCRIPT)
    result = page.evaluate('axe.run(document, {resultTypes: ["violations"]})')
    return [
        f"{rule['id']}: {node['html'][:200]} ({' '.join(str(node.get('failureSummary', '')).split())[:300]})"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


def sticking_out(page: Page) -> list[str]:
    """Return the elements that make the whole page scroll sideways."""
    found: list[str] = page.evaluate(STICKS_OUT)
    return found
