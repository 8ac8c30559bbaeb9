import pytest
from django.test import Client

from apps.accounts.models import User
from tests.factories import UserFactory


@pytest.fixture
def chief(db: None) -> User:
    user: User = UserFactory(is_staff=True, is_superuser=True)
    return user


@pytest.fixture
def staff(chief: User) -> Client:
    client = Client()
    client.force_login(chief, backend="django.contrib.auth.backends.ModelBackend")
    return client
