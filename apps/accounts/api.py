"""The ground every API view stands on: who asks, whose rows, how they are filtered and paged."""

import logging
import re
from typing import Any

from django.core.exceptions import ValidationError as InvalidValue
from django.db import DataError, models
from django_filters import rest_framework as filters
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework import exceptions, serializers
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle
from rest_framework.viewsets import ReadOnlyModelViewSet

from apps.accounts.middleware import membership_of
from apps.accounts.models import Workspace
from apps.accounts.tenancy import WorkspaceOwned
from apps.lib.decimals import normalize_text

logger = logging.getLogger(__name__)


class ApiToken(TokenAuthentication):  # type: ignore[misc]
    """`Authorization: Token sfk_…`; knox keeps only the digest."""

    SHAPE = re.compile(rb"[0-9A-Za-z_]{20,100}")

    def authenticate_credentials(self, token: bytes) -> Any:
        # knox decodes whatever was sent and would answer 500 to bytes that are not UTF-8.
        if self.SHAPE.fullmatch(token) is None:
            raise exceptions.AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "apps.accounts.api.ApiToken"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token sfk_…`; tokens are made under Settings, API tokens",
        }


class AmountField(serializers.DecimalField):
    """An amount as text: no exponent, no needless zeros."""

    def to_representation(self, value: Any) -> str:
        return normalize_text(value)


class WordField(serializers.CharField):
    """A state as its upper-case word."""

    def to_representation(self, value: Any) -> str:
        return str(value).upper()


class RowSerializer(serializers.ModelSerializer[Any]):
    """Read-only: nothing is created or changed over the API."""

    serializer_field_mapping = serializers.ModelSerializer.serializer_field_mapping | {models.DecimalField: AmountField}

    def get_fields(self) -> Any:
        fields = super().get_fields()
        for field in fields.values():
            field.read_only = True
        return fields


class WordsFilter(filters.BaseInFilter, filters.ChoiceFilter):  # type: ignore[misc]
    """One upper-case word or several with commas between, `FILLED,PARTIAL`; stored in lower case."""

    def __init__(self, *, field_name: str, choices: type[models.TextChoices]) -> None:
        words = [(value.upper(), label) for value, label in choices.choices]
        super().__init__(field_name=field_name, choices=words, lookup_expr="in")

    def filter(self, qs: models.QuerySet[Any], value: list[str] | None) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = super().filter(qs, [word.lower() for word in value] if value else value)
        return rows


class NewestFirst(CursorPagination):
    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return (f"-{view.time_field}", "-id")

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        try:
            return super().paginate_queryset(queryset, request, view)
        except InvalidValue as error:
            raise exceptions.NotFound(self.invalid_cursor_message) from error
        except DataError as error:
            # Read by Python and refused by the database: a moment 20 hours from UTC, in a filter or a cursor.
            sentence = "A value in the query is out of range: write moments in UTC, like 2026-11-22T08:41:03Z."
            raise exceptions.ValidationError(sentence, code="OUT_OF_RANGE") from error


class WorkspaceViewSet(ReadOnlyModelViewSet[Any]):
    """Rows of the workspace of the token's owner; another workspace's row and no row give the same 404.

    `time_field` orders the list. Filters narrow this queryset and never start another one.
    """

    model: type[WorkspaceOwned]
    time_field: str
    authentication_classes = (ApiToken,)
    permission_classes = (IsAuthenticated,)
    throttle_classes = (UserRateThrottle,)
    pagination_class = NewestFirst
    filterset_class: type[filters.FilterSet]
    workspace: Workspace

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        membership = membership_of(request._request)
        if membership is None:
            raise exceptions.PermissionDenied("This token's owner belongs to no workspace.")
        self.workspace = membership.workspace

    def get_queryset(self) -> models.QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return models.QuerySet(self.model).none()
        return self.model.objects.for_workspace(self.workspace)

    def filter_queryset(self, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        if self.action != "list":
            return queryset
        self.refuse_unknown_parameters()
        return super().filter_queryset(queryset)

    def refuse_unknown_parameters(self) -> None:
        """A misspelt filter must not answer with every row."""
        accepted = [*self.filterset_class.base_filters, "limit", "cursor", "format"]
        unknown = [name for name in self.request.query_params if name not in accepted]
        if unknown:
            sentence = f"There is no such parameter. Accepted here: {', '.join(accepted)}."
            raise exceptions.ValidationError({name: [sentence] for name in unknown}, code="UNKNOWN_PARAMETER")
