from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.generic import View

from apps.accounts import audit
from apps.accounts.access import NO_WORKSPACE, WorkspaceMixin
from apps.accounts.forms import SettingsForm, StateForm, ZoneForm
from apps.accounts.models import Role, User
from apps.accounts.trading_state import TradingState


class SettingsView(LoginRequiredMixin, View):
    """A viewer changes their own time zone here too, so the role is asked for the workspace's name only."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(request, self.form(request))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self.form(request)
        if not form.is_valid():
            return self.page(request, form)
        form.save()
        audit.record(form.workspace, "settings.changed", request=request, fields=sorted(form.changed_data))
        messages.success(request, "Saved.")
        return redirect("accounts:settings")

    def form(self, request: HttpRequest) -> SettingsForm:
        membership = request.membership  # type: ignore[attr-defined]
        if not membership:
            raise PermissionDenied(NO_WORKSPACE)
        return SettingsForm(
            request.POST if request.method == "POST" else None,
            user=request.user,  # type: ignore[arg-type]
            workspace=membership.workspace,
            may_rename=membership.role == Role.OWNER,
        )

    def page(self, request: HttpRequest, form: SettingsForm) -> HttpResponse:
        return render(request, "account/settings.html", {"form": form}, status=422 if form.errors else 200)


class ZoneView(LoginRequiredMixin, View):
    """Keep the browser's zone for a user who has not chosen one; zone.js asks once."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ZoneForm(request.POST)
        if not form.is_valid():
            return HttpResponseBadRequest("ZONE_UNKNOWN: send an IANA name such as Europe/Vienna.")
        own = User.objects.filter(email=request.user.get_username(), time_zone="")
        own.update(time_zone=form.cleaned_data["zone"])
        return HttpResponse(status=204)


class StopView(WorkspaceMixin):
    """Stop the workspace, allow exits only, or trade again. It asks for no password: stopping must be quick."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        form = StateForm(request.POST)
        if not form.is_valid():
            return HttpResponseBadRequest("STATE_UNKNOWN: send active, reduce_only or halted.")
        state = TradingState(form.cleaned_data["state"])
        before = self.workspace.trading_state
        is_lifted = state is TradingState.ACTIVE
        if is_lifted and self.workspace.lift_needs_word and not self._is_named():
            messages.error(
                request, f"NAME_DIFFERS: type “{self.workspace.name}” exactly to trade again. New positions stay off."
            )
            return redirect(came_from(request))
        self.workspace.trading_state = state
        self.workspace.lift_needs_word = self.workspace.lift_needs_word and not is_lifted
        self.workspace.save(update_fields=["trading_state", "lift_needs_word"])
        audit.record(self.workspace, "workspace.trading_state", request=request, before=before, after=state.value)
        if state is TradingState.ACTIVE:  # the other two stand on every page until they are lifted
            messages.success(request, "Trading is on again. Alerts are traded from now on.")
        return redirect(came_from(request))

    def _is_named(self) -> bool:
        return str(self.request.POST.get("word", "")).strip() == self.workspace.name.strip()


def came_from(request: HttpRequest) -> str:
    referer = request.META.get("HTTP_REFERER", "")
    own = url_has_allowed_host_and_scheme(
        referer, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return referer if own else reverse("dashboard:home")
