"""The form of a new job, made from what there is to choose and from the trainer's own schema."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings as platform
from django.core.exceptions import ValidationError
from django.forms import BoundField
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from training.jobs.backends import backend_label
from training.jobs.watch_options import MAX_LENGTH, WatchOptions, own_patience
from training.models import Dataset, PretrainedWeights
from training.pages.job_choice import JobChoice
from training.pages.job_limits import LIMITS, NAMES, USUAL, limits_fields
from training.pages.quick_select import QuickSelect
from training.templatetags.text import plain_text
from training.trainers import Setting

PREFIX = "set-"  # so that a trainer's setting may be called as one of the form's own fields
BACKEND = "to-"
ERROR_FIELDS = {"model_name": "model", "task_type": "trainer"}


class PlainField(forms.CharField):
    """One line of text without characters that act."""

    def clean(self, value: Any) -> str:
        return plain_text(super().clean(value))


@dataclass(frozen=True, slots=True)
class Group:
    """Settings that are shown together."""

    title: str
    fields: list[BoundField]
    changed: int
    wrong: bool


class JobForm(forms.Form):
    """Everything that a job is made of. Limits of settings are checked by `job_create`, types here."""

    use_required_attribute = False
    find = PlainField(
        required=False,
        max_length=120,
        label=_("Find a dataset"),
        widget=forms.TextInput({"type": "search", "placeholder": _("Words of its name"), "autocomplete": "off"}),
    )
    dataset = forms.ChoiceField(label=_("Dataset"), widget=QuickSelect)
    trainer = forms.ChoiceField(label=_("Trainer"))
    model = forms.ChoiceField(label=_("Model"), required=False)
    pretrained = forms.ChoiceField(
        required=False,
        label=_("Kept weights"),
        help_text=_("Begin from weights that your organization has uploaded. They take the model's place."),
    )
    weights = PlainField(
        required=False,
        max_length=120,
        label=_("Weights file"),
        help_text=_("The path on the server of a .pt file below one of IMPORT_ROOTS. It takes the model's place."),
    )
    project = PlainField(label=_("Project"), max_length=120, help_text=_("One that exists, or a new one by its name."))
    experiment = PlainField(
        label=_("Experiment"), max_length=120, help_text=_("Jobs of one experiment are meant to be compared.")
    )
    name = PlainField(max_length=200, required=False, label=_("Name of the job"))
    stop_at_nan = forms.BooleanField(required=False, label=_("Stop at the first NaN"))
    patience = forms.IntegerField(
        required=False,
        label=_("Patience"),
        help_text=_("Stop after so many epochs without a better primary metric; empty never stops early."),
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off", "placeholder": _("never")}),
    )
    watched_metrics = PlainField(
        required=False,
        max_length=MAX_LENGTH,
        label=_("Metrics that have to be numbers"),
        help_text=_("Patterns with commas between them. The first NaN or infinite value of one is told."),
        widget=forms.TextInput({"autocomplete": "off", "placeholder": _("all but system/*")}),
    )
    key = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    checkpoint = forms.CharField(required=False, max_length=20, widget=forms.HiddenInput)
    settings_of = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    preset = forms.CharField(required=False, max_length=120, widget=forms.HiddenInput)

    def __init__(self, choice: JobChoice, data: Any = None, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial, auto_id="job-%s")
        self.choice = choice
        self.preset_errors: list[str] = []
        self.schema = _schema(choice)
        if len(choice.organizations) > 1:
            options = [(one.pk, plain_text(one.name)) for one in choice.organizations]
            organization = forms.TypedChoiceField(label=_("Organization"), choices=options, coerce=int)
            self.fields = {"organization": organization, **self.fields}
        self._offer("dataset", datasets_listed(choice))
        self._offer("trainer", [(name, one.label) for name, one in choice.trainers.items()])
        if choice.models or not choice.trainable:
            self._offer("model", [(model, model) for model in choice.models])
        else:  # a trainer without a list takes any name
            self.fields["model"] = PlainField(max_length=120)
        if not (choice.trainer and choice.trainer.weights):
            del self.fields["weights"], self.fields["pretrained"]
        else:
            kept = [(one.pk, plain_text(one.name)) for one in choice.pretrained]
            self._offer("pretrained", [("", gettext("none")), *kept])
        if not choice.needs_data or not choice.searched:
            del self.fields["find"]
        if not choice.needs_data:
            del self.fields["dataset"]
        else:
            missing = choice.trainer.data_missing if choice.trainer else gettext("Choose a dataset.")
            self.fields["dataset"].error_messages["required"] = missing
        self.fields |= limits_fields(choice)
        if choice.trainer is None or own_patience(choice.trainer) or not choice.trainer.primary(choice.task):
            del self.fields["patience"]
        for name in ("project", "experiment"):
            self.fields[name].widget.attrs |= {"list": f"{name}-names", "autocomplete": "off"}
        self.fields["name"].widget.attrs["placeholder"] = self.usual_name()
        for setting in self.schema:
            self.fields[PREFIX + setting.name] = setting_field(setting)
        for name in backends_offered():
            self.fields[BACKEND + name] = forms.BooleanField(required=False, label=plain_text(backend_label(name)))

    def usual_name(self) -> str:
        """What the job is called if nobody names it."""
        model = self["model"].value() or "model"
        return plain_text(f"{model} on {self.choice.data}" if self.choice.data else model)

    def config(self) -> dict[str, Any]:
        """The settings as typed values; what was left empty is left to its default."""
        values = {setting.name: self.cleaned_data.get(PREFIX + setting.name) for setting in self.schema}
        return {name: value for name, value in values.items() if value is not None}

    def watch(self) -> WatchOptions:
        """What is to be watched, as it was asked for."""
        return WatchOptions.of(self.cleaned_data)

    def watch_shown(self) -> WatchOptions:
        """The same as the form shows it now, right or not yet."""
        patience = str(self["patience"].value() or "").strip() if "patience" in self.fields else ""
        whole = int(patience) if patience.isascii() and patience.isdigit() and len(patience) < 10 else None
        stop, text = bool(self["stop_at_nan"].value()), plain_text(str(self["watched_metrics"].value() or ""))
        return WatchOptions(stop, whole, text.strip())

    def kept_weights(self) -> PretrainedWeights | None:
        """The kept weights that were chosen."""
        chosen = self.cleaned_data.get("pretrained")
        return next((one for one in self.choice.pretrained if str(one.pk) == chosen), None)

    def model_name(self) -> str:
        return self.cleaned_data.get("weights") or self.cleaned_data["model"]

    def backends(self) -> list[BoundField]:
        return [self[BACKEND + name] for name in backends_offered()]

    def backends_chosen(self) -> list[str]:
        """The backends that are ticked now; the database, which can't be left out, first."""
        return ["database", *(name for name in backends_offered() if self[BACKEND + name].value())]

    def limits(self) -> Group:
        """When it is run, and what it may take."""
        fields = [self[name] for name in NAMES]
        changed = sum(str(field.value() or "") not in ("", USUAL) for field in fields)
        return Group(gettext("Priority and limits"), fields, changed, any(field.errors for field in fields))

    def basic(self) -> list[BoundField]:
        return [self[PREFIX + setting.name] for setting in self.schema if not setting.advanced]

    def groups(self) -> Iterator[Group]:
        """The advanced settings, in the groups that the trainer names."""
        advanced = [setting for setting in self.schema if setting.advanced]
        for title in dict.fromkeys(setting.group for setting in advanced):
            settings = [setting for setting in advanced if setting.group == title]
            fields = [self[PREFIX + setting.name] for setting in settings]
            changed = sum(self.value(setting) != setting.default for setting in settings)
            yield Group(gettext(title), fields, changed, any(field.errors for field in fields))

    def value(self, setting: Setting) -> Any:
        """The value that the form shows for a setting: typed if it can be, else as it was written."""
        written = self[PREFIX + setting.name].value()
        try:
            value = self.fields[PREFIX + setting.name].clean(written)
        except ValidationError:
            return written
        return setting.default if value is None else value

    def mark_differences(self, parent: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Say at each setting what it was in the job that this one is cloned from; (label, before, now) of all."""
        found = []
        for setting in self.schema:
            before, now = parent.get(setting.name, setting.default), self.value(setting)
            if before != now:
                was, shown = (_said(value) for value in (before, now))
                self.fields[PREFIX + setting.name].was = was or gettext("empty")  # type: ignore[attr-defined]
                found.append((gettext(setting.label), was, shown))
        return found

    def problems_add(self, error: ValidationError) -> None:
        """Put what `job_create` refused at the fields that it names."""
        if not hasattr(error, "error_dict"):
            self.add_error(None, error)
            return
        for name, messages in error.message_dict.items():
            if name == "preset_name":
                self.preset_errors += messages
                continue
            field = ERROR_FIELDS.get(name, name)
            if field == "model" and self.cleaned_data.get("weights"):
                field = "weights"
            if PREFIX + name in self.fields:
                field, messages = PREFIX + name, [_sentence(text, name) for text in messages]
            elif name in LIMITS:
                messages = [_sentence(text, name).replace("..", ".") for text in messages]
            self.add_error(field if field in self.fields else None, messages)

    def _offer(self, name: str, options: list[tuple[Any, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = options


def setting_field(setting: Setting) -> forms.Field:
    """The field for one setting. Numbers are typed as text: a browser drops a slip in a number field in silence."""
    common: dict[str, Any] = {"required": False, "label": gettext(setting.label), "help_text": _help(setting)}
    attributes = {"placeholder": _written(setting.default), "autocomplete": "off"}
    if setting.type == "boolean":
        return forms.BooleanField(**common)
    if setting.type == "choice":
        return forms.ChoiceField(**common, choices=[(one, one) for one in setting.choices])
    if setting.type == "text":
        return PlainField(**common, max_length=500, widget=forms.TextInput(attributes))
    mode, kind = ("numeric", forms.IntegerField) if setting.type == "integer" else ("decimal", forms.FloatField)
    return kind(**common, widget=forms.TextInput({**attributes, "inputmode": mode}))


def settings_initial(choice: JobChoice, data: Mapping[str, str], config: dict[str, Any]) -> dict[str, Any]:
    """What the settings show at first: what was typed for this trainer, or `config`, or the defaults."""
    settings = _schema(choice)
    if choice.trainer and data.get("settings_of") == choice.trainer.name:
        typed = {PREFIX + one.name: data.get(PREFIX + one.name, "") for one in settings}
        return typed | {PREFIX + one.name: PREFIX + one.name in data for one in settings if one.type == "boolean"}
    return {PREFIX + one.name: _shown(config.get(one.name, one.default)) for one in settings}


def backends_offered() -> list[str]:
    """The configured backends among which a job may choose: all but the database, which hears of every job."""
    return [name for name in platform.OBSERVABILITY_BACKENDS if name != "database"]


def backends_initial(shown: bool, data: Mapping[str, str], source: Sequence[str] | None) -> dict[str, Any]:
    """Which backends are ticked at first: as the form had them if it was `shown`, as `source` has them, or all."""
    wanted = [name for name in backends_offered() if BACKEND + name in data] if shown else source
    return {BACKEND + name: wanted is None or name in wanted for name in backends_offered()}


def datasets_listed(choice: JobChoice) -> list[tuple[int, str]]:
    """The datasets that are offered, each as one line; the chosen one is among them whatever was searched for."""
    listed = {one.pk: dataset_line(one, one.image_count) for one in choice.datasets}  # type: ignore[attr-defined]
    if choice.dataset and choice.dataset.pk not in listed:
        listed = {choice.dataset.pk: dataset_line(choice.dataset, choice.dataset.report.get("images"))} | listed
    return list(listed.items())


def dataset_line(dataset: Dataset, images: object) -> str:
    """A dataset as one line of a list."""
    told = {"name": dataset.name, "task": dataset.task_type, "classes": len(dataset.classes)}
    if not (isinstance(images, int | str) and str(images).isdigit()):
        return plain_text(gettext("%(name)s: %(task)s, %(classes)s classes") % told)
    told["images"] = f"{int(images):,}"
    return plain_text(gettext("%(name)s: %(task)s, %(classes)s classes, %(images)s images") % told)


def _schema(choice: JobChoice) -> list[Setting]:
    settings = choice.trainer.settings if choice.trainer else ()
    return [setting for setting in settings if choice.advanced or not setting.advanced]


def _shown(value: Any) -> Any:
    return value if isinstance(value, bool | str) else _written(value)


def _said(value: Any) -> str:
    """A value in a sentence."""
    return (gettext("on") if value else gettext("off")) if isinstance(value, bool) else plain_text(str(_shown(value)))


def _written(value: Any) -> str:
    """A number as a person writes it: 0.00001, not 1e-05."""
    if isinstance(value, float):
        return f"{value:.12f}".rstrip("0").removesuffix(".") if 1e-9 < abs(value) < 1e15 else f"{value:g}"
    return "" if value is None else str(value)


def _help(setting: Setting) -> str:
    low, high = (_written(limit) for limit in (setting.minimum, setting.maximum))
    limits = ""
    if low and high:
        limits = gettext("From %(low)s to %(high)s.") % {"low": low, "high": high}
    elif low or high:
        limits = (gettext("At least %(limit)s.") if low else gettext("At most %(limit)s.")) % {"limit": low or high}
    told = gettext(setting.help)
    return f"{told} {limits}" if limits else told


def _sentence(text: str, name: str) -> str:
    """`epochs must be at least 1` as it is read below a field that is called Epochs."""
    rest = text.removeprefix(f"{name} ")
    return f"{rest[:1].upper()}{rest[1:]}."
