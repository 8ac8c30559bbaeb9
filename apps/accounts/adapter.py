from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import BaseForm
from django.http import HttpRequest
from django.urls import reverse

from apps.accounts.models import Membership, User
from apps.accounts.signup import open_workspace

LONGEST_EMAIL = 254


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth's hooks: a sign-up opens a workspace; limits are explained in words."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "too_many_login_attempts": (
            "Too many failed log-ins for this address. Try again in 5 minutes, or reset your password now."
        ),
        "email_password_mismatch": (
            "This e-mail address and password do not go together. Check both; the password is case-sensitive."
        ),
        "incorrect_code": "This code is not the one we sent. Type the newest one, or ask for a new code.",
        "rate_limited": "Too many requests. Wait a minute, then try again.",
    }

    def save_user(self, request: HttpRequest, user: User, form: BaseForm, commit: bool = True) -> User:
        with transaction.atomic():
            saved: User = super().save_user(request, user, form, commit=commit)
            if commit:
                open_workspace(saved)
        return saved

    def is_reauthentication_required(self, *, app: str, **_: Any) -> bool:
        """Ask who it is for a change of the e-mail addresses too: who reads the mail can reset the password."""
        return True

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Staff without a workspace of their own have nothing to see on the dashboard."""
        if request.user.is_staff and not Membership.objects.filter(user=request.user).exists():
            return reverse("admin:index")
        return str(super().get_login_redirect_url(request))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        # Subjects are drawn without a request, so without the context processors.
        super().send_mail(template_prefix, email, context | {"SITE_NAME": settings.SITE_NAME})

    def clean_email(self, email: str) -> str:
        cleaned = str(super().clean_email(email)).lower()
        if not is_mailable(cleaned):
            raise ValidationError(
                "We cannot send mail to this address. Use one whose part before the @ is plain letters and digits.",
                code="ADDRESS_NOT_USABLE",
            )
        return cleaned


def is_mailable(email: str) -> bool:
    """Say whether mail can be addressed to it: Django's validator lets pass what only looks like ASCII, as `İ` does."""
    name, _, domain = email.rpartition("@")
    try:
        domain.encode("idna")
    except UnicodeError:
        return False
    return name.isascii() and len(email) <= LONGEST_EMAIL
