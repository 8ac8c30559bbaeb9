from django.contrib import admin
from django.db import models

from apps.accounts.staff import StaffAdmin
from apps.strategies.models import Strategy


@admin.register(Strategy)
class StrategyAdmin(StaffAdmin):
    may_add = True
    may_delete = True
    prepopulated_fields = {"slug": ("name",)}
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    list_display = ("name", "status", "market", "ticker", "timeframe", "position", "updated_at")
    list_editable = ("status", "position")
    list_filter = ("status", "market")
    search_fields = ("name", "slug", "ticker", "summary")
