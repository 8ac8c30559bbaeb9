"""The webhook as a page of Django's: what the entry before Django does, for whoever comes through Django."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from apps.alerts.receiving import receive


@csrf_exempt
def webhook(request: HttpRequest) -> HttpResponse:
    answer = receive(request.META)
    return HttpResponse(answer.content, status=answer.status, headers=answer.headers)
