"""What every page of the staff admin has in common."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import lookup_spawns_duplicates
from django.core.exceptions import SuspiciousOperation
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import DecimalField, Field, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.accounts.audit import record
from apps.accounts.models import Workspace
from apps.lib.decimals import normalize_text


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages over the newest rows; never counts further than `CAP`, however large the table is."""

    CAP = 5_000

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by().values("pk")[: self.CAP].count()


class PlainNumbers(admin.options.BaseModelAdmin):  # type: ignore[type-arg]
    """Shows amounts that are only looked at as they are, without the zeros that fill up their column."""

    @cached_property
    def _plain(self) -> dict[Any, Any]:
        return {field.name: _shown(field) for field in self.opts.get_fields() if isinstance(field, DecimalField)}

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        names = [name for name in super().get_fields(request, obj) if not callable(name)]
        only_looked_at = set(names)
        if self.has_change_permission(request, obj):
            only_looked_at = set(self.get_readonly_fields(request, obj))
        return [self._plain.get(name, name) if name in only_looked_at else name for name in names]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        # Both: the name keeps the column out of the form, the other is what stands in its place.
        names = super().get_readonly_fields(request, obj)
        return [*names, *(self._plain[name] for name in names if name in self._plain)]


class StaffAdmin(PlainNumbers, admin.ModelAdmin):  # type: ignore[type-arg]
    """`search_ids` names the UUID columns a pasted id is looked up in; any other text goes to `search_fields`.

    `links` lead from a row to lists that are searched for it: what they are called, the model, the attribute.
    Nothing is added or deleted here unless a class says so.
    """

    search_ids: tuple[str, ...] = ("pk",)
    links: tuple[tuple[str, str, str], ...] = ()
    paginator = CappedPaginator
    show_full_result_count = False
    # They count the whole table for each choice of each filter.
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    may_add = False
    may_delete = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        searched = read_uuid(search_term)
        if searched is None or not self.search_ids:
            return super().get_search_results(request, queryset, last_four(search_term))
        condition = Q()
        for name in self.search_ids:
            condition |= Q(**{name: searched})
        found_twice = any(lookup_spawns_duplicates(self.opts, name) for name in self.search_ids)
        return queryset.filter(condition), found_twice

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [self._plain.get(name, name) for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        names = super().get_fields(request, obj)
        return ["see_also", *(name for name in names if name != "see_also")] if self.links and obj else names

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        names = super().get_readonly_fields(request, obj)
        return [*names, "see_also"] if self.links and obj else names

    @admin.display(description="see also")
    def see_also(self, row: Model) -> SafeString:
        lists = (
            (reverse(f"admin:{model}_changelist"), getattr(row, attribute), what)
            for what, model, attribute in self.links
        )
        return format_html_join(" · ", '<a href="{}?q={}">{}</a>', lists)

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


class ReadOnlyRows(PlainNumbers, admin.TabularInline):  # type: ignore[type-arg]
    """Rows below the one that a page is about, to look at."""

    extra = 0
    can_delete = False
    show_change_link = True

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        # No form may ask for what stands in the place of a column.
        return [*super().get_readonly_fields(request, obj), *self._plain.values()]

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class LimitedAdmin(StaffAdmin):
    """Staff change the columns in `editable` and see the others, except those in `exclude`.

    Only what was changed is written: workers write to the same rows meanwhile. Each change is audited.
    """

    editable: tuple[str, ...] = ()

    @cached_property
    def readonly_fields(self) -> list[str]:  # type: ignore[override]
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


def _shown(field: Any) -> Callable[[Model], str]:
    @admin.display(description=field.verbose_name, ordering=field.name)
    def shown(row: Model) -> str:
        value = getattr(row, field.name)
        return "-" if value is None else normalize_text(value)

    shown.__name__ = field.name  # finds the help of the column and names its CSS class
    return shown


def last_four(text: str) -> str:
    """Return what a pointer is searched by where it is written as our pages cut it; any other text as it is."""
    return text.strip()[-4:] if "…" in text or "•" in text else text


def read_uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
