"""Where the streams of each environment are, from the settings."""

from django.conf import settings

from apps.connectors.exchange import Market
from apps.connectors.models import Environment
from apps.connectors.stream_pool import Addresses


def addresses() -> Addresses:
    return Addresses(stream_url, settings.STREAM_SOURCE_ADDRESSES or [""], settings.USER_AGENT)


def stream_url(environment: str, market: Market, is_private: bool) -> str:
    path = "user" if is_private else "api"
    return f"{_base_url(environment, market)}/{path}?protocol=1.1"


def _base_url(environment: str, market: Market) -> str:
    if environment == Environment.PAPER:
        return settings.PAPER_WS_URL  # type: ignore[no-any-return]
    return settings.BITMART_SPOT_WS_URL if market is Market.SPOT else settings.BITMART_FUTURES_WS_URL  # type: ignore[no-any-return]
