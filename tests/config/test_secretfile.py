import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from config import secretfile


def test_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    first = secretfile.load_or_create(tmp_path / "secrets.env")

    assert secretfile.load_or_create(tmp_path / "secrets.env") == first
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600
    assert sorted(first) == [
        "CREDENTIALS_PRIVATE_KEY",
        "CREDENTIALS_PUBLIC_KEY",
        "DISPLAY_KEY",
        "PAPER_CONTROL_TOKEN",
        "POINTER_KEY",
        "SECRET_KEY",
    ]


def test_credential_keys_are_a_pair_under_one_id() -> None:
    made = secretfile.new_secrets()

    public_id, public = made["CREDENTIALS_PUBLIC_KEY"].split(":")
    private_id, private = made["CREDENTIALS_PRIVATE_KEY"].split(":")
    derived = X25519PrivateKey.from_private_bytes(base64.b64decode(private)).public_key().public_bytes_raw()
    assert public_id == private_id == "k1"
    assert base64.b64decode(public) == derived


def test_missing_secret_is_added_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    first = secretfile.load_or_create(path)
    secretfile.write(path, {name: value for name, value in first.items() if name != "DISPLAY_KEY"})

    second = secretfile.load_or_create(path)

    assert len(base64.b64decode(second["DISPLAY_KEY"])) == 32
    assert second | {"DISPLAY_KEY": ""} == first | {"DISPLAY_KEY": ""}


def test_half_a_credential_pair_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    first = secretfile.load_or_create(path)
    secretfile.write(path, {name: value for name, value in first.items() if name != "CREDENTIALS_PRIVATE_KEY"})

    second = secretfile.load_or_create(path)

    assert second["CREDENTIALS_PUBLIC_KEY"] != first["CREDENTIALS_PUBLIC_KEY"]
    assert second["SECRET_KEY"] == first["SECRET_KEY"]
