import pickle
from uuid import UUID

import pytest

from apps.connectors.sealing import Place, SealError, Secret, seal, unseal

HERE = Place(UUID(int=1), UUID(int=2), "secret_key")


def test_a_sealed_value_opens_in_its_place_only() -> None:
    sealed = seal("s3cret", HERE)

    assert unseal(sealed, HERE).reveal() == "s3cret"
    for other in (
        Place(UUID(int=9), UUID(int=2), "secret_key"),
        Place(UUID(int=1), UUID(int=9), "secret_key"),
        Place(UUID(int=1), UUID(int=2), "memo"),
    ):
        with pytest.raises(SealError):
            unseal(sealed, other)


def test_two_seals_of_one_value_differ() -> None:
    assert seal("s3cret", HERE) != seal("s3cret", HERE)


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_damaged_value_is_a_seal_error(cut: int) -> None:
    with pytest.raises(SealError):
        unseal(seal("s3cret", HERE)[:-cut], HERE)


@pytest.mark.parametrize("value", ["", "plain", "1.k1", "1.other.AAAA", "2.k1.AAAA"])
def test_what_was_never_sealed_is_a_seal_error(value: str) -> None:
    with pytest.raises(SealError):
        unseal(value, HERE)


def test_a_process_without_the_private_key_cannot_open(settings: object) -> None:
    sealed = seal("s3cret", HERE)
    settings.CREDENTIALS_PRIVATE_KEYS = []  # type: ignore[attr-defined]

    with pytest.raises(SealError):
        unseal(sealed, HERE)


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret("s3cret")

    assert "s3cret" not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
