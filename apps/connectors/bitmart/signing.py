"""BitMart's signature: lower-case hex of HMAC-SHA256 over `<timestamp>#<memo>#<body>`, keyed with the secret."""

import hmac


def message(*, timestamp_ms: int, memo: str, body: bytes) -> bytes:
    """Return the bytes to sign; `body` is exactly what goes on the wire."""
    return f"{timestamp_ms}#{memo}#".encode() + body


def signature(*, secret_key: str, memo: str, timestamp_ms: int, body: bytes) -> str:
    signed = message(timestamp_ms=timestamp_ms, memo=memo, body=body)
    return hmac.new(secret_key.encode(), signed, "sha256").hexdigest()
