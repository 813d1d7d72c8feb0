"""Going to a page or to anything that has a name: for the palette, and as a page for who has no scripts."""

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from training.models import User
from training.pages.doors import person, signed_in
from training.people.roles import Action, organizations_where
from training.places import Place, places_found

LENGTH = 120
PAGES = {
    "home": gettext_noop("Home"),
    "job-list": gettext_noop("Jobs"),
    "dataset-list": gettext_noop("Datasets"),
    "weights-list": gettext_noop("Weights"),
    "project-list": gettext_noop("Projects"),
    "worker-list": gettext_noop("Workers and queues"),
    "organization-list": gettext_noop("People and organizations"),
    "import-list": gettext_noop("Imports of datasets"),
    "account-page": gettext_noop("Your account"),
    "key-list": gettext_noop("API keys"),
    "api:openapi-view": gettext_noop("API documentation"),
}


@require_GET
@signed_in
@vary_on_headers("Accept")
def go(request: HttpRequest) -> HttpResponseBase:
    """Where the words lead to: pages first, then what the person may see."""
    user, words = person(request), request.GET.get("q", "")[:LENGTH].replace("\x00", "").strip()
    found = [*_pages(user, words), *places_found(user, words)]
    places = [{"kind": one.kind, "name": one.name, "where": one.where, "address": _address(one)} for one in found]
    if "text/html" not in request.headers.get("Accept", "text/html"):
        response: HttpResponseBase = JsonResponse({"places": places})
    else:
        response = render(request, "training/go.html", {"places": places, "words": words})
    response.headers["Cache-Control"] = "no-store"
    return response


def _pages(user: User, words: str) -> list[Place]:
    names = dict(PAGES)
    if organizations_where(user, Action.CREATE_JOB):
        names["job-new"] = gettext_noop("New job")
    if organizations_where(user, Action.IMPORT_DATASET):
        names["import-new"] = gettext_noop("Import a dataset")
    if user.is_superuser:
        names["admin:index"] = gettext_noop("Administration")
    wanted = words.lower().split()
    # found by its English name too, which stays the same wherever one is
    return [
        Place(gettext("Page"), gettext(name), "", route)
        for route, name in names.items()
        if all(word in f"{gettext(name)} {name}".lower() for word in wanted)
    ]


def _address(place: Place) -> str:
    return reverse(place.route, args=[] if place.key is None else [place.key])
