"""The web pages of imports: choose a folder, an archive or an object store, watch it being read, cancel, ask again."""

from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from training.datasets.formats.registry import format_list
from training.datasets.scan import DatasetError
from training.datasets.selectors import class_counts
from training.datasets.services import NAME_LENGTH
from training.imports import services
from training.imports.archives import ENDINGS
from training.imports.folders import Listing, folders_in
from training.imports.objects import places_allowed
from training.imports.selectors import imports_visible
from training.jobs.transition import NotAllowed
from training.models import DatasetImport, Organization
from training.pages.doors import person, signed_in
from training.pages.fields import errors_put
from training.people.roles import Action, allowed, organizations_where, refusal, require
from training.said import said

ROWS = 50
GIVEN = ("folder", "address", "name", "format", "task")  # what an address may fill in


class ImportForm(forms.Form):
    """Which folder, under which name, for whom; limits are the service's."""

    use_required_attribute = False
    organization = forms.ModelChoiceField(Organization.objects.none(), empty_label=None, label=_("Organization"))
    folder = forms.CharField(
        max_length=1000,
        strip=False,
        required=False,
        label=_("Folder on the server"),
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
    )
    address = forms.CharField(
        max_length=1000,
        required=False,
        label=_("Or a place in the object store"),
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
    )
    name = forms.CharField(
        max_length=NAME_LENGTH,
        required=False,
        label=_("Name of the dataset"),
        help_text=_("Empty for the folder's own name."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )

    format = forms.ChoiceField(label=_("Format"), required=False, help_text=_("As a rule it is recognised."))
    task = forms.ChoiceField(
        required=False, label=_("Task"), help_text=_("What the labels are for, where they can be read in several ways.")
    )

    def __init__(self, choices: list[Organization], data: Any = None, initial: Any = None) -> None:
        super().__init__(data, initial=initial, auto_id="import-%s")
        field = self.fields["organization"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Organization.objects.filter(pk__in=[one.pk for one in choices]).order_by("name")
        if len(choices) == 1:
            field.widget = forms.HiddenInput()
            self.initial["organization"] = choices[0].pk
        places = list(dict.fromkeys(place for one in choices for place in places_allowed(one)))
        if places:
            self.fields["address"].widget.attrs["placeholder"] = f"{places[0]}/…"
            self.fields["address"].help_text = gettext("Below %(places)s.") % {"places": ", ".join(places)}
        else:
            self.fields["address"].widget = forms.HiddenInput()
        formats = format_list()
        tasks = dict.fromkeys(one.TASK for one in formats.values())
        labels = [("", gettext("Recognise it")), *((name, said(one.LABEL)) for name, one in formats.items())]
        self.fields["format"].choices = labels  # type: ignore[attr-defined]
        self.fields["task"].choices = [("", gettext("Recognise it")), *((one, one) for one in tasks)]  # type: ignore[attr-defined]
        folder = str(self["folder"].value() or "")
        self.fields["name"].widget.attrs["placeholder"] = Path(folder).name


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def import_new(request: HttpRequest) -> HttpResponseBase:
    """The form, beside the folders to choose from; a POST asks for the import and leads to its page."""
    user = person(request)
    choices = organizations_where(user, Action.IMPORT_DATASET)
    _organization_seen(request)
    if not choices:
        raise PermissionDenied(refusal(Action.IMPORT_DATASET))
    if request.method == "POST":
        form = ImportForm(choices, request.POST)
        if form.is_valid():
            said = form.cleaned_data
            try:
                kind = {"format_name": said["format"], "task_type": said["task"], "address": said["address"]}
                asked = services.import_ask(said["organization"], said["name"], said["folder"], user, **kind)
                return redirect("import-page", import_id=asked.pk)
            except ValidationError as error:
                errors_put(form, error)
    else:
        form = ImportForm(choices, initial={name: request.GET.get(name, "") for name in GIVEN})
        if request.GET.get("organization"):
            form.initial["organization"] = request.GET["organization"]
    return _form_page(request, form, choices)


def _form_page(request: HttpRequest, form: ImportForm, choices: list[Organization]) -> HttpResponseBase:
    listing, problem = _listing(str(form["folder"].value() or ""))
    context = {"form": form, "listing": listing, "problem": problem, "roots": settings.IMPORT_ROOTS}
    context |= {
        "choices": choices,
        "endings": ",".join(ENDINGS),
        "upload_most": settings.UPLOAD_MAX_GB,
    }
    return render(request, "training/import_new.html", context, status=422 if form.errors else 200)


@require_GET
@signed_in
def import_list(request: HttpRequest) -> HttpResponseBase:
    user = person(request)
    page = Paginator(imports_visible(user), ROWS).get_page(request.GET.get("page"))
    can_import = bool(organizations_where(user, Action.IMPORT_DATASET))
    context = {"page": page, "total": page.paginator.count, "can_import": can_import}
    return render(request, "training/import_list.html", context)


@never_cache
@require_GET
@signed_in
def import_page(request: HttpRequest, import_id: int) -> HttpResponseBase:
    """The whole page; asked by htmx, what changes on it alone."""
    asked = _import_or_404(request, import_id)
    user = person(request)
    counts = class_counts(asked.report)
    context = {
        "asked": asked,
        "counts": counts,
        "most": max([one.total for one in counts], default=0),
        "splits": [one for one in asked.report.get("splits", {}) if one != "all"],
        "can_cancel": asked.active and not asked.cancel_requested_at and allowed(user, Action.CANCEL_IMPORT, asked),
        "can_import": allowed(user, Action.IMPORT_DATASET, asked.organization),
        "can_create": asked.dataset is not None and allowed(user, Action.CREATE_JOB, asked.dataset),
    }
    name = "_import.html" if request.headers.get("HX-Request") else "import_page.html"
    return render(request, f"training/{name}", context)


@require_POST
@signed_in
def import_again(request: HttpRequest, import_id: int) -> HttpResponseBase:
    """The same once more; `format` and `task` settle what was in doubt."""
    asked = _import_or_404(request, import_id)
    user = person(request)
    require(user, Action.IMPORT_DATASET, asked.organization)
    said = {name: request.POST.get(name, "")[:32] for name in ("format", "task")}
    try:
        again = services.import_again(asked, user, said["format"], said["task"])
    except ValidationError as error:
        messages.warning(request, " ".join(error.messages))
        return redirect("import-page", import_id=import_id)
    return redirect("import-page", import_id=again.pk)


@require_POST
@signed_in
def import_cancel(request: HttpRequest, import_id: int) -> HttpResponseBase:
    asked = _import_or_404(request, import_id)
    require(person(request), Action.CANCEL_IMPORT, asked)
    try:
        services.import_cancel(asked)
    except NotAllowed as error:  # it ended meanwhile
        messages.warning(request, str(error))
    return redirect("import-page", import_id=import_id)


def _import_or_404(request: HttpRequest, import_id: int) -> DatasetImport:
    asked: DatasetImport | None = imports_visible(request.user).filter(pk=import_id).first()
    if asked is None:
        raise Http404("No such import.")
    return asked


def _organization_seen(request: HttpRequest) -> None:
    """404 for another organization's id, 403 where one's role is too low; a missing one is the form's to tell."""
    wanted = request.POST.get("organization", "")
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
        organization = person(request).organizations.filter(pk=int(wanted)).first()
        if organization is None:
            raise Http404("No such organization.")
        require(person(request), Action.IMPORT_DATASET, organization)


def _listing(folder: str) -> tuple[Listing, str]:
    """The folders in `folder`, and why it can't be looked into; then those at the top."""
    try:
        return folders_in(folder), ""
    except DatasetError as error:
        return folders_in(""), str(error)
