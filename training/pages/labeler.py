"""The labeler's datasets beside one's own: a fragment that comes by itself, so that no page waits for the labeler."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from training.labeler.client import LabelerClient, LabelerError, labeler_configured
from training.labeler.importing import labeler_import_ask, labeler_imports
from training.models import DatasetImport
from training.pages.doors import person, signed_in
from training.people.roles import Action, organizations_where
from training.said import said


@require_GET
@signed_in
def labeler_datasets(request: HttpRequest) -> HttpResponseBase:
    """What the labeler shows to this person, or why it can't."""
    if not labeler_configured():
        raise Http404("There is no labeler.")
    user = person(request)
    context: dict[str, Any] = {"organizations": organizations_where(user, Action.IMPORT_DATASET)}
    try:
        found = LabelerClient(user).datasets()
        imported = labeler_imports(DatasetImport.objects.visible_to(user), found)
        context |= {"rows": [(one, imported.get(one.id)) for one in found]}
    except LabelerError as error:
        context |= {"trouble": said(str(error))}
    return render(request, "training/_labeler.html", context)


@require_POST
@signed_in
def labeler_import(request: HttpRequest) -> HttpResponseBase:
    """Import one of them into an organization in which the person may import."""
    if not labeler_configured():
        raise Http404("There is no labeler.")
    user, wanted = person(request), request.POST.get("organization", "")
    choices = {str(one.pk): one for one in organizations_where(user, Action.IMPORT_DATASET)}
    if wanted not in choices:
        raise Http404("No such organization.")
    try:
        asked = labeler_import_ask(choices[wanted], request.POST.get("dataset", "")[:100], user)
    except (LabelerError, ValidationError) as error:
        messages.warning(request, " ".join(getattr(error, "messages", [said(str(error))])))
        return redirect("dataset-list")
    return redirect("import-page", import_id=asked.pk)
