"""The people of a test: a member of a workspace, logged in to the pages and to the API."""

from dataclasses import dataclass

from allauth.account.internal.flows.login import record_authentication
from django.http import HttpRequest
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

from apps.accounts.models import Membership, Role, User, Workspace
from tests.factories import MembershipFactory


@dataclass(frozen=True, slots=True)
class Member:
    user: User
    workspace: Workspace
    membership: Membership
    client: Client
    api: APIClient

    def confirm(self) -> None:
        """Do what the step-up asks for: password entered a moment ago."""
        request = HttpRequest()
        request.session = self.client.session
        record_authentication(request, self.user, method="password", reauthenticated=True)
        request.session.save()


def member(*, role: Role = Role.OWNER, workspace: Workspace | None = None) -> Member:
    """Create a person in a workspace of their own, or in the given one."""
    membership = (
        MembershipFactory(role=role) if workspace is None else MembershipFactory(role=role, workspace=workspace)
    )
    client = Client()
    client.force_login(membership.user, backend="django.contrib.auth.backends.ModelBackend")
    api = APIClient()
    _, token = AuthToken.objects.create(membership.user)
    api.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return Member(membership.user, membership.workspace, membership, client, api)
