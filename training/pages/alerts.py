"""Pages of a project's alerts: where they go, when, and what was sent. Everybody sees them, managers change them."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from training.alerts import addresses, conditions, services
from training.alerts.selectors import messages_visible, rules_shown, rules_visible, targets_shown, targets_visible
from training.models import AlertRule, AlertTarget, JobState, Project
from training.pages.card import said
from training.pages.doors import person, signed_in
from training.pages.fields import errors_put
from training.pages.projects import project_or_404
from training.people.roles import Action, allowed, require
from training.templatetags.text import plain_text

LOGGED = 30  # rows of the log on a page
OF_KIND = {
    "state": ("states",),
    "metric": ("metric", "side", "threshold", "reports"),
    "nan": (),
    "stalled": ("minutes",),
    "worker": (),
}
ALL_OF_KINDS = tuple(name for names in OF_KIND.values() for name in names)


class TargetForm(forms.Form):
    """Where alerts are to go. Limits are the service's."""

    use_required_attribute = False
    name = forms.CharField(
        label=_("Name"), max_length=services.NAME_LENGTH, widget=forms.TextInput({"autocomplete": "off"})
    )
    kind = forms.ChoiceField(label=_("Kind"), choices=list(addresses.KINDS.items()))
    address = forms.CharField(
        label=_("Address"),
        max_length=addresses.MAX_LENGTH,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text=_(
            "E-mail addresses with commas between them; https://… of a webhook, which gets JSON; "
            "or an address of apprise, such as slack://… It is kept encrypted and never shown again."
        ),
    )


class RuleForm(forms.Form):
    """When people are told: of the fields below, those that the kind has."""

    use_required_attribute = False
    name = forms.CharField(
        label=_("Name"), max_length=services.NAME_LENGTH, widget=forms.TextInput({"autocomplete": "off"})
    )
    kind = forms.ChoiceField(choices=list(conditions.KINDS.items()), label=_("When"))
    states = forms.MultipleChoiceField(
        required=False,
        choices=[(one.value, one.label) for one in conditions.STATES],
        widget=forms.CheckboxSelectMultiple,
        label=_("States"),
        help_text=_("For a state that is reached."),
    )
    metric = forms.CharField(
        label=_("Metric"),
        required=False,
        max_length=255,
        help_text=_("For a threshold: a name, or a pattern such as val/*."),
    )
    side = forms.ChoiceField(required=False, choices=[("above", _("above")), ("below", _("below"))], label=_("Is"))
    threshold = forms.FloatField(label=_("Threshold"), required=False, widget=forms.TextInput({"inputmode": "decimal"}))
    reports = forms.IntegerField(
        required=False,
        label=_("Reports in a row"),
        widget=forms.TextInput({"inputmode": "numeric", "placeholder": "1"}),
        help_text=_("For a threshold: how many, so that one that is odd tells nobody."),
    )
    minutes = forms.IntegerField(
        label=_("Minutes"),
        required=False,
        widget=forms.TextInput({"inputmode": "numeric", "placeholder": "10"}),
        help_text=_("For a run that reports nothing any more: after how many."),
    )
    targets = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, label=_("Tell"))
    enabled = forms.BooleanField(required=False, initial=True, label=_("Switched on"))

    def __init__(self, project: Project, data: Any = None, initial: Any = None, kind: str = "") -> None:
        super().__init__(data, initial=initial)
        offered = self.fields["targets"]
        assert isinstance(offered, forms.MultipleChoiceField)
        offered.choices = [(one.pk, plain_text(one.name)) for one in project.alert_targets.all()]
        if kind:  # it stays what it is, and has no use for the rest
            for name in {"kind", *ALL_OF_KINDS} - set(OF_KIND[kind]):
                del self.fields[name]

    def condition(self) -> dict[str, Any]:
        return {name: value for name in ALL_OF_KINDS if (value := self.cleaned_data.get(name)) not in (None, "")}

    def targets_chosen(self) -> list[int]:
        return [int(one) for one in self.cleaned_data["targets"]]


@never_cache
@require_GET
@signed_in
def alerts_page(request: HttpRequest, project_id: int) -> HttpResponseBase:
    """Targets, rules and the log, newest first."""
    project, user = project_or_404(request, project_id), person(request)
    log = Paginator(messages_visible(user).filter(target__project=project).order_by("-id"), LOGGED)
    context = {
        "project": project,
        "targets": targets_shown(project),
        "rules": rules_shown(project),
        "page": log.get_page(request.GET.get("page")),
        "can_manage": allowed(user, Action.MANAGE_ALERTS, project),
    }
    return render(request, "training/alerts.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def target_new(request: HttpRequest, project_id: int) -> HttpResponseBase:
    project = _managed(request, project_id)
    form = TargetForm(said(request))
    if form.is_valid():
        given = form.cleaned_data
        try:
            services.target_create(project, person(request), given["name"], given["kind"], given["address"])
            messages.success(request, gettext("Send a test, to see that it arrives."))
            return redirect("alerts", project_id=project_id)
        except ValidationError as error:
            errors_put(form, error)
    return _form(request, form, project, gettext("New target"), gettext("Add target"))


@require_POST
@signed_in
def target_test(request: HttpRequest, project_id: int, target_id: int) -> HttpResponseBase:
    target = _target(request, project_id, target_id)
    try:
        services.target_test(target, person(request))
        messages.success(request, gettext("A test is on its way to %(name)s.") % {"name": plain_text(target.name)})
    except ValidationError as error:
        messages.warning(request, " ".join(error.messages))
    return redirect("alerts", project_id=project_id)


@require_POST
@signed_in
def target_remove(request: HttpRequest, project_id: int, target_id: int) -> HttpResponseBase:
    services.target_remove(_target(request, project_id, target_id), person(request))
    return redirect("alerts", project_id=project_id)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def rule_new(request: HttpRequest, project_id: int) -> HttpResponseBase:
    project = _managed(request, project_id)
    initial = {"states": [JobState.FAILED], "targets": [one.pk for one in project.alert_targets.all()]}
    form = RuleForm(project, said(request), initial)
    del form.fields["enabled"]  # nobody makes a rule to leave it off
    if form.is_valid():
        try:
            made = (form.cleaned_data["name"], form.cleaned_data["kind"], form.condition(), form.targets_chosen())
            services.rule_create(project, person(request), *made)
            return redirect("alerts", project_id=project_id)
        except ValidationError as error:
            errors_put(form, error)
    return _form(request, form, project, gettext("New rule"), gettext("Add rule"))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def rule_edit(request: HttpRequest, project_id: int, rule_id: int) -> HttpResponseBase:
    rule = _rule(request, project_id, rule_id)
    initial = {"name": rule.name, "enabled": rule.enabled, "targets": [one.pk for one in rule.targets.all()]}
    form = RuleForm(rule.project, said(request), initial | rule.condition, rule.kind)
    if form.is_valid():
        given = form.cleaned_data
        try:
            services.rule_change(
                rule,
                person(request),
                name=given["name"],
                condition=form.condition(),
                targets=form.targets_chosen(),
                enabled=given["enabled"],
            )
            return redirect("alerts", project_id=project_id)
        except ValidationError as error:
            errors_put(form, error)
    return _form(request, form, rule.project, str(conditions.KINDS[rule.kind]), gettext("Save"))


@require_POST
@signed_in
def rule_remove(request: HttpRequest, project_id: int, rule_id: int) -> HttpResponseBase:
    services.rule_remove(_rule(request, project_id, rule_id), person(request))
    return redirect("alerts", project_id=project_id)


def _form(request: HttpRequest, form: forms.Form, project: Project, title: str, button: str) -> HttpResponseBase:
    context = {"form": form, "project": project, "title": title, "button": button}
    return render(request, "training/form_page.html", context, status=422 if form.errors else 200)


def _managed(request: HttpRequest, project_id: int) -> Project:
    project = project_or_404(request, project_id)
    require(person(request), Action.MANAGE_ALERTS, project)
    return project


def _target(request: HttpRequest, project_id: int, target_id: int) -> AlertTarget:
    found: AlertTarget | None = targets_visible(person(request)).filter(pk=target_id, project=project_id).first()
    if found is None:
        raise Http404("No such target.")
    require(person(request), Action.MANAGE_ALERTS, found.project)
    return found


def _rule(request: HttpRequest, project_id: int, rule_id: int) -> AlertRule:
    found: AlertRule | None = rules_visible(person(request)).filter(pk=rule_id, project=project_id).first()
    if found is None:
        raise Http404("No such rule.")
    require(person(request), Action.MANAGE_ALERTS, found.project)
    return found
