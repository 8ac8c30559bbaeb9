"""Questions are forgotten after a while; what a test alert was answered stays on its page."""

from datetime import timedelta

import pytest

from apps.alerts.models import Preview
from apps.alerts.tasks import forget_previews
from tests.factories import AlertFactory, PreviewFactory, ago

pytestmark = pytest.mark.django_db


def test_questions_older_than_thirty_days_are_forgotten() -> None:
    old = ago(days=30, seconds=1)
    PreviewFactory(requested_at=old)
    young = PreviewFactory(requested_at=old + timedelta(minutes=1))
    alert = AlertFactory(status="tested")
    of_test = PreviewFactory(connector=alert.connector, alert=alert, requested_at=old)

    assert forget_previews() == 1

    assert set(Preview.unscoped.values_list("pk", flat=True)) == {young.pk, of_test.pk}
