"""The tenant wall: every business row belongs to one workspace, and a query that does not name one raises."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models

from apps.lib import world

if TYPE_CHECKING:
    from apps.accounts.models import Workspace

ModelT = TypeVar("ModelT", bound=models.Model)


class UnscopedQueryError(RuntimeError):
    """A query through `objects` did not start at a workspace."""


class ScopedManager(models.Manager[ModelT]):
    """`objects` of a tenant's model: only `for_workspace` and `create` (which must name one) are open.

    Workers, migrations and staff pages, which rightly see all tenants, say so with `unscoped`.
    """

    def get_queryset(self) -> models.QuerySet[ModelT]:
        raise UnscopedQueryError(f"{self.model.__name__}.objects: start with for_workspace(workspace), or say unscoped")

    def for_workspace(self, workspace: Workspace | uuid.UUID) -> models.QuerySet[ModelT]:
        workspace_id = workspace if isinstance(workspace, uuid.UUID) else workspace.pk
        return models.QuerySet(self.model, using=self._db).filter(workspace_id=workspace_id)

    def create(self, **fields: Any) -> ModelT:
        row = self.model(**fields)
        row.save(using=self._db, force_insert=True)
        return row


class WorkspaceOwned(models.Model):
    """A row of one workspace. `same_workspace` names the foreign keys whose row must belong to the same one."""

    id = models.UUIDField(primary_key=True, default=world.new_id, editable=False)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.PROTECT, related_name="+", db_index=False)

    unscoped: models.Manager[Any] = models.Manager()
    objects: ScopedManager[Any] = ScopedManager()

    same_workspace: tuple[str, ...] = ()

    class Meta:
        abstract = True
        default_manager_name = "unscoped"

    def save(self, *args: Any, **kwargs: Any) -> None:
        for name in self.same_workspace:
            other = getattr(self, name)
            if other is not None and other.workspace_id != self.workspace_id:
                raise ValidationError({name: "belongs to another workspace"})
        super().save(*args, **kwargs)
