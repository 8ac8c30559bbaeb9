"""API tokens: made, listed and revoked by the person they speak for. They read, and change nothing."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.generic import View
from knox.models import AuthToken
from knox.settings import knox_settings

from apps.accounts import audit, stepup
from apps.accounts.models import User
from apps.lib import world

LIFETIMES = [("7", "7 days"), ("30", "30 days"), ("90", "90 days")]


class TokenLimitError(Exception):
    """The person has as many tokens as one may have; nothing was created."""

    code = "TOKEN_LIMIT"

    def __init__(self, limit: int) -> None:
        super().__init__(f"You have {limit} API tokens, the most there may be. Nothing was created. Revoke one first.")


class TokenForm(forms.Form):
    days = forms.ChoiceField(choices=LIFETIMES, initial="30", label="Valid for", help_text="It stops working then.")


def tokens_of(user: User) -> QuerySet[Any]:
    """Return the tokens that still open the API, newest first."""
    lasting: QuerySet[Any] = AuthToken.objects.filter(Q(expiry=None) | Q(expiry__gt=world.now()), user=user)
    return lasting.order_by("-created")


def create(user: User, *, days: int) -> tuple[Any, str]:
    """Return the row and the token's text, which cannot be read again. TokenLimitError."""
    with transaction.atomic():
        # Locked, so that two requests at once cannot both take the last place.
        User.objects.select_for_update().get(pk=user.pk)
        limit = knox_settings.TOKEN_LIMIT_PER_USER
        if tokens_of(user).count() >= limit:
            raise TokenLimitError(limit)
        row, text = AuthToken.objects.create(user, expiry=timedelta(days=days))
    return row, text


class TokenPage(LoginRequiredMixin, View):
    """Viewers have tokens too: a token reads what its person reads."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated and not request.membership:  # type: ignore[attr-defined]
            raise PermissionDenied("This login belongs to no workspace.")
        return super().dispatch(request, *args, **kwargs)

    def note(self, action: str, **facts: Any) -> None:
        membership = self.request.membership  # type: ignore[attr-defined]
        audit.record(membership.workspace, action, request=self.request, **facts)


class TokenList(TokenPage):
    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(request, TokenForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = TokenForm(request.POST)
        if not form.is_valid():
            return self.page(request, form)
        if not stepup.is_confirmed(request):
            messages.warning(
                request, "Nothing was created: please confirm that it is you, then create the token again."
            )
            return stepup.ask(request, reverse("accounts:tokens"))
        try:
            row, text = create(request.user, days=int(form.cleaned_data["days"]))  # type: ignore[arg-type]
        except TokenLimitError as error:
            form.add_error(None, forms.ValidationError(str(error), code=error.code))
            return self.page(request, form)
        self.note("token.created", key=row.token_key, expires_at=row.expiry.isoformat())
        # Not after a redirect: it would have to be kept somewhere on the way.
        return self.page(request, TokenForm(), created=text)

    def page(self, request: HttpRequest, form: TokenForm, *, created: str = "") -> HttpResponse:
        facts = {
            "form": form,
            "created": created,
            "tokens": tokens_of(request.user),  # type: ignore[arg-type]
            "limit": knox_settings.TOKEN_LIMIT_PER_USER,
            "api_url": request.build_absolute_uri("/api/v1/"),
        }
        return render(request, "accounts/tokens.html", facts, status=422 if form.errors else 200)


class RevokeToken(TokenPage):
    """Asks for no password: taking a right away must be quick."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        key = request.POST.get("key", "").replace("\0", "")
        gone, _ = AuthToken.objects.filter(user=request.user, token_key=key).delete()
        if gone:
            self.note("token.revoked", key=key)
            messages.success(request, f"Token {key}… is revoked.")
        else:
            messages.warning(request, "That token is already gone.")
        return redirect("accounts:tokens")
