"""What every page of the staff admin has in common."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import SuspiciousOperation
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import Field, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property

from apps.accounts.audit import record
from apps.accounts.models import Workspace


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages over the newest rows; never counts further than `CAP`, however large the table is."""

    CAP = 5_000

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by().values("pk")[: self.CAP].count()


class StaffAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """`search_ids` names the UUID columns a pasted id is looked up in; any other text goes to `search_fields`.

    Nothing is added or deleted here unless a class says so.
    """

    search_ids: tuple[str, ...] = ("pk",)
    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    may_add = False
    may_delete = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        searched = read_uuid(search_term)
        if searched is None or not self.search_ids:
            return super().get_search_results(request, queryset, search_term)
        condition = Q()
        for name in self.search_ids:
            condition |= Q(**{name: searched})
        return queryset.filter(condition), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse `?data__secret__startswith=A`: what is not shown must not be guessed letter by letter either."""
        hidden = {"password", *(self.exclude or ())}
        return lookup.partition("__")[0] not in hidden and super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        try:
            return super().changelist_view(request, extra_context)
        except DataError as error:
            raise SuspiciousOperation("a filter in the address holds what the database cannot compare") from error

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may_add and super().has_add_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.may_delete and super().has_delete_permission(request, obj)


class ReadOnlyAdmin(StaffAdmin):
    """Rows that staff may look at and nobody edits by hand."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyRows(admin.TabularInline):  # type: ignore[type-arg]
    """Rows below the one that a page is about, to look at."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class LimitedAdmin(StaffAdmin):
    """Staff change the columns in `editable` and see the others, except those in `exclude`.

    Only what was changed is written: workers write to the same rows meanwhile. Each change is audited.
    """

    editable: tuple[str, ...] = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        hidden = {*self.editable, *(self.exclude or ())}
        return [field.name for field in self.opts.get_fields() if _is_shown(field) and field.name not in hidden]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        changed = form.changed_data
        if not changed:
            return
        obj.save(update_fields=changed)
        for workspace in self.concerned(obj):
            record(
                workspace,
                f"{self.opts.model_name}.changed_by_staff",
                request=request,
                object_id=obj.pk if isinstance(obj.pk, UUID) else None,
                before={name: str(form.initial.get(name)) for name in changed},
                after={name: str(form.cleaned_data[name]) for name in changed},
            )

    def concerned(self, obj: Any) -> list[Workspace]:
        return [obj.workspace]


def _is_shown(field: Any) -> bool:
    return isinstance(field, Field) and field.get_internal_type() != "BinaryField"


def read_uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
