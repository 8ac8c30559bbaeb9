from typing import Any

from django.db.models import Model

from tests.admin.rows import our_models


def snapshot() -> dict[str, list[dict[str, Any]]]:
    """Return every row of ours, to compare before and after."""
    return {model.__name__: _rows(model) for model in our_models()}


def _rows(model: type[Model]) -> list[dict[str, Any]]:
    rows = model._base_manager.order_by("pk").values()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
