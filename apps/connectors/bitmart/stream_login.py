"""What proves an account at the WebSockets of both markets."""

from apps.connectors.bitmart import signing
from apps.connectors.exchange import Credentials

# Signed in place of a request's body.
_BODY = b"bitmart.WebSocket"


def login_args(credentials: Credentials, timestamp_ms: int) -> list[str]:
    """Return access key, timestamp and signature; BitMart takes them for 60 s."""
    signature = signing.signature(
        secret_key=credentials.secret_key, memo=credentials.memo, timestamp_ms=timestamp_ms, body=_BODY
    )
    return [credentials.access_key, str(timestamp_ms), signature]
