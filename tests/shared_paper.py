"""One paper exchange for all tests of a run: each test makes its own accounts and leaves nothing behind."""

from typing import Any

from apps.connectors import opening, outages, outcomes
from tests.canary.guard import mark
from tests.paper.running import PaperAccount, PaperProcess


class SharedPaper(PaperProcess):
    _held: set[str]

    def new_account(self, **options: Any) -> PaperAccount:
        account = super().new_account(**options)
        mark(account.access_key, account.secret_key)
        return account

    def set_price(self, symbol: str, price: str | None, **options: Any) -> None:
        super().set_price(symbol, price, **options)
        self._held.add(symbol)

    def prepare(self) -> None:
        """Answer, also after a test that killed it, and count no call of another test against a limit.

        Our own budget is forgotten between tests: an exchange that went on counting would refuse, with 429, the calls
        of whichever test comes after many quick ones.
        """
        self._held = set()
        if self._process is None:
            self.start()
        else:
            self.end_windows()

    def reset(self) -> None:
        """Let held prices move again and forget ordered faults."""
        if self._process is None:
            return
        for symbol in self._held:
            super().set_price(symbol, None)
        self.control("DELETE", "faults")


def hang_up() -> None:
    """Close what `open_connector` keeps open; the next test has another address or other accounts."""
    for exchange in [*(kept for _, kept in opening._open.values()), *opening._public.values()]:
        exchange.close()
    opening.close_all()
    outcomes.forget()
    outages.forget()
