from datetime import timedelta
from typing import Any

import allauth.account.admin
import allauth.mfa.admin
import allauth.usersessions.admin
import knox.admin
from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from knox.models import AuthToken

from apps.accounts.audit import record
from apps.accounts.models import AuditEvent, Membership, Plan, PlatformState, Subscription, User, Workspace
from apps.accounts.staff import LimitedAdmin, ReadOnlyAdmin, StaffAdmin
from apps.lib import world

TRIAL_EXTENSION = timedelta(days=7)


def change_password(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseRedirect:
    """Send staff to the page everybody uses: it limits tries and tells the owner by mail."""
    return redirect("account_change_password")


admin.site.site_header = admin.site.site_title = f"{settings.SITE_NAME} staff"
admin.site.index_title = "Everything"
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.password_change = change_password  # type: ignore[assignment,method-assign]

# Their own pages search for a user name that does not exist here, or show what staff must not read or change.
# Imported above, so that they have registered already.
for module, model in (
    (knox.admin, AuthToken),
    (allauth.usersessions.admin, UserSession),
    (allauth.mfa.admin, Authenticator),
    (allauth.account.admin, EmailAddress),
):
    if not admin.site.is_registered(model):
        raise RuntimeError(f"{module.__name__} no longer registers {model.__name__}")
    admin.site.unregister(model)


@admin.register(User)
class UserAdmin(StaffAdmin):
    fields = (
        "id", "email", "is_active", "is_staff", "is_superuser", "groups", "user_permissions", "time_zone", "last_login",
        "date_joined",
    )  # fmt: skip
    readonly_fields = ("id", "email", "time_zone", "last_login", "date_joined")
    filter_horizontal = ("groups", "user_permissions")
    list_display = ("email", "is_active", "is_staff", "is_superuser", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_ids = ("pk", "memberships__workspace_id")
    search_fields = ("email",)
    search_help_text = "E-mail address, or the id of a user or workspace"
    links = (
        ("Workspaces", "accounts_workspace", "pk"),
        ("E-mail addresses", "account_emailaddress", "pk"),
        ("Second factors", "mfa_authenticator", "pk"),
        ("What they did", "accounts_auditevent", "pk"),
    )
    date_hierarchy = "date_joined"
    ordering = ("-date_joined",)
    actions = ("log_out_everywhere",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        rights = () if request.user.is_superuser else ("is_staff", "is_superuser", "groups", "user_permissions")
        return [*super().get_readonly_fields(request, obj), *rights]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    @admin.action(description="Log out everywhere: end sessions, revoke API tokens", permissions=["change"])
    def log_out_everywhere(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = [user for user in queryset if self.has_change_permission(request, user)]
        for user in users:
            with transaction.atomic():
                for session in UserSession.objects.filter(user=user):
                    session.end()
                AuthToken.objects.filter(user=user).delete()
                for workspace in Workspace.objects.filter(memberships__user=user):
                    record(workspace, "user.logged_out_by_staff", request=request, object_id=user.pk, email=user.email)
        self.message_user(request, f"Logged out everywhere: {len(users)}.")


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    fields = readonly_fields = ("user", "role", "created_at")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Workspace)
class WorkspaceAdmin(LimitedAdmin):
    editable = ("staff_state", "staff_reason")
    list_display = ("name", "trading_state", "staff_state", "created_at")
    list_filter = ("staff_state", "trading_state")
    search_ids = ("pk", "memberships__user_id")
    search_fields = ("name", "memberships__user__email")
    search_help_text = "Name, e-mail address of a member, or the id of a workspace or user"
    links = (
        ("Connectors", "connectors_connector", "pk"),
        ("Alerts", "alerts_alert", "pk"),
        ("Orders", "trading_order", "pk"),
        ("Positions", "trading_position", "pk"),
        ("Incidents", "trading_incident", "pk"),
        ("Subscription", "accounts_subscription", "pk"),
        ("Activity", "accounts_auditevent", "pk"),
    )
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (MembershipInline,)

    def concerned(self, obj: Any) -> list[Workspace]:
        return [obj]


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    list_display = ("user", "workspace", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "workspace")
    search_ids = ("pk", "user_id", "workspace_id")
    search_fields = ("user__email", "workspace__name")
    ordering = ("-created_at",)


@admin.register(Plan)
class PlanAdmin(StaffAdmin):
    may_add = True
    list_display = (
        "name", "code", "max_connectors", "max_order_notional", "max_open_notional", "max_orders_per_minute",
    )  # fmt: skip
    search_fields = ("code", "name")


@admin.register(Subscription)
class SubscriptionAdmin(LimitedAdmin):
    editable = ("plan", "status")
    list_display = ("workspace", "plan", "status", "trial_ends_at")
    list_filter = ("status", "plan")
    list_select_related = ("workspace", "plan")
    search_ids = ("pk", "workspace_id")
    search_fields = ("workspace__name", "workspace__memberships__user__email")
    search_help_text = "Name or id of a workspace, or e-mail address of a member"
    date_hierarchy = "trial_ends_at"
    ordering = ("-trial_ends_at",)
    actions = ("extend_trial",)

    @admin.action(description="Extend trial by 7 days", permissions=["change"])
    def extend_trial(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        """Add the days to the trial's end, or to now when that has passed; paid and ended ones stay as they are."""
        with transaction.atomic():
            on_trial = list(queryset.filter(status=Subscription.Status.TRIAL).select_for_update(of=("self",)))
            for subscription in on_trial:
                before = subscription.trial_ends_at
                subscription.trial_ends_at = max(before, world.now()) + TRIAL_EXTENSION
                subscription.save(update_fields=["trial_ends_at"])
                record(
                    subscription.workspace,
                    "subscription.trial_extended",
                    request=request,
                    object_id=subscription.pk,
                    before=before.isoformat(),
                    after=subscription.trial_ends_at.isoformat(),
                )
        skipped = queryset.exclude(status=Subscription.Status.TRIAL).count()
        if on_trial:
            self.message_user(request, f"Trials extended by 7 days: {len(on_trial)}.")
        if skipped:
            self.message_user(request, f"Not on trial, left as they are: {skipped}.", level=messages.WARNING)


@admin.register(PlatformState)
class PlatformStateAdmin(LimitedAdmin):
    """The kill switch over all tenants; each of them finds the change in its activity."""

    editable = ("trading_state", "reason")
    list_display = ("trading_state", "reason", "changed_at")
    search_fields = ("reason",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if form.changed_data:
            obj.save()  # with changed_at
        super().save_model(request, obj, form, change)

    def concerned(self, obj: Any) -> list[Workspace]:
        return list(Workspace.objects.all())


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "action", "actor", "workspace", "ip", "object_id")
    list_select_related = ("actor", "workspace")
    search_ids = ("pk", "object_id", "workspace_id", "actor_id")
    search_fields = ("action", "actor__email", "=ip", "workspace__name")
    search_help_text = "Action, e-mail address, IP, name of a workspace, or the id of anything it is about"
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """What staff did in this admin."""

    list_display = ("action_time", "user", "content_type", "object_repr", "action_flag")
    list_select_related = ("user", "content_type")
    search_ids = ("user_id", "object_id")
    search_fields = ("user__email", "object_repr")
    date_hierarchy = "action_time"
    ordering = ("-action_time",)


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin):
    """Deleting one lets a person in who lost the second factor. Its secret is not shown.

    A superuser's is taken by a superuser only.
    """

    may_delete = True
    exclude = ("data",)
    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    search_ids = ("user_id",)
    search_fields = ("user__email",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.user.is_superuser and not request.user.is_superuser:
            return False
        return super().has_delete_permission(request, obj)


@admin.register(EmailAddress)
class EmailAddressAdmin(ReadOnlyAdmin):
    list_display = ("email", "user", "primary", "verified")
    list_filter = ("primary", "verified")
    list_select_related = ("user",)
    search_ids = ("user_id",)
    search_fields = ("email", "user__email")
