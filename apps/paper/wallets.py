from decimal import Decimal

from apps.paper.amounts import ZERO
from apps.paper.events import BalanceChanged, Cause
from apps.paper.records import Balance
from apps.paper.store import Store

SPOT = "spot"
FUTURES = "futures"


class Wallets:
    """Available and frozen money per account, wallet and currency. Neither goes below zero."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def balance(self, account_id: int, wallet: str, currency: str) -> Balance:
        found = self._store.get(Balance, account_id, wallet, currency)
        return found or Balance(account_id, wallet, currency, available=ZERO, frozen=ZERO)

    def balances(self, account_id: int, wallet: str) -> list[Balance]:
        found = self._store.hot(Balance).group("wallet", (account_id, wallet))
        return sorted(found, key=lambda balance: balance.currency)

    def change(
        self,
        account_id: int,
        wallet: str,
        currency: str,
        *,
        available: Decimal = ZERO,
        frozen: Decimal = ZERO,
        cause: Cause = "trade",
    ) -> None:
        """Add the signed amounts. Raise ArithmeticError when one would end below zero: the caller checks first."""
        if not available and not frozen:
            return
        balance = self.balance(account_id, wallet, currency)
        balance.available += available
        balance.frozen += frozen
        if balance.available < 0 or balance.frozen < 0:
            raise ArithmeticError(f"{wallet} {currency} of account {account_id} would fall below zero")
        if self._store.feed.is_heard:
            self._store.feed.add(
                BalanceChanged(
                    account_id, wallet, currency, available=balance.available, frozen=balance.frozen, cause=cause
                )
            )
        self._store.save(balance)
