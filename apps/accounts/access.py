"""The one way a page gets at a tenant's rows."""

import uuid
from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.generic import View

from apps.accounts.models import Membership, Workspace
from apps.accounts.tenancy import WorkspaceOwned

NO_WORKSPACE = "This login belongs to no workspace."


class WorkspaceMixin(LoginRequiredMixin, View):
    """A page of the member's own workspace. Changing methods need the role of a trader or owner; a viewer gets 403."""

    model: type[WorkspaceOwned]

    @property
    def membership(self) -> Membership:
        return self.request.membership  # type: ignore[attr-defined,no-any-return]

    @property
    def workspace(self) -> Workspace:
        return self.membership.workspace

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            if not request.membership:  # type: ignore[attr-defined]
                raise PermissionDenied(NO_WORKSPACE)
            if request.method not in {"GET", "HEAD", "OPTIONS"} and not self.membership.may_trade:
                raise PermissionDenied("Your role in this workspace is viewer: ask an owner to make this change.")
        return super().dispatch(request, *args, **kwargs)

    def get_queryset(self) -> models.QuerySet[Any]:
        return self.model.objects.for_workspace(self.workspace)

    def own(self, model: type[WorkspaceOwned], pk: uuid.UUID) -> Any:
        """Return the workspace's row, or 404: a stranger's row and no row look the same."""
        row = model.objects.for_workspace(self.workspace).filter(pk=pk).first()
        if row is None:
            raise Http404
        return row
