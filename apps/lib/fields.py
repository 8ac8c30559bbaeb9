from typing import Any

from django.db import models


class MoneyField(models.DecimalField):
    """NUMERIC(38,18): every price, quantity and amount."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_digits", 38)
        options.setdefault("decimal_places", 18)
        super().__init__(**options)
