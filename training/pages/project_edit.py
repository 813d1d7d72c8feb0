"""Managers' pages of a project: a new one, its name and description, its members, and the archive."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from training.models import Organization, Project, User
from training.pages.card import said
from training.pages.doors import person, signed_in
from training.pages.fields import errors_put
from training.pages.projects import project_or_404
from training.people.roles import Action, organizations_where, require
from training.projects import members, services
from training.retention import MOST, project_keep
from training.templatetags.text import plain_text

CANDIDATES = 500


class ProjectForm(forms.Form):
    """A project's name and what it is about; limits are the service's."""

    use_required_attribute = False
    name = forms.CharField(
        label=_("Name"), max_length=services.NAME_LENGTH, widget=forms.TextInput({"autocomplete": "off"})
    )
    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=services.DESCRIPTION_LENGTH,
        widget=forms.Textarea({"rows": 4}),
        help_text=_("What it is about, for those who find it later."),
    )


class ProjectEditForm(ProjectForm):
    """The same, and what only an existing project has."""

    keep_epochs = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST,
        widget=forms.TextInput({"inputmode": "numeric"}),
        label=_("Periodic checkpoints that stay"),
        help_text=_(
            "Of each ended job the newest so many; empty: as the organization says. Best and last always stay."
        ),
    )


class NewProjectForm(ProjectForm):
    """The same, in one of the organizations in which the person makes projects."""

    organization = forms.ModelChoiceField(Organization.objects.none(), empty_label=None, label=_("Organization"))
    field_order = ["organization", "name", "description"]

    def __init__(self, choices: list[Organization], data: Any = None) -> None:
        super().__init__(data)
        field = self.fields["organization"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Organization.objects.filter(pk__in=[one.pk for one in choices]).order_by("name")
        if len(choices) == 1:
            field.widget = forms.HiddenInput()
            self.initial["organization"] = choices[0].pk


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def project_new(request: HttpRequest) -> HttpResponseBase:
    user = person(request)
    choices = organizations_where(user, Action.MANAGE_PROJECTS)
    named = request.POST.get("organization", "")
    if named.isascii() and named.isdigit() and not user.memberships.filter(organization=int(named[:18])).exists():
        raise Http404("No such organization.")
    if not choices:
        require(user, Action.MANAGE_PROJECTS, user.organizations.first())
    form = NewProjectForm(choices, said(request))
    if form.is_valid():
        given = form.cleaned_data
        try:
            made = services.project_create(given["organization"], given["name"], given["description"], by=user)
            return redirect("project-page", project_id=made.pk)
        except ValidationError as error:
            errors_put(form, error)
    context = {"form": form, "title": gettext("New project"), "button": gettext("Create project")}
    return render(request, "training/form_page.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def project_edit(request: HttpRequest, project_id: int) -> HttpResponseBase:
    """Its name and what it is about; beside that, its members."""
    project = managed_project(request, project_id)
    now = {"name": project.name, "description": project.description, "keep_epochs": project.keep_epochs}
    form = ProjectEditForm(said(request), initial=now)
    if form.is_valid():
        given = form.cleaned_data
        try:
            with transaction.atomic():
                services.project_edit(project, given["name"], given["description"], by=person(request))
                project_keep(project, given["keep_epochs"], by=person(request))
            return redirect("project-page", project_id=project_id)
        except ValidationError as error:
            errors_put(form, error)
    context = {
        "form": form,
        "title": gettext("Edit project"),
        "button": gettext("Save"),
        "project": project,
        "memberships": members.project_members(project),
        "candidates": members.project_candidates(project)[:CANDIDATES],
    }
    return render(request, "training/project_edit.html", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def project_archive(request: HttpRequest, project_id: int) -> HttpResponseBase:
    """Archive the project, or bring it back with `archived=no`."""
    project = managed_project(request, project_id)
    archived = request.POST.get("archived") != "no"
    services.project_archive(project, archived, by=person(request))
    name = plain_text(project.name)
    messages.success(
        request,
        gettext("%(name)s is archived: it takes no new jobs.") % {"name": name}
        if archived
        else gettext("%(name)s is back.") % {"name": name},
    )
    return redirect("project-page", project_id=project_id)


@require_POST
@signed_in
def project_member_add(request: HttpRequest, project_id: int) -> HttpResponseBase:
    project = managed_project(request, project_id)
    wanted = request.POST.get("user", "")
    user = User.objects.filter(pk=int(wanted)).first() if wanted.isdecimal() and len(wanted) < 19 else None
    try:
        if user is None:
            raise ValidationError({"user": gettext("There is no such member of the organization.")})
        members.project_member_add(project, user, by=person(request))
    except ValidationError as error:
        messages.warning(request, " ".join(error.messages))
    return redirect("project-edit", project_id=project.pk)


@require_POST
@signed_in
def project_member_remove(request: HttpRequest, project_id: int, user_id: int) -> HttpResponseBase:
    project = managed_project(request, project_id)
    user = User.objects.filter(pk=user_id, project_memberships__project=project).first()
    if user is None:
        raise Http404("No such member.")
    members.project_member_remove(project, user, by=person(request))
    return redirect("project-edit", project_id=project.pk)


def managed_project(request: HttpRequest, project_id: int) -> Project:
    """The project, for those who manage it; another organization's is no different from none."""
    project = project_or_404(request, project_id)
    require(person(request), Action.MANAGE_PROJECTS, project)
    return project
