"""Secrets of a demo or test installation: made once, kept in `secrets.env` of its state directory with mode 600."""

import base64
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY_ID = "k1"


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def new_secrets() -> dict[str, str]:
    """Return fresh values by variable: 32 random bytes in base64; credential keys are raw X25519 as `<id>:<base64>`."""
    private = X25519PrivateKey.generate()
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "POINTER_KEY": _encoded(secrets.token_bytes(32)),
        "DISPLAY_KEY": _encoded(secrets.token_bytes(32)),
        "CREDENTIALS_PUBLIC_KEY": f"{KEY_ID}:{_encoded(private.public_key().public_bytes_raw())}",
        "CREDENTIALS_PRIVATE_KEY": f"{KEY_ID}:{_encoded(private.private_bytes_raw())}",
        "PAPER_CONTROL_TOKEN": secrets.token_urlsafe(32),
    }


def load_or_create(path: Path) -> dict[str, str]:
    """Return the secrets of `path`, adding those it lacks. The two credential keys are one pair: made together."""
    kept = read(path)
    made = new_secrets()
    if kept.keys() >= made.keys():
        return kept
    pair = {"CREDENTIALS_PUBLIC_KEY", "CREDENTIALS_PRIVATE_KEY"}
    if not kept.keys() >= pair:
        kept = {name: value for name, value in kept.items() if name not in pair}
    write(path, made | kept)
    return made | kept


def read(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def write(path: Path, values: dict[str, str]) -> None:
    fresh = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    fresh.replace(path)
