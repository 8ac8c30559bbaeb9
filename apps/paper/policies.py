"""What nobody could confirm of BitMart, as a choice: per process, or for one account. The first choice is the usual."""

from collections.abc import Mapping

from apps.paper.records import Account

CHOICES: Mapping[str, tuple[str, ...]] = {
    # A close larger than what is held: refused, or cut to it.
    "reduce_only": ("refuse", "clip"),
    # How long a client id stays taken after its order: a day, while the order lives, for ever.
    "client_ids": ("day", "live", "ever"),
    # A post-only order that would trade: accepted and cancelled, or refused.
    "limit_maker": ("cancel", "refuse"),
    # Details of a contract that does not exist: refused with 40034, or an empty list.
    "unknown_symbol": ("refuse", "empty"),
    # What a spot order without a client id shows as one: its own id, or nothing.
    "client_id_shown": ("order_id", "empty"),
    # Numbers sent as text where BitMart's pages say int.
    "text_numbers": ("accept", "refuse"),
    # Leverage unlike that of the open position.
    "leverage_mismatch": ("40040", "40012"),
    # Code of a missing permission.
    "permission_code": ("30012", "30019"),
    # How the account info spells permissions.
    "permission_names": ("snake", "title", "hidden"),
    # Whether set-position-mode does what it says it did.
    "position_mode": ("applied", "ignored"),
    # Whether the same timestamp and signature may come twice.
    "replay": ("accept", "refuse"),
    # The price behind unrealized PnL in position-v2 and assets-detail.
    "unrealized": ("mark", "last"),
}


class Policies:
    def __init__(self, chosen: Mapping[str, str] | None = None) -> None:
        """Raise ValueError for a name or choice that does not exist."""
        self._chosen = {name: choices[0] for name, choices in CHOICES.items()}
        self.choose(chosen or {})

    def choose(self, chosen: Mapping[str, str]) -> None:
        for name, choice in chosen.items():
            check_choice(name, choice)
        self._chosen.update(chosen)

    def all(self) -> dict[str, str]:
        return dict(self._chosen)

    def of(self, account: Account | None, name: str) -> str:
        if account is not None and account.policies:
            return own_policies(account).get(name, self._chosen[name])
        return self._chosen[name]


def own_policies(account: Account) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in account.policies.split(",") if pair)


def policies_text(chosen: Mapping[str, str]) -> str:
    for name, choice in chosen.items():
        check_choice(name, choice)
    return ",".join(f"{name}={choice}" for name, choice in chosen.items())


def check_choice(name: str, choice: str) -> None:
    if choice not in CHOICES.get(name, ()):
        raise ValueError(f"no such policy: {name}={choice}")
