"""Ask who it is again before a change that a stolen session must not make."""

from typing import Any
from urllib.parse import urlencode

from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.generic import View


def is_confirmed(request: HttpRequest) -> bool:
    """True for a person who entered password or code within the last ACCOUNT_REAUTHENTICATION_TIMEOUT seconds."""
    return bool(did_recently_reauthenticate(request))


def ask(request: HttpRequest, back_to: str) -> HttpResponseRedirect:
    """Send the person to the confirmation, and from there to `back_to`.

    allauth's own decorator would keep the whole POST in the session meanwhile, exchange keys included: this keeps
    nothing.
    """
    return HttpResponseRedirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': back_to})}")


class StepUpMixin(View):
    """A form page that opens only to a person who has just confirmed who they are. Stands after WorkspaceMixin."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_confirmed(request):
            if request.method == "POST":
                messages.warning(
                    request, "Nothing was changed: please confirm that it is you, then send the form again."
                )
            return ask(request, request.get_full_path())
        return super().dispatch(request, *args, **kwargs)
